"""Real servers for the tests: one Postgres and one Valkey a test process, an empty database a test."""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio
import structlog
from tests.support.spare_databases import SpareDatabases

from attribution.embedded.postgres import EmbeddedPostgres
from attribution.embedded.valkey import EmbeddedValkey
from attribution.entrypoints.migrate import migrate
from attribution.settings import Settings

for _name in list(os.environ):  # a developer's own settings are not the tests'
    if _name.startswith("ATTRIBUTION_") or _name in {
        "DATABASE_URL",
        "REDIS_URL",
        "HOST",
        "PORT",
        "DATA_DIR",
        "WORKERS",
    }:
        del os.environ[_name]


def pytest_configure(config: pytest.Config) -> None:
    """A directory of this run's own: runs that share one take away each other's permissions and files."""
    _require_compiled_as_written(config.rootpath)
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


def _require_compiled_as_written(root: Path) -> None:
    made = root / ".venv/.installed"
    for compiled in root.glob("src/attribution/**/*.so"):
        source = compiled.with_name(f"{compiled.name.partition('.')[0]}.py")
        if made.exists() and source.stat().st_mtime > made.stat().st_mtime:
            pytest.exit(
                f"{source.relative_to(root)} was changed after it was compiled: `make {made.relative_to(root)}`"
            )


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """A test that runs a command in this process leaves its log on a stream that pytest closes."""
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if type(handler) is logging.StreamHandler]:
        root.removeHandler(handler)


class HastyPostgres(EmbeddedPostgres):
    """Of databases that no test kills: it does not wait for the disk."""

    @property
    def _argv(self) -> Sequence[str]:
        return [*super()._argv, "--fsync=off"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    async with HastyPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedValkey]:
    async with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_template(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    await _execute(postgres.url, "CREATE DATABASE migrated")
    settings = Settings(
        database_url=_with_database(postgres.url, "migrated"), data_dir=tmp_path_factory.mktemp("migrate")
    )
    await asyncio.to_thread(migrate, settings)
    return "migrated"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def spare_databases(postgres: EmbeddedPostgres, migrated_template: str) -> SpareDatabases:
    return SpareDatabases(postgres.url, migrated_template)


@pytest_asyncio.fixture
async def database_url(spare_databases: SpareDatabases) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with spare_databases.lent() as url:
        yield url


@pytest_asyncio.fixture
async def redis_url(valkey: EmbeddedValkey) -> str:
    """Empty at the start of each test."""
    async with redis.asyncio.from_url(valkey.url) as client:
        await client.flushall()
    return valkey.url


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
