"""One partition of the stream into Postgres: read, decode, store, re-open conversions, acknowledge; in this order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from attribution import metrics
from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_stream import Entry, StreamReader
from attribution.adapters.click_table import ClickTable, CopyFiles, DeadLetter, Source, Stored
from attribution.errors import AttributionError, RejectedRowsError, UnavailableError

from .steps import Decoded, decode_entry, rejected

_log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsumePolicy:
    batch_entries: int
    retry_s: float = 0.5
    """First pause after a failure; doubles up to `retry_max_s`."""
    retry_max_s: float = 5.0


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """Above this share of bad records the deploy is bad, not the clicks: stop, and keep them in the stream."""

    share: float
    at_least: int = 100
    """Records a batch must have before its share says anything."""

    def exceeded(self, bad: int, total: int) -> bool:
        return total >= self.at_least and bad > self.share * total


class PoisonedStreamError(AttributionError):
    """Too many records of the stream can't be decoded"""


class Consumer:
    def __init__(
        self,
        stream: StreamReader,
        table: ClickTable,
        policy: ConsumePolicy,
        limit: DeadLetterLimit,
        processor: asyncio.Lock,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`processor`: of all lanes of the process one prepares at a time, or they fall into step with each other:
        all prepare, then all wait for Postgres.
        """
        self._stream = stream
        self._table = table
        self._policy = policy
        self._limit = limit
        self._processor = processor
        self._clock = clock
        self.behind = False
        """More was waiting than one batch takes."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; then the batch in hand is finished first. Raises `PoisonedStreamError`."""
        await self._until_done(self._stream.ensure_group, stopping)
        while not stopping.is_set():
            entries = await self._until_done(self._read, stopping)
            self.behind = entries is not None and len(entries) >= self._policy.batch_entries
            if entries:
                await self._consume(entries, stopping)

    async def _read(self) -> list[Entry]:
        return await self._stream.read(self._policy.batch_entries)

    async def _consume(self, entries: Sequence[Entry], stopping: asyncio.Event) -> None:
        began = self._clock()
        async with self._processor:
            decoded = await _decode(entries)
        bad, total = len(decoded.dead_letters), len(decoded.dead_letters) + len(decoded.clicks)
        if self._limit.exceeded(bad, total):
            raise PoisonedStreamError(f"{bad} of {total} records can't be decoded: {decoded.dead_letters[0].detail}")
        stored = await self._until_done(lambda: self._store(decoded), stopping)
        if stored is None:
            return
        await self._until_done(lambda: self._finish(decoded, entries), stopping)
        self._count(decoded, stored, self._clock() - began)

    async def _store(self, decoded: Decoded) -> Stored:
        try:
            return await self._store_all(decoded)
        except RejectedRowsError:
            decoded.clicks, refused = await self._sift(decoded.clicks, decoded.sources)
            decoded.dead_letters += refused
            decoded.files = None
            return await self._store_all(decoded)

    async def _store_all(self, decoded: Decoded) -> Stored:
        return await self._table.store(
            decoded.clicks, decoded.dead_letters, decoded.committed, decoded.sources, decoded.files
        )

    async def _sift(self, clicks: ClickBatch, sources: Sequence[Source]) -> tuple[ClickBatch, list[DeadLetter]]:
        """Halves the batch until the refused rows stand alone."""
        try:
            await self._table.store(clicks, [], [], sources)
        except RejectedRowsError as error:
            if len(clicks) == 1:
                return ClickBatch(), [rejected(clicks.records[0], str(error), sources)]
            first, second = clicks.halves()
            good, bad = await self._sift(first, sources)
            more_good, more_bad = await self._sift(second, sources)
            return good + more_good, bad + more_bad
        return clicks, []

    async def _finish(self, decoded: Decoded, entries: Sequence[Entry]) -> None:
        if decoded.clicks:
            await self._table.reopen(decoded.clicks)
        await self._stream.done(entries)

    async def _until_done(self, attempt: Callable[[], Awaitable[T]], stopping: asyncio.Event) -> T | None:
        """Again and again while a part is away; None when it is time to stop, and the entries are another's."""
        pause = self._policy.retry_s
        while True:
            try:
                return await attempt()
            except UnavailableError as error:
                _log.warning("consuming_interrupted", error=str(error))
            if stopping.is_set():
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._policy.retry_max_s)

    def _count(self, decoded: Decoded, stored: Stored, seconds: float) -> None:
        metrics.CLICKS_STORED.inc(stored.new)
        metrics.CLICKS_DUPLICATE.inc(stored.duplicate)
        for letter in decoded.dead_letters:
            metrics.CLICKS_DEAD_LETTERED.labels(letter.reason).inc()
        metrics.CONSUME_SECONDS.observe(seconds)


async def _decode(entries: Sequence[Entry]) -> Decoded:
    decoded = Decoded()
    for entry in entries:
        decode_entry(decoded, entry)
        # Another batch is on its way to the database meanwhile.
        await asyncio.sleep(0)
    decoded.files = await CopyFiles.of(decoded.clicks)
    return decoded
