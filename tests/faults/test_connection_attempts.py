"""What a server's absence costs: how often the real server knocks there while links are tapped, warm and old."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.chaos.proxy import Ends, Proxy, to_unix
from tests.support.load import tapping
from tests.support.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINKS = [f"link{number}" for number in range(200)]
BROWSERS, TAPS = 8, 1_500
ATTEMPTS_PER_S = 15
"""Of all tasks of the worker together, each of which pauses; a look-up for each old link would be many times that."""


class Door:
    """The only way to a server."""

    def __init__(self, connect: Callable[[], Awaitable[Ends]]) -> None:
        self._connect = connect
        self.knocks = 0
        self.proxy = Proxy(self._pass, random.Random(1))  # noqa: S311

    async def _pass(self) -> Ends:
        self.knocks += 1
        return await self._connect()


@dataclass(frozen=True)
class Guarded:
    running: Service
    to_postgres: Door
    to_redis: Door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    # Each link is old, and its refresh due again, at nearly every tap.
    settings = {"ATTRIBUTION_LINK_CACHE_TTL_S": "0.1", "ATTRIBUTION_LINK_LOOKUP_TIMEOUT_MS": "300"}
    running = Service(tmp_path_factory.mktemp("service"), settings)
    to_postgres = Door(lambda: to_unix(running.postgres._socket_directory / ".s.PGSQL.5432"))
    to_redis = Door(lambda: to_unix(running.valkey._socket))
    async with to_postgres.proxy, to_redis.proxy, running.postgres, running.valkey:
        settings["DATABASE_URL"] = (
            f"postgresql://postgres@127.0.0.1:{to_postgres.proxy.port}/postgres?sslmode=disable"
        )
        settings["REDIS_URL"] = f"redis://127.0.0.1:{to_redis.proxy.port}"
        try:
            await running.start()
            await running.make_links(LINKS)
            yield Guarded(running, to_postgres, to_redis)
        finally:
            await asyncio.to_thread(running.stop)


async def test_while_both_are_away_old_links_are_answered_and_few_connections_are_tried(guarded: Guarded) -> None:
    running = guarded.running
    # Its own attempts are not the redirect's.
    await asyncio.to_thread(running.consumer.stop)
    async with tapping(running.port, LINKS, browsers=BROWSERS) as ledger:
        await ledger.grows_by(BROWSERS * len(LINKS))
        assert ledger.other == []
        await asyncio.gather(running.postgres.kill(), running.valkey.kill())
        began = time.monotonic()
        for door in (guarded.to_postgres, guarded.to_redis):
            door.knocks = 0
        await ledger.grows_by(TAPS)
        seconds = time.monotonic() - began
        knocks = guarded.to_postgres.knocks, guarded.to_redis.knocks
        assert (ledger.other, ledger.broken) == ([], 0)
        await asyncio.gather(running.postgres.start(), running.valkey.start())
        await ledger.grows_by(TAPS)
    running.consumer.start()
    assert (ledger.other, ledger.broken) == ([], 0)
    assert max(knocks) < ATTEMPTS_PER_S * (seconds + 1), knocks
    await running.assert_exactly_once(ledger)
