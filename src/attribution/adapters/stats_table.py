"""Reads sums of facts: from rollups, and from rows where those do not reach."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attribution.domain.fx import minor_rate
from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH
from attribution.domain.measures import IDS, Dimension, Sum

from .fx_rate_table import rate_book
from .postgres import Database, Row
from .statements import statements
from .stats_sources import COSTS
from .stats_sql import Question, Rates, Statement, foreign_costs_statement, sums_statement, visitors_statement

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("stats")
Sums = dict[Sum, Decimal | int]


@dataclass(frozen=True, slots=True)
class StatsRow:
    """`dimensions`: all that were grouped by. Months to hours are the instants where they begin, all others text."""

    dimensions: Mapping[Dimension, Any]
    sums: Sums


class StatsTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def snapshot(self, program_id: ProgramId) -> AsyncIterator["StatsFacts"]:
        """One state of the database, so that all that is read of it belongs together."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            as_of = await connection.fetchval(_SQL["as_of"], program_id)
            zone = await connection.fetchval(_SQL["zone"], program_id)
            yield StatsFacts(connection, as_of or EPOCH, zone)


class StatsFacts:
    def __init__(self, connection: "Connection", as_of: datetime, rolled_up_in: str | None) -> None:
        self._connection = connection
        self._rolled_up_in = rolled_up_in
        self.as_of = as_of
        """All that was accepted before it is in the sums."""

    async def rows(self, question: Question) -> list[StatsRow]:
        """Raises `MissingRateError` for a cost in a currency that has no rate on its day."""
        rolled_up = self._rolled_up_in == question.zone.key
        rates = await self._rates(question) if question.asks(COSTS) else {}
        statement = sums_statement(question, rolled_up=rolled_up, rates=rates)
        rows = [_row(row, question) for row in await self._fetch(statement)]
        if Sum.UNIQUE_VISITORS in question.sums:
            await self._count_visitors(question, rows)
        return rows

    async def other_currencies(self, question: Question) -> list[tuple[str, int]]:
        """Each with the number of its conversions in the question's period, whatever its filters."""
        rows = await self._connection.fetch(
            _SQL["other_currencies"], question.program_id, question.start, question.stop, question.currency
        )
        return [(row["currency"], row["conversions"]) for row in rows]

    async def _rates(self, question: Question) -> Rates:
        foreign = await self._fetch(foreign_costs_statement(question))
        if not foreign:
            return {}
        book = await rate_book(self._connection, question.program_id, [row["day"] for row in foreign])
        quote = question.currency
        return {
            (base, day): minor_rate(base, quote, book.rate(day, base, quote))
            for base, day in sorted((row["currency"], row["day"]) for row in foreign)
        }

    async def _count_visitors(self, question: Question, rows: Iterable[StatsRow]) -> None:
        visitors = {
            tuple(_labels(row, question.group_by).values()): row["unique_visitors"]
            for row in await self._fetch(visitors_statement(question))
        }
        for row in rows:
            row.sums[Sum.UNIQUE_VISITORS] = visitors.get(tuple(row.dimensions.values()), 0)

    async def _fetch(self, statement: Statement) -> list[Row]:
        return await self._connection.fetch(statement.sql, *statement.values)


def _row(row: Row, question: Question) -> StatsRow:
    return StatsRow(_labels(row, question.group_by), {name: row[name] for name in question.added})


def _labels(row: Row, group_by: Sequence[Dimension]) -> dict[Dimension, Any]:
    return {name: str(row[name]) if name in IDS and row[name] is not None else row[name] for name in group_by}
