"""Migrated databases that tests use one after the other: to make one takes ten times as long as to empty one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_PARTITIONS = (
    "SELECT string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits WHERE inhparent = 'clicks'::regclass"
)
# All that a test may have changed of tables, constraints, triggers, functions and settings.
_STRUCTURE = """
SELECT md5(string_agg(part, ' ' ORDER BY part))
FROM (
    SELECT concat_ws(' ', relname, relkind, attname, atttypid, attnotnull, atthasdef)
    FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind <> 't'
    UNION ALL
    SELECT concat_ws(' ', conname, conrelid, convalidated) FROM pg_constraint
    UNION ALL
    SELECT concat_ws(' ', tgname, tgrelid, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', proname, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT setconfig::text FROM pg_db_role_setting
) AS parts (part)
"""
_TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version' ORDER BY 1
"""
_SEQUENCES = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Of the template: its structure, and the rows that it has."""

    structure: str
    rows: Mapping[str, Sequence[Any]]


class SpareDatabases:
    """Copies of a template, each empty but for the rows that the template has."""

    def __init__(self, url: str, template: str) -> None:
        """`url`: of the server's maintenance database."""
        self._url = url
        self._template = template
        self._names = (f"test_{number}" for number in count(1))
        self._spare: list[str] = []
        self._pattern: _Pattern | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[str]:
        """The URL of one."""
        name = self._spare.pop() if self._spare else await self._made()
        yield self._of(name)
        if await self._emptied(name):
            self._spare.append(name)
        else:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _made(self) -> str:
        name = next(self._names)
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    async def _emptied(self, name: str) -> bool:
        """False: the test changed more than rows."""
        pattern = self._pattern = self._pattern or await self._read_pattern()
        connection = await asyncpg.connect(self._of(name))
        try:
            while await connection.fetchval(_END_OTHERS):
                await asyncio.sleep(0.005)
            if partitions := await connection.fetchval(_PARTITIONS):
                await connection.execute(f"DROP TABLE {partitions}")
            if await connection.fetchval(_STRUCTURE) != pattern.structure:
                return False
            await _empty(connection)
            for table, rows in pattern.rows.items():
                await connection.copy_records_to_table(table, records=rows)
        finally:
            await connection.close()
        return True

    async def _read_pattern(self) -> _Pattern:
        template = await asyncpg.connect(self._of(self._template))
        try:
            rows = {table: await template.fetch(f"TABLE {table}") for table in await _filled(template)}
            return _Pattern(await template.fetchval(_STRUCTURE), rows)
        finally:
            await template.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))


async def _empty(connection: asyncpg.Connection) -> None:
    """Without triggers and foreign keys, which would look at each row."""
    filled = await _filled(connection)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("".join(f"DELETE FROM {table};" for table in filled) + _SEQUENCES)  # noqa: S608
    if filled:
        # Else rows of the next test would lie in the gaps, in any order.
        await connection.execute(f"VACUUM {', '.join(filled)}")


async def _filled(connection: asyncpg.Connection) -> list[str]:
    tables = [row[0] for row in await connection.fetch(_TABLES)]
    columns = ", ".join(f"EXISTS (TABLE {table})" for table in tables)
    found = await connection.fetchrow(f"SELECT {columns}")
    return [table for table, is_filled in zip(tables, found or (), strict=True) if is_filled]
