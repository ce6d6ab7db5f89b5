"""Reads sums of clicks and credits: from rollups, and from rows where those do not reach."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension, Sum

from .postgres import Database, Row
from .statements import statements
from .stats_sql import IDS, Question, Statement, sums_statement, visitors_statement

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("stats")
Sums = dict[Sum, Decimal | int]


@dataclass(frozen=True, slots=True)
class StatsRow:
    """`dimensions`: all that were grouped by. Months to hours are the instants where they begin, all others text."""

    dimensions: Mapping[Dimension, Any]
    sums: Sums


@dataclass(frozen=True, slots=True)
class StatsRead:
    as_of: datetime
    rows: Sequence[StatsRow]
    totals: Sums
    other_currencies: Sequence[tuple[str, int]]


class StatsTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, question: Question, totals: Question) -> StatsRead:
        """All of one state of the database, so that rows, `totals` and `as_of` belong together."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            as_of = await connection.fetchval(_SQL["as_of"], question.program_id)
            zone = await connection.fetchval(_SQL["zone"], question.program_id)
            rolled_up = zone == question.zone.key
            rows = await _rows(connection, question, rolled_up=rolled_up)
            [total] = await _rows(connection, totals, rolled_up=rolled_up)
            others = await connection.fetch(
                _SQL["other_currencies"], question.program_id, question.start, question.stop, question.currency
            )
        return StatsRead(as_of or EPOCH, rows, total.sums, [(row["currency"], row["conversions"]) for row in others])


async def _rows(connection: "Connection", question: Question, *, rolled_up: bool) -> list[StatsRow]:
    rows = [_row(row, question) for row in await _fetch(connection, sums_statement(question, rolled_up=rolled_up))]
    if Sum.UNIQUE_VISITORS in question.sums:
        visitors = {
            tuple(_labels(row, question.group_by).values()): row["unique_visitors"]
            for row in await _fetch(connection, visitors_statement(question))
        }
        for row in rows:
            row.sums[Sum.UNIQUE_VISITORS] = visitors.get(tuple(row.dimensions.values()), 0)
    return rows


async def _fetch(connection: "Connection", statement: Statement) -> list[Row]:
    return await connection.fetch(statement.sql, *statement.values)


def _row(row: Row, question: Question) -> StatsRow:
    sums: Sums = {name: row[name] for name in Sum if name is not Sum.UNIQUE_VISITORS}
    return StatsRow(_labels(row, question.group_by), sums | {Sum.UNIQUE_VISITORS: 0})


def _labels(row: Row, group_by: Iterable[Dimension]) -> dict[Dimension, Any]:
    return {name: str(row[name]) if name in IDS and row[name] is not None else row[name] for name in group_by}
