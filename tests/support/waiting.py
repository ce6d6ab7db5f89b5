"""Tests wait for what they expect, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.02


def wait_until(predicate: Callable[[], T], timeout: float = 10.0) -> T:
    """The predicate's first true value."""
    give_up_at = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {timeout} s: {predicate}")
        time.sleep(_POLL_S)
    return value


async def eventually(predicate: Callable[[], object], timeout: float = 10.0) -> None:  # noqa: ASYNC109
    """The same within an event loop; the predicate may be a coroutine function."""
    give_up_at = time.monotonic() + timeout
    while not await _value(predicate):
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {timeout} s: {predicate}")
        await asyncio.sleep(_POLL_S)


async def _value(predicate: Callable[[], object]) -> object:
    value = predicate()
    return await value if isinstance(value, Awaitable) else value
