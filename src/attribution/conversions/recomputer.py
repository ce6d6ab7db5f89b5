"""Judges the conversions of a period anew, by other terms, a batch at a time between those of the attributor."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from attribution.adapters.recomputation_table import (
    Mark,
    Recomputation,
    RecomputationSession,
    RecomputationTable,
)
from attribution.adapters.stored_conversions import StoredConversion
from attribution.domain.instants import from_us
from attribution.errors import UnavailableError

from .attributor import judge_and_value
from .differences import differences
from .together import together

_log = structlog.get_logger(__name__)
CONNECTIONS = 4
"""One a lane."""
_Do = Callable[[RecomputationSession, Recomputation, "_Batch"], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class RecomputerPolicy:
    """`batches`: in one turn, before others that write credits have theirs; a dry run leaves them theirs."""

    batch: int
    batches: int = 1
    dry_batches: int = 100
    poll_s: float = 1.0


class Recomputer:
    """`turn`: some batches each with the attributor of this process."""

    def __init__(self, table: RecomputationTable, policy: RecomputerPolicy, turn: asyncio.Lock | None = None) -> None:
        self._table = table
        self._policy = policy
        self._turn = turn or asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled. A batch that is cut off leaves nothing, and is done again."""
        while True:
            judged = 0
            try:
                judged = await self.step() if await self._table.is_waiting() else 0
            except UnavailableError as error:
                _log.warning("recomputation_interrupted", error=str(error))
            if not judged:
                await asyncio.sleep(self._policy.poll_s)

    async def step(self) -> int:
        """Goes on with the oldest recomputation for a while; returns how many conversions were judged.

        0 too when that one is finished, failed or cancelled, or another process recomputes.
        """
        recomputation = None
        try:
            async with self._table.lead() as session:
                recomputation = await session.next() if session is not None else None
                if session is None or recomputation is None:
                    return 0
                if recomputation.dry_run:
                    return await self._in_lanes(session, self._compare, recomputation, self._policy.dry_batches)
                async with self._turn, session.turn():
                    return await self._in_lanes(session, self._apply, recomputation, self._policy.batches)
        except UnavailableError:
            raise
        except Exception as error:
            if recomputation is None:
                raise
            # It would come again, and end the process that takes clicks.
            _log.exception("recomputation_failed", recomputation=recomputation.recomputation_id)
            await self._table.fail(recomputation, f"{type(error).__name__}: {error}")
            return 0

    async def _in_lanes(
        self, session: RecomputationSession, do: _Do, recomputation: Recomputation, batches: int
    ) -> int:
        """While Postgres works for one batch, another is judged here."""
        progress = _Progress(recomputation.mark, batches)

        async def lane(session: RecomputationSession) -> None:
            while (batch := await progress.take(session, recomputation, self._policy.batch)) is not None:
                if not await do(session, recomputation, batch):
                    return
                progress.done += len(batch.conversions)

        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(session.lane()) for _ in range(CONNECTIONS - 1)]
            await together(map(lane, (session, *others)))
        if progress.at_end:
            await session.finish(recomputation)
        return progress.done

    async def _compare(self, session: RecomputationSession, recomputation: Recomputation, batch: "_Batch") -> bool:
        """False where it was cancelled. In one snapshot: what is credited meanwhile, both sides see or neither."""
        async with session.transaction():
            judged = await judge_and_value(session, batch.conversions)
            recorded = await session.credits_recorded([c.key for c in batch.conversions])
        changes = differences(judged, recorded)
        async with batch.turn(), session.recording(recomputation) as held:
            if held:
                await session.reach(recomputation, batch.mark, len(judged), changes)
        return held

    async def _apply(self, session: RecomputationSession, recomputation: Recomputation, batch: "_Batch") -> bool:
        """False where it was cancelled."""
        async with session.transaction():
            judged = await judge_and_value(session, batch.conversions)
        async with batch.turn(), session.transaction():
            held = await session.hold(recomputation)
            if held:
                recorded = await session.credits_recorded([c.key for c in batch.conversions])
                await session.append(judged, recorded, recomputation.binding)
                await session.reach(recomputation, batch.mark, len(judged), differences(judged, recorded))
        return held


@dataclass(frozen=True, slots=True)
class _Batch:
    """`before`: when the batch before it is written."""

    conversions: Sequence[StoredConversion]
    before: asyncio.Event
    written: asyncio.Event

    @property
    def mark(self) -> Mark:
        last = self.conversions[-1]
        return from_us(last.facts.occurred_at_us), last.conversion_id

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """To write. Of a conversion that was in two batches, as its moment was moved, the later sees the earlier."""
        await self.before.wait()
        yield
        self.written.set()


class _Progress:
    """Of some batches, which lanes take one by one and write in the order in which they took them."""

    def __init__(self, mark: Mark, batches: int) -> None:
        self.done = 0
        self.at_end = False
        self._mark = mark
        self._left = batches
        self._taking = asyncio.Lock()
        self._written = asyncio.Event()
        self._written.set()

    async def take(self, session: RecomputationSession, recomputation: Recomputation, limit: int) -> _Batch | None:
        """None: there is no further one, or they were enough."""
        async with self._taking:
            if self.at_end or not self._left:
                return None
            conversions = await session.batch(recomputation, self._mark, limit)
            if not conversions:
                self.at_end = True
                return None
            batch = _Batch(conversions, self._written, asyncio.Event())
            self._left -= 1
            self._mark, self._written = batch.mark, batch.written
            return batch
