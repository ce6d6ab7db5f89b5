"""Judges the conversions that something new was heard of: all touches in one query, pure decisions, one COPY."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from attribution import metrics
from attribution.adapters.credit_facts import CreditFacts
from attribution.adapters.credit_table import CreditSession, CreditTable
from attribution.adapters.stored_conversions import ConversionKey, Judged, StoredConversion
from attribution.adapters.valuation_facts import ValuationFacts
from attribution.domain.attribution import Attribution, Status, Touch, attribute
from attribution.domain.models import Model
from attribution.domain.rules import Judgement
from attribution.domain.valuation import Valuation, value
from attribution.errors import AttributionError

from .together import together

_log = structlog.get_logger(__name__)
_LANES = 3
_WORTH_LANES = 500
_PARTS = (0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5)
"""Of a batch, by the hash of a customer. Lanes that began with equal parts would all wait for Postgres, then all
judge; the last are small again, so that lanes end together."""


@dataclass(frozen=True, slots=True)
class AttributorPolicy:
    batch: int
    poll_s: float
    retry_s: float = 1.0


class Attributor:
    """`turn`: a batch each with the others of this process that write credits."""

    def __init__(self, table: CreditTable, policy: AttributorPolicy, turn: asyncio.Lock | None = None) -> None:
        self._table = table
        self._policy = policy
        self._turn = turn or asyncio.Lock()
        self.behind = False
        """More was waiting than one batch takes."""

    async def run(self) -> None:
        """Until cancelled. A batch that is cut off is simply done again: judging twice appends nothing."""
        while True:
            try:
                async with self._turn:
                    judged = await self.step()
                if not judged:
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
            self.behind = len(work.queue_rows) >= self._policy.batch
            if not work.queue_rows:
                return 0
            began = time.perf_counter()
            if len(work.conversions) < _WORTH_LANES:
                await self._credit(session, [*work.conversions])
            else:
                await self._credit_in_lanes(session, work.conversions)
            await session.done(work)
            metrics.CONVERSIONS_CREDITED.inc(len(work.conversions))
            metrics.CREDIT_SECONDS.observe(time.perf_counter() - began)
            return len(work.conversions)

    async def _credit_in_lanes(self, session: CreditSession, conversions: Mapping[ConversionKey, str | None]) -> None:
        """Postgres works for some while others are judged here."""
        parts = iter(_parts(conversions))

        async def credit(lane: CreditSession) -> None:
            for keys in parts:
                await self._credit(lane, keys)

        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(session.lane()) for _ in range(_LANES - 1)]
            await together(map(credit, (session, *others)))

    async def _credit(self, session: CreditSession, keys: Sequence[ConversionKey]) -> None:
        # What a message changes meanwhile in a conversion has its own row in the queue.
        conversions = await session.conversions(keys)
        # In its own transaction, before the touches are read: a click of a visitor named only now either is
        # seen by that reading, or lands later and finds the conversion through the visitor.
        await session.name_visitors(conversions)
        async with session.transaction():
            await session.write(await judge_and_value(session, conversions))


def _parts(conversions: Mapping[ConversionKey, str | None]) -> list[list[ConversionKey]]:
    """A customer's conversions stay together, as they see whom the others name."""
    parts: list[list[ConversionKey]] = [[] for _ in range(_PARTS[-1] + 1)]
    for (program_id, conversion_id), customer_id in conversions.items():
        owner = conversion_id if customer_id is None else customer_id
        parts[_PARTS[hash((program_id, owner)) % len(_PARTS)]].append((program_id, conversion_id))
    return parts


async def judge(
    facts: CreditFacts, conversions: Sequence[StoredConversion], model: Model | None = None
) -> list[Attribution]:
    """By what is known now, and the rule each is bound to or, unbound, the one in force at its instant.

    `model`: in place of the rule's.
    """
    books = await facts.rule_books(c.program_id for c in conversions)
    codes = await facts.code_histories(conversions)
    judgements = [
        books[c.program_id].judgement(c.type, c.facts.occurred_at_us, c.bound_at_us, c.recomputation_id).under(model)
        for c in conversions
    ]
    since = [since_us(c, judgement) for c, judgement in zip(conversions, judgements, strict=True)]
    touches = await facts.touches(conversions, since)

    def judged(index: int, candidates: Sequence[Touch]) -> Attribution:
        c = conversions[index]
        texts = c.facts.discount_codes
        book = codes[c.program_id].book(texts, c.bound_at_us) if texts else {}
        return attribute(c.facts, candidates, judgements[index], book)

    first = [judged(index, touches.get(c.conversion_id, ())) for index, c in enumerate(conversions)]
    unexplained = [index for index, attribution in enumerate(first) if attribution.status is Status.UNATTRIBUTED]
    older = await facts.older_touches([conversions[i] for i in unexplained], [since[i] for i in unexplained])
    for index in unexplained:
        conversion_id = conversions[index].conversion_id
        candidates = merged(touches.get(conversion_id, ()), older.get(conversion_id, ()))
        first[index] = judged(index, candidates)
    return first


async def judge_and_value(
    facts: CreditFacts, conversions: Sequence[StoredConversion], model: Model | None = None
) -> list[Judged]:
    """As `judge`."""
    attributions = await judge(facts, conversions, model)
    return [*map(Judged, conversions, attributions, await value_all(facts, conversions, attributions))]


async def value_all(
    facts: CreditFacts, conversions: Sequence[StoredConversion], attributions: Sequence[Attribution]
) -> list[Valuation]:
    """Of each: by the plans and rates known now, or when it was first credited."""
    more = ValuationFacts(facts.connection)
    terms = await more.terms(conversions)
    books = await more.books(conversions)
    return [
        value(c.facts, of_conversion, attribution, books[c.program_id])
        for c, of_conversion, attribution in zip(conversions, terms, attributions, strict=True)
    ]


def merged(*touches: Sequence[Touch]) -> list[Touch]:
    """The readings overlap: what is old for one conversion, another of its batch needed."""
    groups = [group for group in touches if group]
    if len(groups) == 1:
        return [*groups[0]]
    return [*{touch.click_id: touch for group in groups for touch in group}.values()]


def since_us(conversion: StoredConversion, judgement: Judgement) -> int:
    """No touch before this can be eligible."""
    return max(0, conversion.facts.occurred_at_us - judgement.widest_window_us)
