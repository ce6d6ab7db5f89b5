"""Whatever the order, repetition and interleaving of deliveries, the recorded credits are those of the reference."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.batches import batch_of
from tests.support.fuzzing import FUZZ
from tests.support.recorded import expected, recorded
from tests.support.reference import WHOLE, Judged, Order, World, by_influencer, judge_all, net, refunded
from tests.support.worlds import (
    TOKENS,
    RandomWorld,
    found_program,
    random_world,
    stored_click,
)

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.credit_table import CreditSession, CreditTable, Work
from attribution.adapters.postgres import Database
from attribution.adapters.stored_conversions import StoredConversion
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.conversions.reader import ConversionReader
from attribution.domain.ids import ProgramId
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.errors import DatabaseUnavailableError

pytestmark = pytest.mark.usefixtures("foreign_program")

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

Action = Callable[[], Awaitable[object]]
WORLDS = 16 * FUZZ
CONCURRENT_WORLDS = 5 * FUZZ


class Delivery:
    """One programme's facts on their way: in random batches, each batch one to three times, in random order."""

    def __init__(self, database: Database, program: int, world: RandomWorld, rng: random.Random) -> None:
        self.program = program
        self.world = world
        self._rng = rng
        self._clicks = ClickTable(database)
        self._intake = ConversionIntake(database, TOKENS)
        self.waiting: list[Action] = [*self._click_batches(), *self._order_batches()]
        rng.shuffle(self.waiting)

    def _batches(self, facts: Sequence[Any]) -> Iterator[list[Any]]:
        repeated = [fact for fact in facts for _ in range(self._rng.choice((1, 1, 2)))]
        self._rng.shuffle(repeated)
        while repeated:
            size = self._rng.randrange(1, 5)
            batch, repeated = repeated[:size], repeated[size:]
            yield batch

    def _click_batches(self) -> Iterator[Action]:
        facts = self.world.world
        for batch in self._batches([stored_click(self.program, click, facts) for click in facts.clicks]):

            async def store(batch: list[Any] = batch) -> None:
                await self._clicks.store(batch_of(batch), [], [])
                # A consumer re-opens some time after its commit.
                self.waiting.insert(
                    self._rng.randrange(len(self.waiting) + 1), lambda: self._clicks.reopen(batch_of(batch))
                )

            yield store

    def _order_batches(self) -> Iterator[Action]:
        for batch in self._batches(self.world.messages):

            async def accept(batch: list[Any] = batch) -> None:
                await self._intake.accept(ProgramId(self.program), batch)

            yield accept

    async def next(self) -> None:
        if self.waiting:
            await self.waiting.pop()()


class _Session(CreditSession):
    """A leading attributor during whose work the world goes on."""

    def __init__(self, connection: "Connection", database: Database, between: Action) -> None:
        super().__init__(connection, database)
        self._between = between

    async def take(self, limit: int) -> Work:
        work = await super().take(limit)
        await self._between()
        return work

    async def name_visitors(self, conversions: Sequence[StoredConversion]) -> None:
        await self._between()
        await super().name_visitors(conversions)
        await self._between()

    async def write(self, *arguments: Any) -> None:
        await self._between()
        await super().write(*arguments)


class InterruptedTable(CreditTable):
    def __init__(self, database: Database, between: Action) -> None:
        super().__init__(database)
        self._between = between

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[CreditSession | None]:
        async with super().lead() as session:
            yield session and _Session(session.connection, self._database, self._between)


async def until_idle(database: Database) -> None:
    attributor = Attributor(CreditTable(database), AttributorPolicy(100, 0))
    async with database.connection() as connection:
        while await connection.fetchval("SELECT count(*) FROM credit_queue"):
            await attributor.step()


async def step(attributor: Attributor) -> None:
    """As the attributor's loop: what a conflict interrupts is done again later."""
    with suppress(DatabaseUnavailableError):
        await attributor.step()


async def found(database: Database, programs: Sequence[int], world: RandomWorld) -> None:
    async with database.connection() as connection:
        for program in programs:
            await found_program(connection, program, world.world)


async def assert_converged(database: Database, program: int, world: RandomWorld, note: object) -> None:
    judged = judge_all(world.world)
    assert await recorded(database, program) == {key: expected(j) for key, j in judged.items()}, note
    reader = ConversionReader(CreditTable(database), TOKENS)
    for (source, kind, external_id), j in judged.items():
        explained = await reader.attribution(_program(program), source, kind, external_id, None)
        assert explained is not None
        assert _explanation(explained) == _expected_explanation(j), note
        if kind == "purchase":
            order = await reader.order(_program(program), source, external_id)
            assert order is not None
            assert _money(order) == _expected_money(world.world, j.order), note


def _program(program: int) -> Program:
    return Program(ProgramId(program), f"programme-{program}", "EUR", "UTC", "click_id")


def _money(order: Any) -> tuple[Any, ...]:
    return tuple(order[name] for name in ("gross", "refunded", "net", "over_refund", "over_refunded"))


def _expected_money(world: World, order: Order) -> tuple[Any, ...]:
    asked = refunded(world, order)
    beyond = max(0, asked - order.gross)
    gross, refunds, left, over = (
        from_minor(amount, order.currency) for amount in (order.gross, asked, net(world, order), beyond)
    )
    return gross, refunds, left, beyond > 0, over


def _explanation(explained: Any) -> dict[str, object]:
    return {
        "status": explained["status"],
        "reason": explained["reason"],
        "model": explained["model"],
        "rule_id": explained["rule_id"],
        "touches": [(touch["click_id"], touch["verdict"]) for touch in explained["touches"]],
        "codes": [(code["code"], code["verdict"]) for code in explained["codes"]],
        "credits": {
            (c["influencer_id"], c["via"]): (Decimal(c["weight"]), c["revenue"]) for c in explained["credits"]
        },
        "more_touches": explained["more_touches"],
    }


def _expected_explanation(judged: Judged) -> dict[str, object]:
    return {
        "status": judged.status,
        "reason": judged.reason,
        "model": judged.rule.model,
        "rule_id": judged.rule.rule_id and str(judged.rule.rule_id),
        "touches": [
            (TOKENS.sign(click_id, judged.links[click_id]).decode(), verdict)
            for click_id, verdict in judged.verdicts.items()
        ],
        "codes": judged.codes,
        "credits": {
            (influencer and str(influencer), via): (Decimal(weight) / WHOLE, from_minor(net, judged.order.currency))
            for (influencer, via), (weight, net) in by_influencer(judged.credits).items()
        },
        "more_touches": 0,
    }


async def test_any_order_and_repetition_of_deliveries_converges(database: Database) -> None:
    """Two programmes hear the same facts in two orders, with work going on meanwhile; both end as the reference."""
    programs = count(1)
    for seed in range(WORLDS):
        rng = random.Random(seed)  # noqa: S311
        world = random_world(seed)
        pair = (next(programs), next(programs))
        await found(database, pair, world)
        deliveries = [Delivery(database, program, world, rng) for program in pair]

        async def between(rng: random.Random = rng, deliveries: list[Delivery] = deliveries) -> None:
            for _ in range(rng.choice((0, 0, 1, 2))):
                await rng.choice(deliveries).next()

        table = InterruptedTable(database, between)
        while any(delivery.waiting for delivery in deliveries):
            await rng.choice(deliveries).next()
            if rng.random() < 0.4:
                await step(Attributor(table, AttributorPolicy(rng.choice((1, 2, 100)), 0)))
        await until_idle(database)
        for program in pair:
            await assert_converged(database, program, world, f"seed {seed}")


async def test_concurrent_deliveries_and_attributors_converge(database: Database) -> None:
    """Consumers, intakes and rival attributors on connections of their own end as the reference does."""
    for seed in range(CONCURRENT_WORLDS):
        rng = random.Random(seed)  # noqa: S311
        worlds = {program: random_world(1_000 + program) for program in range(10 * seed + 1, 10 * seed + 4)}
        deliveries = []
        for program, world in worlds.items():
            await found(database, [program], world)
            deliveries.append(Delivery(database, program, world, rng))

        async def deliver(delivery: Delivery) -> None:
            while delivery.waiting:
                await persist(delivery.waiting.pop())

        async def attribute(deliveries: list[Delivery] = deliveries, rng: random.Random = rng) -> None:
            while any(delivery.waiting for delivery in deliveries):
                await step(Attributor(CreditTable(database), AttributorPolicy(rng.choice((1, 3)), 0)))

        async with asyncio.TaskGroup() as tasks:
            for delivery in deliveries:
                tasks.create_task(deliver(delivery))
                tasks.create_task(deliver(delivery))
            tasks.create_task(attribute())
            tasks.create_task(attribute())
        await until_idle(database)
        for program, world in worlds.items():
            await assert_converged(database, program, world, f"seed {seed}")


async def persist(action: Action) -> None:
    """As a consumer does when its transaction is the victim of a deadlock."""
    while True:
        try:
            await action()
        except DatabaseUnavailableError:
            continue
        return
