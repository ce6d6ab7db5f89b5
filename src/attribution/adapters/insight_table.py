"""Insights of posts: running totals, append-only."""

from collections.abc import Sequence

from attribution.domain.ids import ProgramId
from attribution.errors import NotFoundError

from .postgres import Database, Row
from .recording import Recorded, Values, record
from .statements import statements

_SQL = statements("insights")


class InsightTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, program_id: ProgramId, rows: Sequence[Values]) -> list[Recorded]:
        """Each with its `post_id`, of this programme, and `at`."""
        async with self._database.transaction() as connection:
            return await record(connection, _SQL["record"], program_id, rows, lambda row: (row["post_id"], row["at"]))

    async def list(self, program_id: ProgramId, post_id: int, after: int, limit: int) -> Sequence[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["list"], program_id, post_id, after, limit)

    async def require_post(self, program_id: ProgramId, post_id: int) -> None:
        """Raises `NotFoundError`."""
        async with self._database.connection() as connection:
            if await connection.fetchval(_SQL["post"], program_id, post_id) is None:
                raise NotFoundError
