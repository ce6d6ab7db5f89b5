"""Servers of a test's own, for those that are killed and paused."""

import asyncio
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from attribution.embedded.postgres import EmbeddedPostgres
from attribution.entrypoints.migrate import migrate
from attribution.settings import Settings

_numbers = count(1)


async def migrate_template(server: EmbeddedPostgres, data_dir: Path) -> None:
    """The server's database `postgres`: nobody else connects to it."""
    await asyncio.to_thread(migrate, Settings(database_url=server.url, data_dir=data_dir))


async def fresh_database(server: EmbeddedPostgres) -> str:
    """The URL of a copy of the template."""
    name = f"fresh_{next(_numbers)}"
    connection = await asyncpg.connect(_with_database(server.url, "template1"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    finally:
        await connection.close()
    return _with_database(server.url, name)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
