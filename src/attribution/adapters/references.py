"""Objects as files name them: by the ids that others gave them, and posts by their addresses too."""

from collections.abc import Iterable, Mapping, Sequence

from attribution.domain.ids import ProgramId

from .postgres import Database, Row
from .statements import statements

Found = Mapping[str, Sequence[int]]
"""Reference -> ids: several only of posts, whose page it is."""
_SQL = statements("references")


class References:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def influencers(self, program_id: ProgramId, external_ids: Iterable[str]) -> Found:
        return await self._found("influencers", program_id, list(external_ids))

    async def campaigns(self, program_id: ProgramId, external_ids: Iterable[str]) -> Found:
        return await self._found("campaigns", program_id, list(external_ids))

    async def posts(self, program_id: ProgramId, forms: Mapping[str, Sequence[str]]) -> Found:
        """`forms`: reference -> the external ids or addresses it may have here."""
        pairs = [(reference, form) for reference, spelled in forms.items() for form in spelled]
        return await self._found("posts", program_id, [pair[0] for pair in pairs], [pair[1] for pair in pairs])

    async def known_posts(self, program_id: ProgramId, ids: Iterable[int]) -> Found:
        """Those of these that are the programme's, by their text."""
        return await self._found("known_posts", program_id, list(ids))

    async def known(self, table: str, program_id: ProgramId, external_ids: Sequence[str]) -> set[str]:
        """Those of these that objects of a kind have."""
        if not external_ids:
            return set()
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["known"].format(table=table), program_id, external_ids)
        return {row["external_id"] for row in rows}

    async def _found(self, statement: str, program_id: ProgramId, *keys: Sequence[object]) -> Found:
        if not keys[0]:
            return {}
        async with self._database.connection() as connection:
            rows: Sequence[Row] = await connection.fetch(_SQL[statement], program_id, *keys)
        return {row["reference"]: row["ids"] for row in rows}
