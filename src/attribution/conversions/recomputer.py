"""Judges the conversions of a period anew, by other terms, a batch at a time between those of the attributor."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from attribution.adapters.postgres import Row
from attribution.adapters.recomputation_table import (
    Difference,
    Mark,
    Part,
    Recomputation,
    RecomputationSession,
    RecomputationTable,
)
from attribution.adapters.stored_conversions import Judged, StoredConversion
from attribution.domain.attribution import Credit
from attribution.domain.ids import ConversionId, InfluencerId
from attribution.domain.instants import from_us
from attribution.errors import UnavailableError

from .attributor import judge_and_value
from .together import together

_log = structlog.get_logger(__name__)
_LANES = 3
_NOTHING = Part()
_Parts = dict[tuple[str, InfluencerId | None], Part]
"""By via and influencer."""


@dataclass(frozen=True, slots=True)
class RecomputerPolicy:
    """`batches`: in one turn, before others that write credits have theirs."""

    batch: int
    batches: int = 1
    poll_s: float = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class Recomputer:
    """`turn`: a batch each with the attributor of this process."""

    def __init__(
        self,
        table: RecomputationTable,
        policy: RecomputerPolicy,
        now: Callable[[], datetime] = _now,
        turn: asyncio.Lock | None = None,
    ) -> None:
        self._table = table
        self._policy = policy
        self._now = now
        self._turn = turn or asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled. A batch that is cut off leaves nothing, and is done again."""
        while True:
            judged = 0
            try:
                if await self._table.is_waiting():
                    async with self._turn:
                        judged = await self.step()
            except UnavailableError as error:
                _log.warning("recomputation_interrupted", error=str(error))
            if not judged:
                await asyncio.sleep(self._policy.poll_s)

    async def step(self) -> int:
        """One turn of the oldest recomputation; returns how many conversions were judged.

        0 too when that one is finished, failed or cancelled, or another process recomputes.
        """
        recomputation = None
        try:
            async with self._table.lead() as session:
                recomputation = await session.next() if session is not None else None
                if session is None or recomputation is None:
                    return 0
                return await self._advance(session, recomputation)
        except UnavailableError:
            raise
        except Exception as error:
            if recomputation is None:
                raise
            # It would come again, and end the process that takes clicks.
            _log.exception("recomputation_failed", recomputation=recomputation.recomputation_id)
            await self._table.fail(recomputation, f"{type(error).__name__}: {error}")
            return 0

    async def _advance(self, session: RecomputationSession, recomputation: Recomputation) -> int:
        """Some batches, in lanes: while Postgres works for one, another is judged here."""
        progress = _Progress(recomputation.mark, self._policy.batches)
        async with AsyncExitStack() as stack:
            lanes = [session, *[await stack.enter_async_context(session.lane()) for _ in range(_LANES - 1)]]
            await together([self._lane(lane, recomputation, progress) for lane in lanes])
        return progress.done

    async def _lane(self, session: RecomputationSession, recomputation: Recomputation, progress: "_Progress") -> None:
        while (batch := await progress.take(session, recomputation, self._policy.batch)) is not None:
            async with session.transaction():
                judged = await judge_and_value(session, batch.conversions)
            # Of a conversion that was in two batches, as its moment was moved, the later sees what the earlier wrote.
            await batch.before.wait()
            async with session.transaction():
                held = await session.hold(recomputation)
                if held:
                    await self._write(session, recomputation, judged)
            batch.written.set()
            if not held:
                return
            progress.done += len(judged)

    async def _write(
        self, session: RecomputationSession, recomputation: Recomputation, judged: Sequence[Judged]
    ) -> None:
        if not judged:
            await session.finish(recomputation)
            return
        keys = [j.conversion.key for j in judged]
        if recomputation.dry_run:
            before = _sums(await session.parts_recorded(recomputation.program_id, [key[1] for key in keys]))
        else:
            credits_ = await session.credits_recorded(keys)
            before = {conversion_id: _parts(its) for conversion_id, its in credits_.items()}
            await session.append(judged, credits_, self._now(), recomputation.binding)
        differences = [
            difference for j in judged for difference in _differences(j, before.get(j.conversion.conversion_id, {}))
        ]
        await session.reach(recomputation, _mark(judged[-1].conversion), len(judged), differences)


@dataclass(frozen=True, slots=True)
class _Batch:
    """`before`: when the batch before it is written."""

    conversions: Sequence[StoredConversion]
    before: asyncio.Event
    written: asyncio.Event


class _Progress:
    """Of a turn of some batches, which lanes take one by one and write in the order in which they took them."""

    def __init__(self, mark: Mark, batches: int) -> None:
        self.done = 0
        self._mark = mark
        self._left = batches
        self._taking = asyncio.Lock()
        self._written = asyncio.Event()
        self._written.set()

    async def take(self, session: RecomputationSession, recomputation: Recomputation, limit: int) -> _Batch | None:
        """The last of all is empty. None: the turn is over."""
        async with self._taking:
            if not self._left:
                return None
            conversions = await session.batch(recomputation, self._mark, limit)
            self._left = self._left - 1 if conversions else 0
            if conversions:
                self._mark = _mark(conversions[-1])
            batch = _Batch(conversions, self._written, asyncio.Event())
            self._written = batch.written
            return batch


def _mark(conversion: StoredConversion) -> Mark:
    return from_us(conversion.facts.occurred_at_us), conversion.conversion_id


def _differences(judged: Judged, before: _Parts) -> Iterator[Difference]:
    """By influencer; credit that only moved between clicks of one influencer is none."""
    conversion, after = judged.conversion, _parts(judged.valuation.credits)
    if after == before:
        return
    for whose in {**before, **after}:
        was, now = before.get(whose, _NOTHING), after.get(whose, _NOTHING)
        if was != now:
            yield Difference(conversion.conversion_id, *whose, conversion.currency, was, now)


def _parts(credits_: Iterable[Credit]) -> _Parts:
    parts: _Parts = {}
    for credit in credits_:
        whose = (credit.via.value, credit.influencer_id)
        units, net, commission = parts.get(whose, _NOTHING)
        parts[whose] = Part(units + credit.weight_units, net + credit.net_minor, commission + credit.commission)
    return parts


def _sums(rows: Iterable[Row]) -> dict[ConversionId, _Parts]:
    sums: dict[ConversionId, _Parts] = {}
    for conversion_id, via, influencer_id, *amounts in rows:
        part = Part(*amounts)
        if part != _NOTHING:
            sums.setdefault(conversion_id, {})[via, influencer_id] = part
    return sums
