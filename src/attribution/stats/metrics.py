"""Every metric has one definition, here: how it is computed, and how the answer explains it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from attribution.domain.money import from_minor

_RATIOS = Context(prec=12)
_RATIO_DIGITS = 6
"""Significant digits that a ratio has at least."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What the rows of a group add up to. Money in minor units of the programme's currency."""

    clicks: int
    bot_clicks: int
    unique_visitors: int
    conversions: Decimal
    orders: Decimal
    gross_minor: int
    net_minor: int
    discount_minor: int


@dataclass(frozen=True, slots=True)
class Metric:
    formula: str
    value: Callable[[Sums, str], Any]
    """Of the sums and the currency: a number for a count, a decimal string for money and ratios."""
    additive: bool = True


def _count(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _ratio(numerator: Decimal | int, denominator: Decimal | int) -> str | None:
    if not denominator:
        return None
    quotient = _RATIOS.divide(Decimal(numerator), Decimal(denominator)).normalize()
    missing = _RATIO_DIGITS - len(quotient.as_tuple().digits)
    return f"{quotient:f}" if missing <= 0 else f"{quotient.quantize(_last_digit(quotient, missing)):f}"


def _last_digit(value: Decimal, further: int) -> Decimal:
    return Decimal(1).scaleb(min(0, value.adjusted() - len(value.as_tuple().digits) + 1) - further)


def _aov(sums: Sums, currency: str) -> str | None:
    return _ratio(Decimal(from_minor(sums.net_minor, currency)), sums.orders)


METRICS: Final[Mapping[str, Metric]] = {
    "clicks": Metric("clicks of humans, at the moment of the click", lambda s, _: s.clicks),
    "bot_clicks": Metric("clicks classed as bots, at the moment of the click", lambda s, _: s.bot_clicks),
    "unique_visitors": Metric(
        "distinct visitors of clicks of humans; a click without a visitor is one of its own",
        lambda s, _: s.unique_visitors,
        additive=False,
    ),
    "conversions": Metric(
        "sum of credit weights over all conversions that are not cancelled, at the moment of the conversion",
        lambda s, _: _count(s.conversions),
    ),
    "orders": Metric("as conversions, of purchases only", lambda s, _: _count(s.orders)),
    "gross_revenue": Metric(
        "credited part of orders' items after discounts, without tax and shipping, before refunds",
        lambda s, currency: from_minor(s.gross_minor, currency),
    ),
    "refunds": Metric(
        "credited part of what was refunded of orders, at the moment of the order; never more than the order's",
        lambda s, currency: from_minor(s.gross_minor - s.net_minor, currency),
    ),
    "revenue": Metric("gross_revenue - refunds, of purchases", lambda s, currency: from_minor(s.net_minor, currency)),
    "discount": Metric(
        "credited part of what orders say they gave away",
        lambda s, currency: from_minor(s.discount_minor, currency),
    ),
    "conversion_rate": Metric("orders / clicks", lambda s, _: _ratio(s.orders, s.clicks), additive=False),
    "aov": Metric("revenue / orders", _aov, additive=False),
}
