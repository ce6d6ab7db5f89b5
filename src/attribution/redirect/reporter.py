"""Tells Postgres, for the ledger, what the processes of a journal counted and how much of it waits on this disk."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from attribution.adapters.journal_progress import JournalProgress
from attribution.adapters.ledger_table import JournalState, LedgerTable
from attribution.errors import UnavailableError
from attribution.journal import JournalDirectory
from attribution.tally import Counts, read_tally, tallies_in, tally_id

from .shipper import Shipper

_log = structlog.get_logger(__name__)
_INTERVAL_S = 2.0


class JournalReporter:
    def __init__(
        self,
        directory: JournalDirectory,
        partition: int,
        shipper: Shipper,
        progress: JournalProgress,
        table: LedgerTable,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._directory = directory
        self._partition = partition
        self._shipper = shipper
        self._progress = progress
        self._table = table
        self._interval_s = interval_s
        self._reporting = asyncio.Lock()

    async def run(self, living: Callable[[], Path | None]) -> None:
        """Until cancelled. `living`: the tally that is still written to."""
        while True:
            try:
                await self.report(living())
            except UnavailableError as error:
                _log.debug("clicks_not_reported", journal=self._directory.path.name, error=str(error))
            await asyncio.sleep(self._interval_s)

    async def report(self, living: Path | None) -> None:
        """The tallies of dead processes are removed when Postgres has them. Raises `DatabaseUnavailableError`."""
        async with self._reporting:
            paths = tallies_in(self._directory.path)
            tallies = {tally_id(path): _counts(path, living) for path in paths}
            # After the tallies: what they count as journalled and is not unshipped has been shipped.
            await self._table.report(await self._state(ended=living is None), tallies)
            for path in paths:
                if path != living:
                    path.unlink()

    async def _state(self, *, ended: bool) -> JournalState:
        directory = self._directory
        unshipped_bytes = self._shipper.unshipped_bytes()
        sizes = {segment: directory.size(segment) for segment in directory.segments()}
        committed = await self._progress.committed(directory.journal_id)
        return JournalState(
            directory.journal_id,
            f"{socket.gethostname()}/{directory.path.name}",
            self._partition,
            unshipped_bytes,
            sum(max(size - committed.get(segment, 0), 0) for segment, size in sizes.items()),
            ended,
        )


def _counts(path: Path, living: Path | None) -> Mapping[int, Counts]:
    """What a dead process held in memory went with it."""
    counts = read_tally(path)
    if path == living:
        return counts
    return {quarter: each._replace(lost=each.accepted - each.journalled) for quarter, each in counts.items()}
