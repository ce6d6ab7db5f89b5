"""kill -9 of our own processes under load: what was answered is stored, once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.load import Ledger, tapping
from tests.support.processes import is_alive
from tests.support.service import SLUGS, Service, service
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with service(tmp_path_factory.mktemp("service"), WORKERS="2") as started:
        yield started


async def test_a_killed_worker_loses_none_of_the_clicks_it_answered(running: Service) -> None:
    async with tapping(running.port, SLUGS) as ledger:
        for _ in range(3):
            await ledger.grows_by(150)
            os.kill(running.server.redirect_workers()[0], signal.SIGKILL)
        await ledger.grows_by(150)
        await _until_workers(running, 2)
    assert ledger.other == []
    await running.assert_exactly_once(ledger)


async def test_a_consumer_killed_in_the_middle_of_a_batch_doubles_and_loses_nothing(running: Service) -> None:
    async with tapping(running.port, SLUGS) as ledger:
        for _ in range(3):
            running.consumer.send(signal.SIGSTOP)
            await ledger.grows_by(300)
            stored = len(await running.stored())
            running.consumer.send(signal.SIGCONT)
            await eventually(lambda: _more_than(running, stored))  # noqa: B023
            running.consumer.kill()
            await ledger.grows_by(100)
            running.consumer.start()
    assert ledger.broken == 0
    await running.assert_exactly_once(ledger)


async def _more_than(running: Service, stored: int) -> bool:
    return len(await running.stored()) > stored


async def test_all_of_it_killed_at_once_recovers_all_that_was_answered(running: Service) -> None:
    async with tapping(running.port, SLUGS) as ledger:
        await ledger.grows_by(300)
        _kill_all(running)
        await asyncio.gather(running.postgres.kill(), running.valkey.kill())
        await asyncio.gather(running.postgres.start(), running.valkey.start())
        running.server.start()
        running.consumer.start()
        await ledger.grows_by(300)
    await running.assert_exactly_once(ledger)


def _kill_all(running: Service) -> None:
    for pid in (*running.server.children(), *running.consumer.children()):
        os.kill(pid, signal.SIGKILL)
    running.server.kill()
    running.consumer.kill()


async def test_a_rolling_restart_under_load_fails_no_request(running: Service) -> None:
    await running.is_ready()
    async with tapping(running.port, SLUGS, browsers=8) as ledger:
        for _ in range(2):
            await _restart_each_worker(running, ledger)
    assert (ledger.broken, ledger.other) == (0, [])
    # New workers take both processors while they start.
    assert ledger.slowest_s < 8
    await running.assert_exactly_once(ledger)


async def _restart_each_worker(running: Service, ledger: Ledger) -> None:
    for pid in running.server.redirect_workers():
        await ledger.grows_by(200)
        os.kill(pid, signal.SIGTERM)
        await eventually(lambda: not is_alive(pid))  # noqa: B023
        await _until_workers(running, 2)
        await running.is_ready()


async def _until_workers(running: Service, count: int) -> None:
    await eventually(lambda: len(running.server.redirect_workers()) == count)
