"""Sends what a journal holds to the stream, at least once, and deletes what Postgres has.

A segment stays until all of it is committed in Postgres. So a stream server that restarts without its memory, or is
flushed, costs nothing: its new incarnation makes the shipper begin again at the first byte that is not committed.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from attribution import metrics
from attribution.adapters.click_stream import StreamWriter
from attribution.adapters.journal_progress import JournalProgress
from attribution.errors import StreamUnavailableError, UnavailableError
from attribution.journal import Batch, JournalDirectory, JournalReader, Position

_log = structlog.get_logger(__name__)
_MARK = re.compile(rb"(\d+) (\d+) (\w+) ([0-9a-f]{32}) *\n")
_BATCHES_A_TRIP = 8
_ROOM_CHECK_S = 0.25
_BEGINNING = Position(0, 0)
_UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class ShipPolicy:
    batch_clicks: int
    interval_s: float
    """What came in such a time leaves together, in batches of at most `batch_clicks`."""
    stream_budget_bytes: int
    retry_s: float = 0.5
    tidy_interval_s: float = 2.0


class Mark:
    """Where a journal's shipper is, and in which incarnation of the stream server; without it, it is slower."""

    def __init__(self, path: Path, journal_id: UUID) -> None:
        self._path = path
        self._journal = journal_id.hex

    def read(self) -> tuple[Position, str] | None:
        """None also if a journal of another id left it: what was sent as that one is not committed as this one."""
        match = _MARK.fullmatch(self._path.read_bytes()) if self._path.exists() else None
        if match is None or match[4].decode() != self._journal:
            return None
        return Position(int(match[1]), int(match[2])), match[3].decode()

    def write(self, position: Position, incarnation: str) -> None:
        # In place and padded: the mark is written many times a second. A full disk may refuse the first one.
        with suppress(OSError), self._path.open("r+" if self._path.exists() else "w") as file:
            file.write(f"{position.segment} {position.offset} {incarnation} {self._journal}".ljust(160) + "\n")

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


class Shipper:
    """Of one journal: `end` says up to where it is written, and no longer changes once it is dead."""

    def __init__(
        self,
        directory: JournalDirectory,
        end: Callable[[], Position],
        stream: StreamWriter,
        progress: JournalProgress,
        policy: ShipPolicy,
    ) -> None:
        self._directory = directory
        self._end = end
        self._stream = stream
        self._progress = progress
        self._policy = policy
        self._reader = JournalReader(directory, policy.batch_clicks)
        self._mark = Mark(directory.path / "shipped", directory.journal_id)
        self._incarnation = _UNKNOWN
        self._reported = False
        self._position = _BEGINNING
        self._tidied_at = float("-inf")
        self._room_until = float("-inf")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._attempt()

    async def drain(self) -> None:
        """Until all is in the stream. Raises `UnavailableError`; the rest is the next owner's."""
        await self._cycle()
        if self._position >= self._end():
            await self._stream.retire(self._directory.journal_id)

    async def finish(self, report: Callable[[], Awaitable[None]]) -> None:
        """For the journal of a dead process: until all of it is committed, reported and deleted, or cancelled."""
        while not await self._is_committed():
            await self._attempt()
        journal_id, segment = self._directory.journal_id, self._end().segment
        # Both under this id, and while the segment is here: after a crash between, its next owner does it again.
        await self._until_done(report)
        await self._until_done(lambda: self._stream.retire(journal_id))
        await self._until_done(self._delete)
        await self._until_done(lambda: self._progress.forget(journal_id, [segment]))

    def unshipped_bytes(self) -> int:
        """What waits on disk for the stream."""
        segment, offset = self._position
        sizes = {later: self._directory.size(later) for later in self._directory.segments() if later >= segment}
        return sum(sizes.values()) - (offset if segment in sizes else 0)

    async def _is_committed(self) -> bool:
        end = self._end()
        if self._directory.segments() != [end.segment]:
            return False
        try:
            committed = await self._progress.committed(self._directory.journal_id)
        except UnavailableError:
            return False
        return committed.get(end.segment, 0) >= end.offset

    async def _delete(self) -> None:
        # The next owner begins at segment 1, so under another id, lest those bytes be taken for these. If a crash
        # leaves these to it, they are sent again as its own, and known by the ids of their clicks.
        self._directory.renew_id()
        self._mark.remove()
        self._directory.remove(self._end().segment)

    async def _until_done(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await step()
            except (UnavailableError, OSError) as error:
                self._interrupted(error)
            await asyncio.sleep(self._policy.retry_s)

    def close(self) -> None:
        self._reader.close()

    async def _attempt(self) -> None:
        try:
            await self._cycle()
            await asyncio.sleep(self._policy.interval_s)
        except UnavailableError as error:
            self._interrupted(error)
            self._incarnation = _UNKNOWN
            await asyncio.sleep(self._policy.retry_s)

    def _interrupted(self, error: Exception) -> None:
        metrics.SHIP_ERRORS.inc()
        _log.warning("shipping_interrupted", journal=self._directory.path.name, error=str(error))

    async def _cycle(self) -> None:
        if self._incarnation == _UNKNOWN:
            await self._resume()
        began_us = time.time_ns() // 1000
        end = self._end()
        while batches := self._next_batches(end):
            await self._wait_for_room(len(batches))
            await self._ship(batches)
        await self._report(began_us)
        if time.monotonic() - self._tidied_at > self._policy.tidy_interval_s:
            await self._tidy()

    async def _report(self, through_us: int) -> None:
        is_first = await self._stream.report_shipped(self._directory.journal_id, through_us)
        if is_first and (self._reported or await self._stream.incarnation() != self._incarnation):
            raise StreamUnavailableError("the stream server forgot what it had")
        self._reported = True

    async def _resume(self) -> None:
        """At the mark if the stream server still is the one that acknowledged it, else where Postgres ends."""
        self._reported = False
        incarnation = await self._stream.incarnation()
        mark = self._mark.read()
        if mark is not None and mark[1] == incarnation:
            self._position = mark[0]
        else:
            if mark is not None:
                metrics.SHIP_REWINDS.inc()
            self._position = await self._first_uncommitted()
        self._incarnation = incarnation

    async def _first_uncommitted(self) -> Position:
        try:
            committed = await self._progress.committed(self._directory.journal_id)
        except UnavailableError:
            return _BEGINNING
        position = _BEGINNING
        for segment in self._directory.segments():
            position = Position(segment, committed.get(segment, 0))
            if position.offset < self._directory.size(segment):
                break
        return position

    def _next_batches(self, end: Position) -> list[Batch]:
        batches: list[Batch] = []
        position = self._position
        while len(batches) < _BATCHES_A_TRIP and (batch := self._reader.read(position, end)) is not None:
            batches.append(batch)
            position = batch.end
        return batches

    async def _wait_for_room(self, batches: int) -> None:
        """Asked at each trip while there is a backlog, else now and then."""
        if batches < _BATCHES_A_TRIP and time.monotonic() < self._room_until:
            return
        while await self._stream.used_bytes() > self._policy.stream_budget_bytes:
            await asyncio.sleep(self._policy.retry_s)
        self._room_until = time.monotonic() + _ROOM_CHECK_S

    async def _ship(self, batches: list[Batch]) -> None:
        await self._stream.append(self._directory.journal_id, batches)
        self._position = batches[-1].end
        self._mark.write(self._position, self._incarnation)
        metrics.CLICKS_SHIPPED.inc(sum(batch.count for batch in batches))

    async def _tidy(self) -> None:
        self._tidied_at = time.monotonic()
        metrics.JOURNAL_BYTES.labels(self._directory.path.name).set(self._directory.size_bytes())
        try:
            committed = await self._progress.committed(self._directory.journal_id)
        except UnavailableError:
            return
        current = self._end().segment
        done = [
            segment
            for segment in self._directory.segments()
            if segment < current and committed.get(segment, 0) >= self._directory.size(segment)
        ]
        for segment in done:
            self._directory.remove(segment)
        if gone := [
            segment for segment in committed if segment < current and segment not in self._directory.segments()
        ]:
            await self._progress.forget(self._directory.journal_id, gone)
