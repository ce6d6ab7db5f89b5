"""What a brand asks of its programme, and the answer in the contract's shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.stats_table import StatsRow, StatsTable
from attribution.domain.programs import Program

from .metrics import METRICS, Sums


class Dimension(StrEnum):
    INFLUENCER = "influencer"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"
    POST = "post"
    LINK = "link"
    CODE = "code"
    CONVERSION_TYPE = "conversion_type"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


NONE: Final = "none"
"""As a filter's value: rows where the dimension is null."""


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """`start` (inclusive) to `end` (exclusive). `sort`: a metric or dimension of the answer."""

    start: datetime
    end: datetime
    group_by: Sequence[Dimension] = ()
    metrics: Sequence[str] = tuple(METRICS)
    filters: Mapping[Dimension, Sequence[str]] = field(default_factory=dict)
    sort: str | None = None
    descending: bool = False
    limit: int = 100
    offset: int = 0


class Stats:
    def __init__(self, table: StatsTable) -> None:
        self._table = table

    async def query(self, program: Program, query: StatsQuery) -> Mapping[str, Any]:
        found = await self._table.read(
            program.program_id,
            program.currency,
            program.timezone,
            query.start,
            query.end,
            [str(dimension) for dimension in query.group_by],
            {str(dimension): list(values) for dimension, values in query.filters.items()},
        )
        zone = ZoneInfo(program.timezone)
        rows = [{**row.dimensions, **_measured(row, query.metrics, program.currency)} for row in found.rows]
        for dimension in reversed(query.group_by):
            rows = _sorted(rows, dimension)
        if query.sort is not None:
            rows = _sorted(rows, query.sort, descending=query.descending)
        end = query.offset + query.limit
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "timezone": program.timezone,
            "currency": program.currency,
            "model": "recorded",
            "as_of": found.as_of,
            "rows": [_labelled(row, zone) for row in rows[query.offset : end]],
            "totals": _measured(found.totals, query.metrics, program.currency),
            "definitions": {name: METRICS[name].formula for name in query.metrics},
            "not_additive": [name for name in query.metrics if not METRICS[name].additive],
            "other_currencies": [
                {"currency": currency, "conversions": conversions} for currency, conversions in found.other_currencies
            ],
            "next_offset": end if end < len(rows) else None,
        }


def _measured(row: StatsRow, metrics: Sequence[str], currency: str) -> dict[str, Any]:
    sums = Sums(
        row.clicks, row.bot_clicks, row.unique_visitors, row.conversions, row.orders,
        row.gross_minor, row.net_minor, row.discount_minor,
    )  # fmt: skip
    return {name: METRICS[name].value(sums, currency) for name in metrics}


def _labelled(row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """An hour is an instant until here, since a local hour comes twice when clocks go back."""
    return {
        name: value.astimezone(zone).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _sorted(rows: Sequence[dict[str, Any]], column: str, *, descending: bool = False) -> list[dict[str, Any]]:
    """Nulls last in either direction; rows that are equal stay as they are."""
    valued = [row for row in rows if row[column] is not None]
    valued.sort(key=lambda row: _order(row[column]), reverse=descending)
    return valued + [row for row in rows if row[column] is None]


def _order(value: Any) -> Any:
    """Instants by time, numbers and decimal strings by value, all other texts after them."""
    if isinstance(value, datetime):
        return value
    try:
        number = Decimal(value)
    except ArithmeticError:
        number = Decimal("NaN")
    # A code may be NAN10, which Decimal takes for a number that nothing compares with.
    return (0, number, str(value)) if number.is_finite() else (1, 0, str(value))
