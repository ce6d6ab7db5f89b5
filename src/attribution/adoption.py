"""What dead processes left in their journals is taken over as soon as nobody holds them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from .journal import JournalDirectory

_log = structlog.get_logger(__name__)


class Adopter:
    """Of the journals `prefix-*` under `root`; `finish` empties one, and is started anew after a restart."""

    def __init__(
        self,
        root: Path,
        prefix: str,
        scan_interval_s: float,
        finish: Callable[[JournalDirectory], Awaitable[None]],
    ) -> None:
        self._root = root
        self._prefix = prefix
        self._scan_interval_s = scan_interval_s
        self._empty = finish

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as adoptions:
            while True:
                for path in sorted(self._root.glob(f"{self._prefix}-*")):
                    if (directory := _claim(path)) is not None:
                        adoptions.create_task(self._finish(directory), name=f"adopt {path.name}")
                await asyncio.sleep(self._scan_interval_s)

    async def _finish(self, directory: JournalDirectory) -> None:
        try:
            if directory.segments():
                _log.info("journal_adopted", journal=directory.path.name)
                await self._empty(directory)
        except OSError as error:
            _refused(directory.path, error)
        finally:
            directory.release()


def _claim(path: Path) -> JournalDirectory | None:
    try:
        return JournalDirectory.claim(path)
    except OSError as error:
        _refused(path, error)
        return None


def _refused(path: Path, error: OSError) -> None:
    """A full disk must not end a process that goes on redirecting, with clicks in its memory; the next scan tries."""
    _log.warning("journal_not_adopted", journal=path.name, error=str(error))
