"""Reads sums of clicks and credits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH

from .postgres import Database, Row
from .statements import statements

_SQL = statements("stats")
_SUMS = (
    "clicks", "bot_clicks", "unique_visitors", "conversions", "orders", "gross_minor", "net_minor", "discount_minor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatsRow:
    """`dimensions`: all that were grouped by; an hour is an instant, all others are text, None for none."""

    dimensions: Mapping[str, Any]
    clicks: int = 0
    bot_clicks: int = 0
    unique_visitors: int = 0
    conversions: Decimal = Decimal(0)
    orders: Decimal = Decimal(0)
    gross_minor: int = 0
    net_minor: int = 0
    discount_minor: int = 0


@dataclass(frozen=True, slots=True)
class StatsRead:
    as_of: datetime
    rows: Sequence[StatsRow]
    totals: StatsRow
    other_currencies: Sequence[tuple[str, int]]


class StatsTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self,
        program_id: ProgramId,
        currency: str,
        timezone: str,
        start: datetime,
        end: datetime,
        group_by: Sequence[str],
        filters: Mapping[str, Sequence[str]],
    ) -> StatsRead:
        """All of one state of the database, so that rows, totals and `as_of` belong together."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            as_of = await connection.fetchval(_SQL["as_of"], program_id)
            arguments = (program_id, start, end, currency, timezone)
            rows = await connection.fetch(_SQL["rows"], *arguments, group_by, filters)
            totals = await connection.fetch(_SQL["rows"], *arguments, [], filters)
            others = await connection.fetch(_SQL["other_currencies"], *arguments[:4])
        return StatsRead(
            as_of or EPOCH,
            [_row(row, group_by) for row in rows],
            _row(totals[0], ()) if totals else StatsRow({}),
            [(row["currency"], row["conversions"]) for row in others],
        )


def _row(row: Row, group_by: Sequence[str]) -> StatsRow:
    return StatsRow({name: row[name] for name in group_by}, **{name: row[name] for name in _SUMS})
