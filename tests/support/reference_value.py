"""What a conversion is worth, as a person would work it out from the rule book, without any code of the service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

from .facts import Facts, Plan, Rate
from .reference import WHOLE, Judged, Order, Target, World, fold, net, share

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True)
class Worth:
    """Of one part, in minor units of the programme's currency."""

    gross: int
    net: int
    discount: int
    commission: int
    plan: Plan | None


def is_new(order: Order, world: World) -> bool | None:
    """As the shop says; else whether no purchase that counts is before it. None: who it is, is not known."""
    if order.new_customer is not None or order.customer is None:
        return order.new_customer
    return not any(
        other.customer == order.customer and other.kind == "purchase" and not other.cancelled
        and (other.occurred_at, other.key[0], other.key[2]) < (order.occurred_at, order.key[0], order.key[2])
        for other in fold(world.orders).values()
    )  # fmt: skip


def exchanged(amount: int, base: str, quote: str, day: date, rates: Sequence[Rate]) -> int:
    """Half up, at the last rate of the day that was said."""
    if base == quote or amount == 0:
        return amount
    [*_, rate] = [
        Fraction(rate.rate) if (rate.base, rate.quote) == (base, quote) else 1 / Fraction(rate.rate)
        for rate in rates
        if rate.day == day and {rate.base, rate.quote} == {base, quote}
    ]
    units = Fraction(10) ** (DECIMALS[quote] - DECIMALS[base])
    return floor(amount * rate * units + Fraction(1, 2))


def worth(judged: Judged, world: World, facts: Facts, currency: str, zone: ZoneInfo) -> dict[Target, Worth]:
    order, targets = judged.order, list(judged.credits)
    if order.cancelled:
        return {target: Worth(0, 0, 0, 0, None) for target in targets}
    day = (EPOCH + timedelta(microseconds=order.occurred_at)).astimezone(zone).date()
    weights = [Fraction(part.weight, WHOLE) for part in judged.credits.values()]
    gross, left, discount = (
        share(exchanged(amount, order.currency, currency, day, facts.rates), weights)
        for amount in (order.gross, net(world, order), order.discount)
    )
    new = is_new(order, world)
    plans = [_plan(facts.plans, target, order, new) for target in targets]
    paid = [0] * len(targets)
    for number, plan in enumerate(plans):
        if plan is not None and plan.flat is not None:
            taken_back = order.gross > 0 and net(world, order) == 0
            flat = exchanged(plan.flat, plan.currency or currency, currency, day, facts.rates)
            paid[number] = 0 if taken_back else share(flat, weights)[number]
    for pair in {(t.influencer, plan) for t, plan in zip(targets, plans, strict=True)}:
        mine = [n for n, target in enumerate(targets) if (target.influencer, plans[n]) == pair]
        part = sum(left[n] for n in mine)
        if pair[1] is not None and pair[1].percent is not None and part:
            amount = floor(part * Fraction(pair[1].percent) / 100 + Fraction(1, 2))
            for n, its in zip(mine, share(amount, [Fraction(left[n], part) for n in mine]), strict=True):
                paid[n] = its
    return {t: Worth(gross[n], left[n], discount[n], paid[n], plans[n]) for n, t in enumerate(targets)}


def _plan(plans: Sequence[Plan], to: Target, order: Order, new: bool | None) -> Plan | None:  # noqa: FBT001
    """The most specific; of these the latest in force; of these the last made."""
    if to.influencer is None:
        return None
    fitting = [
        (
            plan.influencer is not None, plan.campaign is not None, plan.kind is not None, plan.new is not None,
            plan.effective_from, number,
        )
        for number, plan in enumerate(plans)
        if plan.effective_from <= order.occurred_at
        and plan.influencer in (None, to.influencer)
        and plan.campaign in (None, to.campaign)
        and plan.kind in (None, order.kind)
        and plan.new in (None, new)
    ]  # fmt: skip
    return plans[max(fitting)[-1]] if fitting else None
