"""What the credits of a conversion are worth: their money in the programme's currency, and what is paid for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from attribution.errors import MissingRateError

from .attribution import Attribution, ConversionFacts, Credit
from .commission import CommissionPlan, Part, PlanBook, Scope, commissions, flat_due
from .fx import RateBook, day_of, minor_rate
from .ids import InfluencerId
from .money import MINOR_MAX, half_up, split_each


@dataclass(frozen=True, slots=True)
class Books:
    """A programme's plans, and its rates of the days of what is to be valued."""

    currency: str
    timezone: str = "UTC"
    plans: PlanBook = field(default_factory=lambda: PlanBook(()))
    rates: RateBook = field(default_factory=lambda: RateBook(()))


class ConversionTerms(NamedTuple):
    """Of a conversion, what its value hangs on beside its amounts.

    `new_customer` None: not known. Plans and rates of their currencies made after `bound_at_us` do not count. Nor do
    rates of its own made after `valued_at_us`, which is earlier where credit came late.
    """

    type: str
    currency: str
    new_customer: bool | None = None
    cancelled: bool = False
    bound_at_us: int | None = None
    valued_at_us: int | None = None


class Valuation(NamedTuple):
    """`plans`: of each credit. `rate`: minor units for one of the conversion's; None where none was needed.

    `missing`: the rate without which its money has no value: the credits count, at 0. With a `rate` beside it, 1
    where none was needed, it is a plan's: the commission alone is not known, and 0.
    """

    credits: tuple[Credit, ...]
    plans: tuple[CommissionPlan | None, ...]
    rate: Fraction | None = None
    missing: MissingRateError | None = None

    @property
    def worth_missing(self) -> MissingRateError | None:
        """The rate without which not even its revenue is known."""
        return self.missing if self.rate is None else None

    def commissions(self) -> dict[tuple[InfluencerId | None, CommissionPlan], int]:
        """By influencer and plan; whom no plan is for is not paid."""
        sums: dict[tuple[InfluencerId | None, CommissionPlan], int] = {}
        for credit, plan in zip(self.credits, self.plans, strict=True):
            if plan is not None:
                sums[credit.influencer_id, plan] = sums.get((credit.influencer_id, plan), 0) + credit.commission
        return sums


def value(facts: ConversionFacts, terms: ConversionTerms, attribution: Attribution, books: Books) -> Valuation:
    """A cancelled conversion counts nowhere and is worth nothing."""
    plans = _plans(facts, terms, attribution.credits, books)
    if terms.cancelled:
        worthless = [_valued(credit, facts, terms, counts=False) for credit in attribution.credits]
        return Valuation(tuple(worthless), plans)
    try:
        rate = _rate(facts, terms, books)
    except MissingRateError as missing:
        worthless = [_valued(credit, facts, terms) for credit in attribution.credits]
        return Valuation(tuple(worthless), plans, None, missing)
    credits_ = _exchanged(facts, terms, attribution, rate)
    try:
        payable = [_in_currency(plan, facts, terms, books) for plan in plans] if any(plans) else []
    except MissingRateError as missing:
        return Valuation(tuple(credits_), plans, rate or Fraction(1), missing)
    return Valuation(tuple(_paid(credits_, attribution, payable, facts) if payable else credits_), plans, rate)


def _valued(
    credit: Credit,
    facts: ConversionFacts,
    terms: ConversionTerms,
    gross: int = 0,
    net: int = 0,
    discount: int = 0,
    *,
    counts: bool = True,
) -> Credit:
    # Not `_replace`, which takes several times as long.
    worth = (
        facts.occurred_at_us, terms.type, terms.new_customer, credit.weight_units if counts else 0,
        gross, net, discount, 0,
    )  # fmt: skip
    return tuple.__new__(Credit, credit[:14] + worth)


def _plans(
    facts: ConversionFacts, terms: ConversionTerms, credits_: Sequence[Credit], books: Books
) -> tuple[CommissionPlan | None, ...]:
    if not books.plans:
        return (None,) * len(credits_)
    scopes = (Scope(c.influencer_id, c.campaign_id, terms.type, terms.new_customer) for c in credits_)
    return tuple(books.plans.choose(scope, facts.occurred_at_us, terms.bound_at_us) for scope in scopes)


def _rate(facts: ConversionFacts, terms: ConversionTerms, books: Books) -> Fraction | None:
    """Nothing is nothing in any currency."""
    is_home = terms.currency == books.currency
    if is_home or not (facts.gross_minor or facts.net_minor or facts.discount_minor):
        return None
    largest = max(facts.gross_minor, facts.net_minor, facts.discount_minor)
    return _minor_rate(largest, terms.currency, facts, books, terms.valued_at_us)


def _minor_rate(minor: int, base: str, facts: ConversionFacts, books: Books, at_us: int | None) -> Fraction:
    """One that makes more of the amount than amounts may be is as good as none: sums would not fit their columns."""
    day = day_of(facts.occurred_at_us, books.timezone)
    for rate in books.rates.rates(day, base, books.currency, at_us):
        exact = minor_rate(base, books.currency, rate)
        if minor * exact <= MINOR_MAX:
            return exact
    raise MissingRateError(day, base, books.currency)


def _in_currency(
    plan: CommissionPlan | None, facts: ConversionFacts, terms: ConversionTerms, books: Books
) -> CommissionPlan | None:
    """With its flat amount in the programme's currency."""
    if plan is None or not plan.flat_minor or plan.currency in (None, books.currency):
        return plan
    rate = _minor_rate(plan.flat_minor, plan.currency or books.currency, facts, books, terms.bound_at_us)
    return replace(plan, flat_minor=half_up(plan.flat_minor * rate), currency=books.currency)


def _exchanged(
    facts: ConversionFacts, terms: ConversionTerms, attribution: Attribution, rate: Fraction | None
) -> list[Credit]:
    """The whole is exchanged, then split, so that the parts add up."""
    credits_ = attribution.credits
    if rate is None:
        return [_valued(c, facts, terms, c.gross_minor, c.net_minor, c.discount_minor) for c in credits_]
    wholes = [half_up(minor * rate) for minor in (facts.gross_minor, facts.net_minor, facts.discount_minor)]
    gross, net, discount = split_each(wholes, attribution.weights)
    return [_valued(credit, facts, terms, gross[i], net[i], discount[i]) for i, credit in enumerate(credits_)]


def _paid(
    credits_: Sequence[Credit],
    attribution: Attribution,
    plans: Sequence[CommissionPlan | None],
    facts: ConversionFacts,
) -> Sequence[Credit]:
    parts = [
        Part(credit.influencer_id, weight, credit.net_value, plan)
        for credit, weight, plan in zip(credits_, attribution.weights, plans, strict=True)
    ]
    due = flat_due(facts.gross_minor, facts.net_minor, cancelled=False)
    paid = commissions(parts, due=due)
    return [credit._replace(commission=amount) for credit, amount in zip(credits_, paid, strict=True)]
