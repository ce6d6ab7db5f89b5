"""Judges the conversions of a period anew, by other terms, a batch at a time between those of the attributor."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from attribution.adapters.credit_table import StoredConversion
from attribution.adapters.recomputation_table import (
    Difference,
    Recomputation,
    RecomputationSession,
    RecomputationTable,
)
from attribution.domain.attribution import Credit, Via
from attribution.domain.ids import InfluencerId
from attribution.domain.instants import to_us
from attribution.errors import UnavailableError

from .attributor import judge_and_value

_log = structlog.get_logger(__name__)
_Part = tuple[int, int]
"""Weight units and minor units of net."""


@dataclass(frozen=True, slots=True)
class RecomputerPolicy:
    batch: int
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
        """One batch of the oldest recomputation; returns how many conversions were judged.

        0 too when that one is finished, failed or cancelled, or another process recomputes.
        """
        recomputation = None
        try:
            async with self._table.lead() as session:
                recomputation = await session.next() if session is not None else None
                if session is None or recomputation is None:
                    return 0
                return await self._batch(session, recomputation)
        except UnavailableError:
            raise
        except Exception as error:
            if recomputation is None:
                raise
            # It would come again, and end the process that takes clicks.
            _log.exception("recomputation_failed", recomputation=recomputation.recomputation_id)
            await self._table.fail(recomputation, f"{type(error).__name__}: {error}")
            return 0

    async def _batch(self, session: RecomputationSession, recomputation: Recomputation) -> int:
        async with session.transaction():
            if not await session.hold(recomputation):
                return 0
            batch = await session.batch(recomputation, self._policy.batch)
            if not batch:
                await session.finish(recomputation)
                return 0
            keys = [(recomputation.program_id, conversion_id) for conversion_id, _ in batch]
            conversions = [_bound(c, recomputation) for c in await session.conversions(keys)]
            judged = await judge_and_value(session, conversions)
            before = await session.credits_recorded([c.key for c in conversions if c.is_judged])
            differences = [
                difference
                for j in judged
                for difference in _differences(
                    j.conversion, before.get(j.conversion.conversion_id, ()), j.attribution.credits
                )
            ]
            if not recomputation.dry_run:
                await session.append(judged, before, self._now(), recomputation.binding)
            await session.reach(recomputation, batch, differences)
        return len(batch)


def _bound(conversion: StoredConversion, recomputation: Recomputation) -> StoredConversion:
    return replace(
        conversion,
        bound_at_us=to_us(recomputation.created_at),
        recomputation_id=recomputation.recomputation_id,
    )


def _differences(
    conversion: StoredConversion, before: Sequence[Credit], after: Sequence[Credit]
) -> Iterator[Difference]:
    """By influencer; credit that only moved between clicks of one influencer is none."""
    was, now = _parts(before), _parts(after)
    for via, influencer_id in {**was, **now}:
        units_before, net_before = was.get((via, influencer_id), (0, 0))
        units_after, net_after = now.get((via, influencer_id), (0, 0))
        if (units_before, net_before) != (units_after, net_after):
            yield Difference(
                conversion.conversion_id,
                via.value,
                influencer_id,
                conversion.currency,
                Decimal(units_before).scaleb(-18),
                net_before,
                Decimal(units_after).scaleb(-18),
                net_after,
            )


def _parts(credits_: Iterable[Credit]) -> dict[tuple[Via, InfluencerId | None], _Part]:
    parts: dict[tuple[Via, InfluencerId | None], _Part] = {}
    for credit in credits_:
        units, net = parts.get((credit.via, credit.influencer_id), (0, 0))
        parts[credit.via, credit.influencer_id] = (units + credit.weight_units, net + credit.net_minor)
    return parts
