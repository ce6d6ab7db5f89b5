"""What influencers are paid for a conversion: the plan of each credit, and its money."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .ids import CampaignId, CommissionPlanId, InfluencerId
from .money import half_up, split
from .rules import in_force


@dataclass(frozen=True, slots=True)
class Scope:
    """What a plan is for; None fits all."""

    influencer_id: InfluencerId | None = None
    campaign_id: CampaignId | None = None
    conversion_type: str | None = None
    new_customer: bool | None = None

    def fits(self, one: "Scope") -> bool:
        """Whether it holds for a credit, of which a None is none or not known."""
        return (
            self.influencer_id in (None, one.influencer_id)
            and self.campaign_id in (None, one.campaign_id)
            and self.conversion_type in (None, one.conversion_type)
            and self.new_customer in (None, one.new_customer)
        )

    @property
    def precedence(self) -> tuple[bool, bool, bool, bool]:
        """The greater goes first: influencer before campaign before conversion type before new or returning."""
        return (
            self.influencer_id is not None,
            self.campaign_id is not None,
            self.conversion_type is not None,
            self.new_customer is not None,
        )


@dataclass(frozen=True, slots=True)
class CommissionPlan:
    """`rate`: of the net, 0 to 1; or `flat_minor`: a conversion, in the currency of the conversion's money."""

    plan_id: CommissionPlanId
    scope: Scope
    effective_from_us: int
    created_at_us: int
    rate: Fraction | None = None
    flat_minor: int | None = None
    currency: str | None = None


class PlanBook:
    """All plans of a programme, in the order they were created."""

    def __init__(self, plans: Iterable[CommissionPlan]) -> None:
        scopes: dict[Scope, list[CommissionPlan]] = {}
        for plan in plans:
            scopes.setdefault(plan.scope, []).append(plan)
        self._by_precedence = sorted(scopes.items(), key=lambda item: item[0].precedence, reverse=True)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._by_precedence)

    @property
    def currencies(self) -> set[str]:
        """Of flat amounts."""
        return {plan.currency for _, versions in self._by_precedence for plan in versions if plan.currency}

    def choose(self, credit: Scope, occurred_at_us: int, bound_at_us: int | None) -> CommissionPlan | None:
        """The plan of the most specific scope that has one in force at the conversion.

        Within a scope the latest effective counts, of equals the later created. A conversion bound at
        `bound_at_us` knows no later plan. A credit without influencer has none.
        """
        if credit.influencer_id is None:
            return None
        fitting = (versions for scope, versions in self._by_precedence if scope.fits(credit))
        chosen = (in_force(versions, occurred_at_us, bound_at_us) for versions in fitting)
        return next((plan for plan in chosen if plan is not None), None)


@dataclass(frozen=True, slots=True)
class Part:
    """One credit of a conversion; all its money in one currency."""

    influencer_id: InfluencerId | None
    weight: Fraction
    net_minor: int
    plan: CommissionPlan | None


def commissions(parts: Sequence[Part], *, due: bool = True) -> list[int]:
    """Of each part of one conversion, in minor units; `parts` are all of it, their weights summing to 1.

    Percent: an influencer's net under one plan x its rate, half up, then split over those parts by largest
    remainder. Flat: the amount split by weight over all parts of the conversion, of which a part takes its share if
    the plan is its own. Not `due` (see `flat_due`) means no flat amounts. After a refund: the same plans and
    weights, the new net.
    """
    amounts = _flat(parts) if due else [0] * len(parts)
    for numbers in _by_influencer_and_plan(parts).values():
        for number, amount in zip(numbers, _percent([parts[n] for n in numbers]), strict=True):
            amounts[number] = amount
    return amounts


def flat_due(gross_minor: int, net_minor: int, *, cancelled: bool) -> bool:
    """A flat amount is taken back whole: when the conversion is cancelled, or all it was worth is refunded."""
    return not cancelled and (net_minor > 0 or gross_minor == 0)


def _flat(parts: Sequence[Part]) -> list[int]:
    flats = [part.plan.flat_minor or 0 if part.plan else 0 for part in parts]
    shares = {flat: split(flat, [part.weight for part in parts]) for flat in set(flats)}
    return [shares[flat][number] for number, flat in enumerate(flats)]


def _by_influencer_and_plan(parts: Sequence[Part]) -> Mapping[object, list[int]]:
    groups: dict[object, list[int]] = {}
    for number, part in enumerate(parts):
        if part.plan is not None and part.plan.rate is not None:
            groups.setdefault((part.influencer_id, part.plan.plan_id), []).append(number)
    return groups


def _percent(parts: Sequence[Part]) -> list[int]:
    plan, net_minor = parts[0].plan, sum(part.net_minor for part in parts)
    if plan is None or plan.rate is None or not net_minor:
        return [0] * len(parts)
    return split(half_up(net_minor * plan.rate), [Fraction(part.net_minor, net_minor) for part in parts])
