"""Programmes as requests find them: by key, or by the API key that speaks for one."""

from collections.abc import Mapping
from dataclasses import dataclass

from attribution.domain.ids import ProgramId
from attribution.domain.programs import DEFAULT_CLICK_ID_PARAM, DEFAULT_PROGRAM_KEY, Program

from .postgres import Database, Row
from .statements import statements

_DEFAULT = (DEFAULT_PROGRAM_KEY, "Default", "USD", "UTC", DEFAULT_CLICK_ID_PARAM, 1)


@dataclass(frozen=True, slots=True)
class KnownProgram:
    program: Program
    webhook_secrets: Mapping[str, str]


class Programs:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("programs")

    async def by_key(self, key: str) -> KnownProgram | None:
        """The programme `default` is there as soon as someone asks for it."""
        known = await self._known("by_key", key)
        if known is None and key == DEFAULT_PROGRAM_KEY:
            await self.ensure_default()
            known = await self._known("by_key", key)
        return known

    async def by_api_key(self, key_hash: bytes) -> KnownProgram | None:
        return await self._known("by_api_key", key_hash)

    async def ensure_default(self) -> None:
        async with self._database.connection() as connection:
            await connection.execute(self._sql["ensure"], *_DEFAULT)

    async def add_api_key(self, program_id: ProgramId, key_hash: bytes) -> None:
        async with self._database.connection() as connection:
            await connection.execute(self._sql["insert_api_key"], program_id, key_hash)

    async def _known(self, name: str, value: str | bytes) -> KnownProgram | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql[name], value)
        return _known_program(row) if row else None


def _known_program(row: Row) -> KnownProgram:
    program = Program(
        ProgramId(row["program_id"]),
        row["key"],
        row["currency"],
        row["timezone"],
        row["click_id_param"],
        row["gross_margin"],
        row["deduct_included_tax"],
    )
    return KnownProgram(program, row["webhook_secrets"])
