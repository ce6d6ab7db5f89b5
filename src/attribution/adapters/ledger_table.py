"""What was counted of the clicks on their way, in Postgres: by journals, and where they arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from attribution.domain.quarters import quarter_start
from attribution.tally import Counts

from .postgres import Database
from .statements import statements

_SQL = statements("ledger")


@dataclass(frozen=True, slots=True)
class JournalState:
    """`ended`: no living process counts for it."""

    journal_id: UUID
    worker: str
    partition: int
    unshipped_bytes: int
    uncommitted_bytes: int
    ended: bool
    reported_at: datetime | None = None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    stored: int = 0
    dead_lettered: int = 0


class LedgerTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, journal: JournalState, tallies: Mapping[UUID, Mapping[int, Counts]]) -> None:
        rows = [
            (quarter_start(quarter), tally_id, *counts)
            for tally_id, by_quarter in tallies.items()
            for quarter, counts in by_quarter.items()
        ]
        async with self._database.transaction() as connection:
            await connection.execute(
                _SQL["report_journal"],
                journal.journal_id,
                journal.worker,
                journal.partition,
                journal.unshipped_bytes,
                journal.uncommitted_bytes,
                journal.ended,
            )
            if rows:
                await connection.execute(_SQL["report_tallies"], journal.journal_id, *zip(*rows, strict=True))

    async def journals(self) -> Sequence[JournalState]:
        async with self._database.connection() as connection:
            return [JournalState(**row) for row in await connection.fetch(_SQL["journals"])]

    async def tallied(self, start: datetime, end: datetime) -> Mapping[UUID, Counts]:
        """By journal."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["tallies"], start, end)
        return {row["journal_id"]: Counts(row["accepted"], row["journalled"], row["lost"]) for row in rows}

    async def arrived(self, start: datetime, end: datetime) -> Mapping[UUID, Arrived]:
        """By journal."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["arrivals"], start, end)
        return {row["journal_id"]: Arrived(row["stored"], row["dead_lettered"]) for row in rows}

    async def rows(self, start: datetime, end: datetime) -> int:
        """Of the table of clicks itself: reads all of the period."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(_SQL["rows"], start, end)
            return count

    async def retire(self, journal_id: UUID) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["retire_journal"], journal_id)
