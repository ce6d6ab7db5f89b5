"""Exchange rates of a programme, append-only."""

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING

from attribution.domain.fx import FxRate, RateBook
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us
from attribution.errors import NotFoundError

from .postgres import Database, Row
from .recording import Recorded, Values, record
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("fx_rates")


class FxRateTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, program_id: ProgramId, rows: Sequence[Values]) -> list[Recorded]:
        """What waits for one of them is judged again."""
        async with self._database.transaction() as connection:
            recorded = await record(connection, _SQL["record"], program_id, rows, _natural_key)
            new = [_natural_key(row) for row, its in zip(rows, recorded, strict=True) if its.stored]
            if new:
                days, bases, quotes = map(list, zip(*new, strict=True))
                await connection.execute(
                    _SQL["reopen"], program_id, [date.fromisoformat(day) for day in days], bases, quotes
                )
            return recorded

    async def read(self, program_id: ProgramId, rate_id: int) -> Row:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["read"], program_id, rate_id)
        if row is None:
            raise NotFoundError
        return row

    async def list(self, program_id: ProgramId, after: int, limit: int) -> Sequence[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["list"], program_id, after, limit)

    async def book(self, program_id: ProgramId, days: Iterable[date]) -> RateBook:
        """Of these days of the programme's zone."""
        async with self._database.connection() as connection:
            return await rate_book(connection, program_id, days)


def _natural_key(row: Values) -> tuple[str, str, str]:
    return row["date"], row["base"], row["quote"]


async def rate_book(connection: "Connection", program_id: ProgramId, days: Iterable[date]) -> RateBook:
    """As this connection's transaction sees it."""
    rows = await connection.fetch(_SQL["book"], program_id, sorted(set(days)))
    return RateBook(
        FxRate(row["date"], row["base"], row["quote"], Fraction(row["rate"]), to_us(row["created_at"]))
        for row in rows
    )
