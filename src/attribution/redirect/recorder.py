"""Group commit: all clicks of one turn of the event loop share one write, and are answered after it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import time_ns
from typing import Protocol

from attribution import metrics
from attribution.domain.clicks import record_time_us
from attribution.domain.quarters import count_by_quarter, quarter_of
from attribution.journal import Journal
from attribution.settings import JournalSync
from attribution.tally import Tally

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
        self._syncer = ThreadPoolExecutor(1, "journal-sync")
        self._waiting: list[tuple[Waiting, bytes]] = []
        self._future: asyncio.Future[None] | None = None
        self.tally = Tally(journal.directory.path)
        self._lost = metrics.CLICKS_LOST.labels("journal_full")
        self._clicks = 0
        self._in_order = True
        self._scheduled = False
        self._syncing = False
        self._refused = False

    def before_commit(self, callback: Callable[[], None]) -> None:
        """Called once a commit, for what is not worth doing once a click."""
        self._before_commit.append(callback)

    def record(self, record: bytes) -> asyncio.Future[None]:
        """Done when the record is in the journal, as safe as the sync mode says. Its click may be of any time."""
        self._journal.append(record)
        self._clicks += 1
        self._in_order = False
        if self._future is None:
            self._future = self._loop.create_future()
            self.wake()
        # Many wait for it; one who is cancelled must not cancel it for the others.
        return asyncio.shield(self._future)

    def record_for(self, record: bytes, waiting: Waiting, response: bytes) -> None:
        """Gives `waiting` its response when the record, of a click of this moment, is in the journal."""
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
        lost = self._journal.take_lost()
        # The journal does not touch a list that it has written.
        pending, new = self._journal.pending, self._clicks - lost
        committed = not pending or self._journal.commit()
        self._account(lost, committed=committed)
        self._tally_up(pending, new, lost, committed=committed)
        if self._journal.has_left and self._sync is not JournalSync.GROUP:
            self._loop.run_in_executor(self._syncer, self._journal.sync_left).add_done_callback(_count_refusal)
        if self._sync is JournalSync.GROUP and committed and (waiting or future):
            self._synced_answers(waiting, future)
        else:
            _answer(waiting, future)

    def _tally_up(self, pending: Sequence[bytes], new: int, lost: int, *, committed: bool) -> None:
        """`new`: how many of `pending` came since the last commit."""
        taken = self._by_quarter(pending if new == len(pending) else pending[len(pending) - new :])
        written: Mapping[int, int] = {}
        if committed:
            written = taken if new == len(pending) else self._by_quarter(pending)
            self._in_order = True
        for quarter in taken.keys() | written.keys():
            self.tally.add(quarter, taken.get(quarter, 0), written.get(quarter, 0))
        if lost:
            self.tally.add(quarter_of(time_ns() // 1000), accepted=lost, lost=lost)

    def _by_quarter(self, records: Sequence[bytes]) -> Mapping[int, int]:
        if not records:
            return {}
        first, last = quarter_of(record_time_us(records[0])), quarter_of(record_time_us(records[-1]))
        if self._in_order and first == last:
            return {first: len(records)}
        return count_by_quarter(map(record_time_us, records))

    def _account(self, lost: int, *, committed: bool) -> None:
        for callback in self._before_commit:
            callback()
        if self._clicks:
            if lost:
                self._lost.inc(lost)
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
            _count_refusal(done)
            if self._scheduled:
                self._loop.call_soon(self._commit)
            _answer(waiting, future)

        self._loop.run_in_executor(self._syncer, self._journal.sync).add_done_callback(synced)

    def _retry(self) -> None:
        if self._journal.has_pending:
            self.wake()

    async def sync_periodically(self, interval_s: float) -> None:
        """For `JournalSync.INTERVAL`: power loss may take the clicks of the last interval."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._loop.run_in_executor(self._syncer, self._journal.sync)
            except OSError:
                metrics.JOURNAL_WRITE_ERRORS.inc()

    def close(self) -> None:
        """Waits for a sync in hand, so that the journal can be closed."""
        self._syncer.shutdown()
        self.tally.close()


def _count_refusal(done: asyncio.Future[None]) -> None:
    if done.exception() is not None:
        metrics.JOURNAL_WRITE_ERRORS.inc()


def _answer(waiting: list[tuple[Waiting, bytes]], future: asyncio.Future[None] | None) -> None:
    for client, response in waiting:
        client.answer(response)
    if future is not None:
        future.set_result(None)
