import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio

from attribution.entrypoints.background import background

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def drained() -> AsyncIterator[asyncio.Event]:
    """Set when this process is told to end."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:
        yield told
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _fails() -> None:
    raise ValueError("broken")


async def _takes_itself_for_cancelled() -> None:
    raise asyncio.CancelledError


async def _ends() -> None:
    return


@pytest.mark.parametrize("work", [_fails, _takes_itself_for_cancelled])
async def test_work_that_fails_ends_the_process(
    work: Callable[[], Coroutine[Any, Any, None]], drained: asyncio.Event
) -> None:
    async with background(work(), "work"):
        await asyncio.wait_for(drained.wait(), 5)


async def test_work_that_is_done_or_cut_off_does_not(drained: asyncio.Event) -> None:
    async with background(_ends(), "work"), background(asyncio.sleep(60), "more"):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not drained.is_set()
