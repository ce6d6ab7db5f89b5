"""Tasks that live as long as their process."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Work that should never end by itself: if it fails, the process drains, and its supervisor starts another."""
    leaving = False

    def ended(task: asyncio.Task[None]) -> None:
        # A task that takes a failure for its own cancellation has failed too.
        if task.cancelled() and not leaving:
            _end_process(name, None)
        elif not task.cancelled() and (error := task.exception()) is not None:
            _end_process(name, error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    try:
        yield
    finally:
        leaving = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _end_process(name: str, error: BaseException | None) -> None:
    _log.error("background_task_failed", task=name, exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)
