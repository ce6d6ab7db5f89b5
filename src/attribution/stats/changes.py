"""Whose clicks, conversion rate or revenue left their own recent range."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.postgres import Row
from attribution.adapters.rankings import Comparison, changed
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_table import StatsTable
from attribution.domain.measures import GRAINS, Dimension, Sum
from attribution.domain.money import from_minor
from attribution.domain.periods import bucket_start
from attribution.domain.programs import Program

from .columns import ratio

EARLIER: Final = 8
"""Buckets that make the range."""
_ACTIVE: Final = 4
_EXPECTED_ORDERS: Final = 5


class Changing(StrEnum):
    CLICKS = "clicks"
    CONVERSION_RATE = "conversion_rate"
    REVENUE = "revenue"


_LIMIT_SIGMAS: Final = {Changing.CLICKS: 3.5, Changing.REVENUE: 3.5, Changing.CONVERSION_RATE: 3.0}
_MINIMUM: Final = {Changing.CLICKS: 80, Changing.REVENUE: 20, Changing.CONVERSION_RATE: 80}
_SUMS: Final = {
    Changing.CLICKS: {Sum.CLICKS},
    Changing.REVENUE: {Sum.NET, Sum.ORDERS},
    Changing.CONVERSION_RATE: {Sum.CLICKS, Sum.ORDERS},
}
_POISSON: Final = (
    "for a Poisson count n about m, 2 x (root of (n + 3/8) - root of (m + 3/8)), which has a standard deviation of 1"
    " (Anscombe 1948)"
)
_ROBUST: Final = (
    "score beyond +- 3.5, the nearer to 0 of two: (value - centre) / 1.4826 x the median absolute deviation from it"
    f" (Iglewicz and Hoaglin 1993); and {_POISSON}, "
)
_SIGMA: Final = "; sigma is the greater of 1.4826 x that deviation and the root of "
DEFINITIONS: Final = {
    Changing.CLICKS: f"{_ROBUST}n the value and m the centre, the median of the earlier buckets{_SIGMA}the centre",
    Changing.REVENUE: (
        f"{_ROBUST}n the value and m the centre, the median of the earlier buckets, in mean orders of theirs{_SIGMA}"
        "centre x mean order"
    ),
    Changing.CONVERSION_RATE: (
        f"score beyond +- 3: {_POISSON}, n the orders of the last bucket and m those expected of its clicks; centre:"
        " orders / clicks of all earlier buckets together; sigma: the root of centre / clicks of the last bucket"
        f" (u chart, NIST/SEMATECH e-Handbook 6.3.3.1); at least {_EXPECTED_ORDERS} orders must be expected"
    ),
}


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """The last whole bucket that ends by `at` is compared. `minimum`: clicks (of revenue: orders) in the earlier."""

    at: datetime
    by: Dimension
    metric: Changing
    grain: Dimension = Dimension.DAY
    minimum: int | None = None
    limit: int = 100


class Changes:
    def __init__(self, table: StatsTable) -> None:
        self._table = table

    async def query(self, program: Program, query: ChangesQuery) -> Mapping[str, Any]:
        zone = ZoneInfo(program.timezone)
        starts = _last_buckets(query, zone)
        comparison = _comparison(query, starts[:-1])
        async with self._table.snapshot(program.program_id) as facts:
            rows = await changed(facts, _question(program, query, starts), comparison)
        return {
            "by": query.by.value,
            "metric": query.metric.value,
            "grain": query.grain.value,
            "from": starts[-2].astimezone(zone),
            "to": starts[-1].astimezone(zone),
            "earlier_from": starts[0].astimezone(zone),
            "earlier_buckets": EARLIER,
            "currency": program.currency,
            "as_of": facts.as_of,
            "complete": facts.as_of >= starts[-1],
            "minimum": comparison.minimum,
            "rows": [_row(row, query, program) for row in rows if row[query.by] is not None],
            "compared": rows[0]["compared"],
            "too_little_data": rows[0]["found"] - rows[0]["compared"],
            "definition": DEFINITIONS[query.metric],
        }


def _last_buckets(query: ChangesQuery, zone: ZoneInfo) -> list[datetime]:
    """Where the earlier ones and the last one begin, then where it ends."""
    grain = GRAINS[query.grain]
    starts = [bucket_start(query.at, grain, zone)]
    while len(starts) < EARLIER + 2:
        starts.append(bucket_start(starts[-1] - timedelta(hours=1), grain, zone))
    return starts[::-1]


def _comparison(query: ChangesQuery, buckets: list[datetime]) -> Comparison:
    value = {Changing.CLICKS: Sum.CLICKS, Changing.REVENUE: Sum.NET, Changing.CONVERSION_RATE: None}[query.metric]
    return Comparison(
        dimension=query.by,
        grain=query.grain,
        buckets=buckets,
        value=value,
        events=Sum.ORDERS if query.metric is Changing.REVENUE else Sum.CLICKS,
        least_worth=1.0,
        limit_sigmas=_LIMIT_SIGMAS[query.metric],
        active=_ACTIVE,
        minimum=_MINIMUM[query.metric] if query.minimum is None else query.minimum,
        expected=_EXPECTED_ORDERS,
        limit=query.limit,
    )


def _question(program: Program, query: ChangesQuery, starts: list[datetime]) -> Question:
    return Question(
        program_id=program.program_id,
        currency=program.currency,
        gross_margin=program.gross_margin,
        zone=ZoneInfo(program.timezone),
        start=starts[0],
        stop=starts[-1],
        group_by=(query.by, query.grain),
        filters={},
        sums=_SUMS[query.metric],
    )


def _row(row: Row, query: ChangesQuery, program: Program) -> Mapping[str, Any]:
    def figure(value: float) -> str | float | None:
        if query.metric is Changing.REVENUE:
            return from_minor(round(value), program.currency)
        return ratio(Decimal(value), Decimal(1)) if query.metric is Changing.CONVERSION_RATE else round(value, 2)

    return {
        query.by.value: str(row[query.by]),
        **{name: figure(row[name]) for name in ("value", "centre", "sigma", "lower", "upper")},
        "score": round(row["score"], 2),
        "evidence": row["evidence"],
    }
