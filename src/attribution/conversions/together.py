"""Lanes: batches on their way at once."""

import asyncio
from collections.abc import Coroutine, Iterable


async def together(lanes: Iterable[Coroutine[None, None, None]]) -> None:
    """Raises what the first that failed raised, when all have ended.

    Not a `TaskGroup`: before Python 3.13 it leaves its task marked as cancelled, and who tries again after an outage
    would take that for the end.
    """
    tasks = [asyncio.ensure_future(lane) for lane in lanes]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
