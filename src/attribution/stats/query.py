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
        rows = [_shown(row, query, program.currency, zone) for row in found.rows]
        rows.sort(key=lambda row: tuple(_order(row[str(d)]) for d in query.group_by))
        if query.sort is not None:
            sort = query.sort
            rows.sort(key=lambda row: _order(row[sort]), reverse=query.descending)
        end = query.offset + query.limit
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "timezone": program.timezone,
            "currency": program.currency,
            "model": "recorded",
            "as_of": found.as_of,
            "rows": rows[query.offset : end],
            "totals": _measured(found.totals, query.metrics, program.currency),
            "definitions": {name: METRICS[name].formula for name in query.metrics},
            "not_additive": [name for name in query.metrics if not METRICS[name].additive],
            "other_currencies": [
                {"currency": currency, "conversions": float(conversions)}
                for currency, conversions in found.other_currencies
            ],
            "next_offset": end if end < len(rows) else None,
        }


def _shown(row: StatsRow, query: StatsQuery, currency: str, zone: ZoneInfo) -> dict[str, Any]:
    dimensions = {str(d): _label(row.dimensions[str(d)], zone) for d in query.group_by}
    return dimensions | _measured(row, query.metrics, currency)


def _measured(row: StatsRow, metrics: Sequence[str], currency: str) -> dict[str, Any]:
    sums = Sums(
        row.clicks, row.bot_clicks, row.unique_visitors, row.conversions, row.orders,
        row.gross_minor, row.net_minor, row.discount_minor,
    )  # fmt: skip
    return {name: METRICS[name].value(sums, currency) for name in metrics}


def _label(value: Any, zone: ZoneInfo) -> str | None:
    """An hour is an instant, since a local hour comes twice when clocks go back."""
    return value.astimezone(zone).isoformat() if isinstance(value, datetime) else value


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers and decimal strings by value, ids and labels by text; nulls last."""
    if value is None:
        return (True, ())
    try:
        return (False, (0, Decimal(value), str(value)))
    except ArithmeticError:
        return (False, (1, Decimal(0), str(value)))
