"""Group commit: all clicks of one turn of the event loop share one write, and are answered after it."""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from attribution import metrics
from attribution.journal import Journal
from attribution.settings import JournalSync

_RETRY_S = 0.2


class Waiting(Protocol):
    def answer(self, response: bytes) -> None: ...


class ClickRecorder:
    """Recording never fails a redirect: while the disk refuses, clicks wait in memory, then count as lost."""

    def __init__(self, journal: Journal, sync: JournalSync) -> None:
        self._journal = journal
        self._sync = sync
        self._before_commit: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Waiting, bytes]] = []
        self._future: asyncio.Future[None] | None = None
        self._clicks = 0
        self._scheduled = False
        self._syncing = False
        self._refused = False

    def before_commit(self, callback: Callable[[], None]) -> None:
        """Called once a commit, for what is not worth doing once a click."""
        self._before_commit.append(callback)

    def record(self, record: bytes) -> asyncio.Future[None]:
        """Done when the record is in the journal, as safe as the sync mode says."""
        self._journal.append(record)
        self._clicks += 1
        if self._future is None:
            self._future = self._loop.create_future()
            self.wake()
        # Many wait for it; one who is cancelled must not cancel it for the others.
        return asyncio.shield(self._future)

    def record_for(self, record: bytes, waiting: Waiting, response: bytes) -> None:
        """Gives `waiting` its response when the record is in the journal."""
        self._journal.append(record)
        self._waiting.append((waiting, response))
        self._clicks += 1
        if not self._scheduled:
            self.wake()

    def wake(self) -> None:
        """Commits at the end of this turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            if not self._syncing:
                self._loop.call_soon(self._commit)

    def flush(self) -> None:
        """Writes at once what a refused write left in memory."""
        if self._journal.has_pending:
            self._commit()

    @property
    def writable(self) -> bool:
        """False while the disk refuses clicks."""
        return not self._refused

    def _commit(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        future, self._future = self._future, None
        committed = not self._journal.has_pending or self._journal.commit()
        self._account(committed=committed)
        if self._sync is JournalSync.GROUP and committed and (waiting or future):
            self._synced_answers(waiting, future)
        else:
            _answer(waiting, future)

    def _account(self, *, committed: bool) -> None:
        for callback in self._before_commit:
            callback()
        if self._clicks:
            # Also after a good commit: the memory may have been full before it.
            lost = self._journal.take_lost()
            metrics.CLICKS_LOST.labels("journal_full").inc(lost)
            metrics.CLICKS_JOURNALLED.inc(self._clicks - lost)
            metrics.JOURNAL_COMMITS.inc()
            self._clicks = 0
        self._refused = not committed
        if not committed:
            metrics.JOURNAL_WRITE_ERRORS.inc()
            self._loop.call_later(_RETRY_S, self._retry)

    def _synced_answers(self, waiting: list[tuple[Waiting, bytes]], future: asyncio.Future[None] | None) -> None:
        self._syncing = True

        def synced(done: asyncio.Future[None]) -> None:
            self._syncing = False
            if done.exception() is not None:
                metrics.JOURNAL_WRITE_ERRORS.inc()
            if self._scheduled:
                self._loop.call_soon(self._commit)
            _answer(waiting, future)

        self._loop.run_in_executor(None, os.fdatasync, self._journal.fileno()).add_done_callback(synced)

    def _retry(self) -> None:
        if self._journal.has_pending:
            self.wake()

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


def _answer(waiting: list[tuple[Waiting, bytes]], future: asyncio.Future[None] | None) -> None:
    for client, response in waiting:
        client.answer(response)
    if future is not None:
        future.set_result(None)
