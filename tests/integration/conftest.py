from collections.abc import AsyncIterator

import pytest_asyncio
from tests.support.api import Api, running_api
from tests.support.worlds import found_foreign_program

from attribution.adapters.postgres import Database
from attribution.settings import Settings


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(Settings(database_url=database_url), size=8)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def foreign_program(database: Database) -> None:
    """Beside the programmes of the test: whose objects theirs must not be taken for."""
    async with database.connection() as connection:
        await found_foreign_program(connection)
