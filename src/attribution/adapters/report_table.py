"""Reads what a report over a period is made of, piece by piece."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from attribution.domain.ids import ConversionId, ProgramId
from attribution.domain.instants import EPOCH

from .credit_facts import CreditFacts
from .postgres import LONG_S, Database
from .statements import statements
from .stored_conversions import ConversionKey

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("reports")
_ROWS = 1_000


class ReportTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["ReportFacts"]:
        """All reads see one state of the database."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            yield ReportFacts(connection)


class ReportFacts(CreditFacts):
    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self._connection = connection

    async def as_of(self, program_id: ProgramId) -> datetime:
        """Everything accepted before this instant is in the report; 1970 before a consumer has said how far it is."""
        return await self._connection.fetchval(_SQL["as_of"], program_id) or EPOCH

    async def keys(
        self, program_id: ProgramId, start: datetime, end: datetime, batch: int
    ) -> AsyncIterator[list[ConversionKey]]:
        """Of the confirmed conversions from `start` to before `end`, in batches."""
        after: tuple[datetime, int] = (start, 0)
        while rows := await self._connection.fetch(
            _SQL["conversions_of_period"], program_id, start, end, *after, batch
        ):
            yield [(program_id, ConversionId(row["conversion_id"])) for row in rows]
            after = (rows[-1]["occurred_at"], rows[-1]["conversion_id"])

    async def null_paths(
        self, program_id: ProgramId, start: datetime, end: datetime, unit: str
    ) -> AsyncIterator[tuple[tuple[str, ...], int]]:
        """Each path that no conversion follows, and how many visitors walked it; `none` is a touch without a unit."""
        arguments = (program_id, start, end, unit)
        async for row in self._connection.cursor(_SQL["null_paths"], *arguments, prefetch=_ROWS, timeout=LONG_S):
            yield tuple(row["touches"]), row["walks"]
