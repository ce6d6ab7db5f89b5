"""Which bytes of which journal are in Postgres: what may be deleted, and where to begin again if Redis forgot."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from .postgres import Database
from .statements import statements

_SQL = statements("journals")


class JournalProgress:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def committed(self, journal_id: UUID) -> Mapping[int, int]:
        """Segment -> how many bytes from its beginning are committed without a gap."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["committed"], journal_id)
        return {row["segment"]: row["stop"] for row in rows}

    async def forget(self, journal_id: UUID, segments: Sequence[int]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["forget"], journal_id, segments)
