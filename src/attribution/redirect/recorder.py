"""Group commit: all clicks of one turn of the event loop share one write, and are answered after it."""

import asyncio
import os
from collections.abc import Callable

from attribution import metrics
from attribution.journal import Journal
from attribution.settings import JournalSync

_RETRY_S = 0.2


class ClickRecorder:
    """Recording never fails a redirect: while the disk refuses, clicks wait in memory, then count as lost."""

    def __init__(self, journal: Journal, sync: JournalSync, on_commit: Callable[[int], None]) -> None:
        self._journal = journal
        self._sync = sync
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._group: asyncio.Future[None] | None = None
        self._busy = False
        self._refused = False
        self._clicks = 0

    def record(self, record: bytes) -> asyncio.Future[None]:
        """Done when the record is in the journal, as safe as the sync mode says."""
        self._journal.append(record)
        self._clicks += 1
        if self._group is None:
            self._group = self._loop.create_future()
            if not self._busy:
                self._loop.call_soon(self._commit)
        return self._group

    def flush(self) -> None:
        """Writes at once what a refused write left in memory."""
        if self._journal.has_pending:
            self._commit()

    @property
    def writable(self) -> bool:
        """False while the disk refuses clicks."""
        return not self._refused

    def _commit(self) -> None:
        group, self._group = self._group, None
        clicks, self._clicks = self._clicks, 0
        committed = self._journal.commit()
        metrics.CLICKS_JOURNALLED.inc(clicks)
        metrics.JOURNAL_COMMITS.inc()
        self._on_commit(clicks)
        self._refused = not committed
        if not committed:
            self._try_again()
        if group is None:
            return
        if self._sync is JournalSync.GROUP and committed:
            self._busy = True
            self._loop.run_in_executor(None, os.fdatasync, self._journal.fileno()).add_done_callback(
                lambda synced: self._synced(group, synced)
            )
        else:
            group.set_result(None)

    def _synced(self, group: asyncio.Future[None], synced: asyncio.Future[None]) -> None:
        self._busy = False
        if synced.exception() is not None:
            metrics.JOURNAL_WRITE_ERRORS.inc()
        group.set_result(None)
        if self._group is not None:
            self._commit()

    def _try_again(self) -> None:
        metrics.JOURNAL_WRITE_ERRORS.inc()
        metrics.CLICKS_LOST.labels("journal_full").inc(self._journal.take_lost())
        self._loop.call_later(_RETRY_S, self._retry)

    def _retry(self) -> None:
        if self._journal.has_pending and self._group is None and not self._busy:
            self._commit()

    async def sync_periodically(self, interval_s: float) -> None:
        """For `JournalSync.INTERVAL`: power loss may take the clicks of the last interval."""
        while True:
            await asyncio.sleep(interval_s)
            file = os.dup(self._journal.fileno())
            try:
                await self._loop.run_in_executor(None, os.fdatasync, file)
            except OSError:
                metrics.JOURNAL_WRITE_ERRORS.inc()
            finally:
                os.close(file)
