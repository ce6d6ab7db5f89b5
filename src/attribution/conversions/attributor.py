"""Judges the conversions that something new was heard of: all touches in one query, pure decisions, one COPY."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from attribution import metrics
from attribution.adapters.credit_table import CreditFacts, CreditTable, StoredConversion
from attribution.domain.attribution import Attribution, Status, Touch, attribute
from attribution.domain.ids import ConversionId
from attribution.domain.rules import Judgement
from attribution.errors import AttributionError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AttributorPolicy:
    batch: int
    poll_s: float
    retry_s: float = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class Attributor:
    def __init__(self, table: CreditTable, policy: AttributorPolicy, now: Callable[[], datetime] = _now) -> None:
        self._table = table
        self._policy = policy
        self._now = now

    async def run(self) -> None:
        """Until cancelled. A batch that is cut off is simply done again: judging twice appends nothing."""
        while True:
            try:
                if not await self.step():
                    await asyncio.sleep(self._policy.poll_s)
            except AttributionError as error:
                _log.warning("attribution_interrupted", error=str(error))
                await asyncio.sleep(self._policy.retry_s)

    async def step(self) -> int:
        """One batch; returns how many conversions were judged."""
        async with self._table.lead() as session:
            if session is None:
                return 0
            work = await session.take(self._policy.batch)
            if not work.queue_rows:
                return 0
            began = time.perf_counter()
            # In its own transaction, before the touches are read: a click of a visitor named only now either is
            # seen by that reading, or lands later and finds the conversion through the visitor.
            # What a message changes meanwhile in a conversion has its own row in the queue.
            conversions = await session.conversions(work.conversions)
            await session.name_visitors(conversions)
            async with session.transaction():
                judged = await judge(session, conversions)
                await session.write(list(zip(conversions, judged, strict=True)), self._now())
                await session.done(work)
            metrics.CONVERSIONS_CREDITED.inc(len(conversions))
            metrics.CREDIT_SECONDS.observe(time.perf_counter() - began)
            return len(conversions)


async def judge(facts: CreditFacts, conversions: Sequence[StoredConversion]) -> list[Attribution]:
    """By what is known now, and the rule each is bound to or, unbound, the one in force at its instant."""
    books = await facts.rule_books(c.program_id for c in conversions)
    codes = await facts.code_histories(conversions)
    judgements = [books[c.program_id].judgement(c.type, c.facts.occurred_at_us, c.bound_at_us) for c in conversions]
    since = [since_us(c, judgement) for c, judgement in zip(conversions, judgements, strict=True)]
    named = await facts.named_clicks(conversions)
    visitors = await facts.visitors(conversions)
    recent = await facts.visitor_clicks(conversions, visitors, since)

    def judged(index: int, *more: Mapping[ConversionId, Sequence[Touch]]) -> Attribution:
        c = conversions[index]
        candidates = merged(*(touches.get(c.conversion_id, ()) for touches in (named, recent, *more)))
        book = codes[c.program_id].book(c.facts.discount_codes, c.bound_at_us)
        return attribute(c.facts, candidates, judgements[index], book)

    first = [judged(index) for index in range(len(conversions))]
    unexplained = [index for index, attribution in enumerate(first) if attribution.status is Status.UNATTRIBUTED]
    older = await facts.older_clicks([conversions[i] for i in unexplained], visitors, [since[i] for i in unexplained])
    for index in unexplained:
        first[index] = judged(index, older)
    return first


def merged(*touches: Sequence[Touch]) -> list[Touch]:
    """The click that a click id names is often one of its visitor's too."""
    return list({touch.click_id: touch for group in touches for touch in group}.values())


def since_us(conversion: StoredConversion, judgement: Judgement) -> int:
    """No touch before this can be eligible."""
    return max(0, conversion.facts.occurred_at_us - judgement.widest_window_us)
