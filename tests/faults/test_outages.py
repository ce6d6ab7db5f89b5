"""One server and one consumer under a steady load of taps, while parts of them go away and come back."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import pytest_asyncio
from tests.support.load import tapping
from tests.support.processes import pause, resume
from tests.support.service import SLUGS, Service, service

from attribution.embedded.server import EmbeddedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANSWERED_WITHIN_S = 2.0


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


Outage = Callable[[EmbeddedServer], AbstractAsyncContextManager[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    # Links grow old during each outage, so that their refresh is at stake too.
    async with service(tmp_path_factory.mktemp("service"), ATTRIBUTION_LINK_CACHE_TTL_S="0.3") as started:
        yield started


@asynccontextmanager
async def stopped(server: EmbeddedServer) -> AsyncIterator[None]:
    await server.stop()
    yield
    await server.start()


@asynccontextmanager
async def killed(server: EmbeddedServer) -> AsyncIterator[None]:
    await server.kill()
    yield
    await server.start()


@asynccontextmanager
async def emptied(server: EmbeddedServer) -> AsyncIterator[None]:
    await server.kill()
    for file in server.directory.glob("appendonlydir/*"):
        file.unlink()
    yield
    await server.start()


@asynccontextmanager
async def paused(server: EmbeddedServer) -> AsyncIterator[None]:
    pause(server.pid)
    try:
        yield
    finally:
        resume(server.pid)


async def _assert_unharmed(running: Service, server: EmbeddedServer, outage: Outage, taps: int) -> None:
    async with tapping(running.port, SLUGS) as ledger:
        await ledger.grows_by(200)
        async with outage(server):
            await ledger.grows_by(taps)
        await ledger.grows_by(200)
    assert ledger.broken == 0
    assert ledger.other == []
    assert ledger.slowest_s < ANSWERED_WITHIN_S
    await running.assert_exactly_once(ledger)


@pytest.mark.parametrize(
    ("outage", "taps"),
    [(stopped, 500), (killed, 500), (emptied, 500), (paused, 4000)],
    ids=_name,
)
async def test_redis_away_costs_no_tap_and_no_click(outage: Outage, taps: int, running: Service) -> None:
    await _assert_unharmed(running, running.valkey, outage, taps)


@pytest.mark.parametrize(("outage", "taps"), [(stopped, 500), (killed, 500), (paused, 1000)], ids=_name)
async def test_postgres_away_costs_no_tap_and_no_click(outage: Outage, taps: int, running: Service) -> None:
    await _assert_unharmed(running, running.postgres, outage, taps)


async def test_both_away_cost_no_tap_and_no_click(running: Service) -> None:
    @asynccontextmanager
    async def both(_: EmbeddedServer) -> AsyncIterator[None]:
        async with killed(running.postgres), emptied(running.valkey):
            yield

    await _assert_unharmed(running, running.postgres, both, 500)
