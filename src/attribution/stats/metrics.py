"""Every metric has one definition, here: how it is computed, ordered by and explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import reduce
from typing import Any, Final

from attribution.adapters.stats_sources import CLICKS, SOURCES
from attribution.adapters.visitor_sketches import STANDARD_ERROR
from attribution.domain.measures import Dimension, Sum, Term
from attribution.domain.money import exponent, from_minor, from_minors

from .columns import Number, as_count, counts, multiplied, plus, ratios
from .differences import Value

Sums = Mapping[Sum, Number]
Columns = Mapping[Sum, Sequence[Number]]


class Unit(Enum):
    COUNT = "count"
    MONEY = "money"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Metric:
    """Sums, or sums over sums; null where the denominator is 0."""

    formula: str
    unit: Unit
    numerator: tuple[Term, ...]
    denominator: tuple[Term, ...] = ()
    additive: bool = True

    def value(self, sums: Sums, currency: str, gross_margin: Decimal) -> Value:
        """A number for a count, a decimal string for money and ratios."""
        columns = {term.sum: [sums[term.sum]] for term in (*self.numerator, *self.denominator)}
        [value] = self.values(Added(columns, gross_margin), currency)
        return value

    def values(self, added: "Added", currency: str) -> Sequence[Value]:
        """`value` of many rows, by the column."""
        numerators = added.of(self.numerator)
        if self.denominator:
            parts = 10 ** exponent(currency) if self.unit is Unit.MONEY else 1
            return ratios(numerators, multiplied(added.of(self.denominator), parts))
        return counts(numerators) if self.unit is Unit.COUNT else from_minors(list(map(int, numerators)), currency)


class Added:
    """Columns of terms, each added up once: metrics share them."""

    def __init__(self, columns: Columns, gross_margin: Decimal) -> None:
        self._columns = columns
        self._gross_margin = gross_margin
        self._known: dict[tuple[Term, ...], Sequence[Number]] = {}

    def of(self, terms: tuple[Term, ...]) -> Sequence[Number]:
        if terms not in self._known:
            self._known[terms] = reduce(plus, map(self._taken, terms))
        return self._known[terms]

    def _taken(self, term: Term) -> Sequence[Number]:
        factor = term.sign * self._gross_margin if term.times_margin else term.sign
        return multiplied(self._columns[term.sum], factor)


def measured(
    names: Sequence[str], columns: Columns, currency: str, gross_margin: Decimal
) -> dict[str, Sequence[Value]]:
    """These metrics, by the column."""
    added = Added(columns, gross_margin)
    return {name: METRICS[name].values(added, currency) for name in names}


def _counted(of: Sum, formula: str, *, additive: bool = True) -> Metric:
    return Metric(formula, Unit.COUNT, (Term(of),), additive=additive)


def _money(of: Sum, formula: str) -> Metric:
    return Metric(formula, Unit.MONEY, (Term(of),))


def _rate(
    formula: str, numerator: tuple[Term, ...], denominator: tuple[Term, ...], unit: Unit = Unit.RATIO
) -> Metric:
    return Metric(formula, unit, numerator, denominator, additive=False)


def _grown(of: Sum) -> Metric:
    return _counted(of, f"growth of the posts' running totals of {of}, at the moment of the total that shows it")


_ENGAGEMENTS: Final = tuple(Term(of) for of in (Sum.LIKES, Sum.COMMENTS, Sum.SHARES, Sum.SAVES, Sum.LINK_TAPS))
_COST: Final = (Term(Sum.COMMISSION), Term(Sum.COSTS))

METRICS: Final[Mapping[str, Metric]] = {
    "clicks": _counted(Sum.CLICKS, "clicks of humans, at the moment of the click"),
    "bot_clicks": _counted(Sum.BOT_CLICKS, "clicks classed as bots, at the moment of the click"),
    "unique_visitors": _counted(
        Sum.UNIQUE_VISITORS,
        "distinct visitors of clicks of humans; a click without a visitor is one of its own",
        additive=False,
    ),
    "impressions": _grown(Sum.IMPRESSIONS),
    "reach": _grown(Sum.REACH),
    "views": _grown(Sum.VIEWS),
    "likes": _grown(Sum.LIKES),
    "comments": _grown(Sum.COMMENTS),
    "shares": _grown(Sum.SHARES),
    "saves": _grown(Sum.SAVES),
    "link_taps": _grown(Sum.LINK_TAPS),
    "followers": _grown(Sum.FOLLOWERS),
    "engagements": Metric("likes + comments + shares + saves + link_taps", Unit.COUNT, _ENGAGEMENTS),
    "conversions": _counted(
        Sum.CONVERSIONS,
        "sum of credit weights over all conversions that are not cancelled, at the moment of the conversion"
        " (by=click: of the credited click)",
    ),
    "orders": _counted(Sum.ORDERS, "as conversions, of purchases only"),
    "leads": _counted(Sum.LEADS, "as conversions, of leads only"),
    "new_customers": _counted(
        Sum.NEW_CUSTOMERS,
        "as orders, of those that say so, or, where they do not say, are their customer's first",
    ),
    "gross_revenue": _money(
        Sum.GROSS, "credited part of orders' items after discounts, without tax and shipping, before refunds"
    ),
    "refunds": Metric(
        "credited part of what was refunded of orders, at the moment of the order; never more than the order's",
        Unit.MONEY,
        (Term(Sum.GROSS), Term(Sum.NET, sign=-1)),
    ),
    "revenue": _money(Sum.NET, "gross_revenue - refunds, of purchases"),
    "discount": _money(Sum.DISCOUNT, "credited part of what orders say they gave away"),
    "commission": _money(Sum.COMMISSION, "commission due on conversions"),
    "cost": Metric(
        "commission + recorded costs, spread evenly over their days, at the exchange rate of each day",
        Unit.MONEY,
        _COST,
    ),
    "ctr": _rate("clicks / impressions", (Term(Sum.CLICKS),), (Term(Sum.IMPRESSIONS),)),
    "engagement_rate": _rate("engagements / reach", _ENGAGEMENTS, (Term(Sum.REACH),)),
    "conversion_rate": _rate("orders / clicks", (Term(Sum.ORDERS),), (Term(Sum.CLICKS),)),
    "aov": _rate("revenue / orders", (Term(Sum.NET),), (Term(Sum.ORDERS),), Unit.MONEY),
    "epc": _rate("commission / clicks", (Term(Sum.COMMISSION),), (Term(Sum.CLICKS),), Unit.MONEY),
    "cpc": _rate("cost / clicks", _COST, (Term(Sum.CLICKS),), Unit.MONEY),
    "cpa": _rate("cost / conversions", _COST, (Term(Sum.CONVERSIONS),), Unit.MONEY),
    "roas": _rate("revenue / cost", (Term(Sum.NET),), _COST),
    "roi": _rate(
        "(revenue x gross_margin - cost) / cost",
        (Term(Sum.NET, times_margin=True), *(Term(term.sum, sign=-1) for term in _COST)),
        _COST,
    ),
}


def is_told_by(name: str, dimension: Dimension) -> bool:
    """Whether facts of this dimension can have the metric: not so where all of a numerator or denominator is 0."""
    parts = (METRICS[name].numerator, METRICS[name].denominator)
    return all(any(_is_summed_by(term.sum, dimension) for term in terms) for terms in parts if terms)


def _is_summed_by(of: Sum, dimension: Dimension) -> bool:
    sources = [CLICKS] if of is Sum.UNIQUE_VISITORS else [source for source in SOURCES if of in source.sums]
    return any(dimension in source.columns for source in sources)


_SHOWN_AS: Final[Mapping[Sum, str]] = {
    Sum.GROSS: "gross_revenue",
    Sum.NET: "revenue",
    Sum.DISCOUNT: "discount",
    Sum.COMMISSION: "commission",
    Sum.COSTS: "recorded_costs",
}
"""Sums of money, which answers show in units of the currency and not as they are kept."""


def sum_names(metric: str) -> list[str]:
    """Of what a metric is made of, as `shown_sums` names it."""
    terms = (*METRICS[metric].numerator, *METRICS[metric].denominator)
    return list(dict.fromkeys(_shown_as(term.sum) for term in terms))


def _shown_as(of: Sum) -> str:
    return _SHOWN_AS.get(of, of.value)


def shown_sums(sums: Sums, currency: str) -> Mapping[str, Value]:
    """By the names that definitions use. Numbers for counts, decimal strings for money."""
    return {
        _shown_as(of): from_minor(int(value), currency) if of in _SHOWN_AS else as_count(value)
        for of, value in sums.items()
    }


def estimated(*, visitors: bool) -> Mapping[str, Mapping[str, str]]:
    """What an answer says of metrics that it does not know exactly."""
    return {"unique_visitors": {"standard_error": str(STANDARD_ERROR)}} if visitors else {}


def explained(name: str) -> Mapping[str, Any]:
    """As the answer shows a metric's definition."""
    metric = METRICS[name]
    return {
        "formula": metric.formula,
        "unit": metric.unit.value,
        "numerator": _text(metric.numerator),
        "denominator": _text(metric.denominator) or None,
        "additive": metric.additive,
    }


def _text(terms: tuple[Term, ...]) -> str:
    texts = [
        f"{'- ' if term.sign < 0 else '+ '}{_shown_as(term.sum)}{' x gross_margin' if term.times_margin else ''}"
        for term in terms
    ]
    return " ".join(texts).removeprefix("+ ")
