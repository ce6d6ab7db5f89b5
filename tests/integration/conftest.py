from collections.abc import AsyncIterator

import pytest_asyncio
from tests.support.api import Api, running_api


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running
