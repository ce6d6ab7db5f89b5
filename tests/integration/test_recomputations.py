"""A recomputation gives the credits of other rules: shown by a dry run, or appended, and kept from then on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_credit_convergence import Delivery, assert_converged, found, persist, until_idle
from tests.integration.test_credit_races import LINKS, PROGRAM, PROGRAMME, Service, click, sale
from tests.support.batches import batch_of
from tests.support.recomputing import (
    EVER,
    Asked,
    ask,
    differences,
    recompute,
    recorded_differences,
    state,
)
from tests.support.recorded import expected, recorded
from tests.support.reference import Version, World, judge_all
from tests.support.worlds import (
    HOUR,
    MODELS,
    POSITION_WEIGHTS,
    SPAN_HOURS,
    START,
    TOKENS,
    RandomWorld,
    add_rule,
    found_program,
    instant,
    random_world,
    stored_click,
)

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.adapters.recomputation_table import Recomputation, RecomputationSession, RecomputationTable
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.conversions.reader import ConversionReader
from attribution.conversions.recomputer import Recomputer, RecomputerPolicy
from attribution.domain.ids import ProgramId
from attribution.errors import DatabaseUnavailableError

pytestmark = pytest.mark.usefixtures("foreign_program")

WORLDS = 12
LINEAR = Version(0, {}, "linear", rule_id=77)


def asked(rng: random.Random, world: World) -> Asked:
    """Any rule, whenever it is in force; or a model; or nothing. Other windows with each."""
    windows = {name: rng.choice((0, 12, 400)) * HOUR for name in ("purchase", "default") if rng.random() < 0.3}
    min_gap = rng.choice((None, None, 0, HOUR))
    kind = rng.choice(("rule", "model", "nothing"))
    if kind == "rule" and world.rules:
        return Asked(rng.choice(world.rules), windows=windows, min_gap=min_gap)
    if kind == "nothing":
        return Asked(windows=windows, min_gap=min_gap)
    return Asked(
        None,
        rng.choice(MODELS),
        rng.choice((None, HOUR)),
        rng.choice((None, *POSITION_WEIGHTS)),
        windows,
        min_gap,
    )


def period(rng: random.Random) -> tuple[datetime, datetime]:
    first, last = sorted(START + rng.randrange(SPAN_HOURS) * HOUR for _ in range(2))
    return rng.choice((EVER, (instant(first), instant(last))))


def judged_in(world: World, other: World, span: tuple[datetime, datetime]) -> dict[Any, Any]:
    """By `other` where it occurred in the span, else by `world`."""
    new = judge_all(other)
    return {
        key: new[key] if span[0] <= instant(judged.order.occurred_at) < span[1] else judged
        for key, judged in judge_all(world).items()
    }


async def deliver(database: Database, program: int, world: RandomWorld) -> None:
    await found(database, [program], world)
    clicks = batch_of(stored_click(program, c, world.world) for c in world.world.clicks)
    await ClickTable(database).store(clicks, [], [])
    await ConversionIntake(database, TOKENS).accept(ProgramId(program), world.messages)
    await until_idle(database)


async def assert_adds_up(database: Database, program: int) -> None:
    audit = await audit_credits(AuditTable(database), ProgramId(program), AuditPeriod())
    assert (audit["waiting"], audit["offenders"]) == (0, [])


async def test_an_applied_recomputation_gives_the_credits_of_its_terms(database: Database) -> None:
    """To the last minor unit, for the conversions of its period; a dry run before it foretold them."""
    for program in range(1, WORLDS + 1):
        rng = random.Random(program)  # noqa: S311
        world = random_world(program)
        await deliver(database, program, world)
        terms, span = asked(rng, world.world), period(rng)
        dry = await ask(database, program, terms, span, dry_run=True)
        await recompute(database)
        assert await recorded(database, program) == {
            key: expected(judged) for key, judged in judge_all(world.world).items()
        }
        foretold = await recorded_differences(database, program, dry)
        applied = await ask(database, program, terms, span)
        await recompute(database)
        wanted = judged_in(world.world, terms.world(world.world), span)
        assert await recorded(database, program) == {key: expected(judged) for key, judged in wanted.items()}
        in_span = {
            difference: pair
            for difference, pair in differences(world.world, terms.world(world.world)).items()
            if span[0] <= instant(wanted[difference[0]].order.occurred_at) < span[1]
        }
        assert foretold == await recorded_differences(database, program, applied) == in_span
        row = await state(database, program, applied)
        assert (row["status"], row["done"], row["changed"]) == ("done", row["total"], len({d[0] for d in in_span}))
        await assert_adds_up(database, program)


class _Interrupted(RecomputationSession):
    """Its connection goes away at any moment, or work is cut off after all was written."""

    rng = random.Random(1)  # noqa: S311

    async def batch(self, *arguments: Any) -> Any:
        await self._perhaps_end()
        return await super().batch(*arguments)

    async def append(self, *arguments: Any) -> None:
        await super().append(*arguments)
        await self._perhaps_end()

    async def reach(self, *arguments: Any) -> None:
        await super().reach(*arguments)
        await self._perhaps_end()

    async def _perhaps_end(self) -> None:
        if self.rng.random() < 0.3:
            async with self._database.connection() as connection:
                await connection.execute("SELECT pg_terminate_backend($1)", self._connection.get_server_pid())


class InterruptedTable(RecomputationTable):
    @asynccontextmanager
    async def lead(self) -> AsyncIterator[RecomputationSession | None]:
        async with super().lead() as session:
            if session is None:
                yield None
                return
            yield _Interrupted(session.connection, self._database)


async def test_a_recomputation_that_is_killed_goes_on_where_it_was(database: Database) -> None:
    """Whatever the moment: nothing is judged twice, nothing left out."""
    terms = Asked(model="linear", windows={"default": 400 * HOUR})
    worlds = map(random_world, range(100))
    world = next(w for w in worlds if len(differences(w.world, terms.world(w.world))) > 3)
    await deliver(database, 1, world)
    dry = await ask(database, 1, terms, dry_run=True)
    applied = await ask(database, 1, terms)
    table, failures = InterruptedTable(database), 0
    while await table.is_waiting():
        try:
            await Recomputer(table, RecomputerPolicy(2)).step()
        except DatabaseUnavailableError:
            failures += 1
    assert failures > 2
    wanted = differences(world.world, terms.world(world.world))
    assert await recorded_differences(database, 1, dry) == wanted
    assert await recorded_differences(database, 1, applied) == wanted
    assert (await state(database, 1, applied))["done"] == len(judge_all(world.world))
    after = judge_all(terms.world(world.world))
    assert await recorded(database, 1) == {key: expected(judged) for key, judged in after.items()}
    await assert_adds_up(database, 1)


async def test_what_comes_late_is_judged_by_the_recomputation(database: Database) -> None:
    """Clicks and refunds that arrive after it, and rules made after it, leave its terms in force."""
    for program in range(1, 7):
        rng = random.Random(program)  # noqa: S311
        world = random_world(100 + program)
        orders = [m for m in world.messages if hasattr(m, "occurred_at")]
        refunds = [m for m in world.messages if not hasattr(m, "occurred_at")]
        await found(database, [program], world)
        clicks = [stored_click(program, c, world.world) for c in world.world.clicks]
        early = [c for c in clicks if rng.random() < 0.4]
        table, intake = ClickTable(database), ConversionIntake(database, TOKENS)
        await table.store(batch_of(early), [], [])
        await intake.accept(ProgramId(program), orders)
        await until_idle(database)
        terms = asked(rng, world.world)
        await ask(database, program, terms)
        await recompute(database)
        async with database.connection() as connection:
            await add_rule(connection, program, Version(START, {"default": 0}, rule_id=500 + program))
        await table.store(batch_of(clicks), [], [])
        await table.reopen(batch_of(clicks))
        await intake.accept(ProgramId(program), refunds)
        await until_idle(database)
        await assert_converged(
            database, program, RandomWorld(terms.world(world.world), world.messages), f"seed {program}"
        )
        await assert_adds_up(database, program)


async def test_live_crediting_goes_on_meanwhile(database: Database) -> None:
    """Facts land and are credited between the batches, by rival processes; none of the two waits for the other."""
    world = random_world(13)
    terms = Asked(model="inverse_j")
    await found(database, [1], world)
    delivery = Delivery(database, 1, world, random.Random(11))  # noqa: S311
    turn = asyncio.Lock()
    attributors = [
        Attributor(CreditTable(database), AttributorPolicy(2, 0.001), turn=turn),
        Attributor(CreditTable(database), AttributorPolicy(2, 0.001)),
    ]
    recomputers = [
        Recomputer(RecomputationTable(database), RecomputerPolicy(1, poll_s=0.001), turn=turn),
        Recomputer(RecomputationTable(database), RecomputerPolicy(1, poll_s=0.001)),
    ]
    tasks = [asyncio.create_task(work) for work in (*(a.run() for a in attributors), *(r.run() for r in recomputers))]
    try:
        while delivery.waiting:
            await persist(delivery.waiting.pop())
            if len(delivery.waiting) % 5 == 0:
                await ask(database, 1, terms)
        while await RecomputationTable(database).is_waiting():
            await asyncio.sleep(0.01)
        await ask(database, 1, terms)
        while await RecomputationTable(database).is_waiting():
            await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await until_idle(database)
    await assert_converged(database, 1, RandomWorld(terms.world(world.world), world.messages), "live")
    await assert_adds_up(database, 1)


@pytest_asyncio.fixture
async def service(database: Database) -> Service:
    """Two orders of two touches each, and their last touches paid."""
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
        await add_rule(connection, PROGRAM, LINEAR)
        await connection.execute("UPDATE rules SET effective_from = '2999-01-01Z'")
    service = Service(database)
    await service.store(click(1, 1, "v1"), click(2, 2, "v1"))
    await service.accept(sale("A", 5, visitor_id="v1"), sale("B", 6, visitor_id="v1"))
    await service.settle()
    return service


async def weights(service: Service, order: str) -> dict[int | None, str]:
    explained = await service.explain(sale(order, 5))
    return {c["influencer_id"] and int(c["influencer_id"]): c["weight"] for c in explained["credits"]}


async def test_a_rule_that_was_corrected_back_dated_counts_from_a_recomputation_on(service: Service) -> None:
    """Without rule and model, conversions are bound anew to the rules in force at their instants."""
    async with service.database.connection() as connection:
        await add_rule(connection, PROGRAM, Version(START, {}, "first_touch", rule_id=78))
    assert await weights(service, "A") == {2: "1"}
    await ask(service.database, PROGRAM, Asked())
    await recompute(service.database)
    assert await weights(service, "A") == {1: "1"}
    assert (await service.explain(sale("A", 5)))["rule_id"] == "78"


async def test_orders_that_come_after_it_are_judged_by_the_rules_in_force(service: Service) -> None:
    await ask(service.database, PROGRAM, Asked(LINEAR))
    await recompute(service.database)
    await service.accept(sale("C", 5, visitor_id="v1"))
    await service.settle()
    assert await weights(service, "A") == {1: "0.5", 2: "0.5"}
    assert await weights(service, "C") == {2: "1"}


async def test_the_history_says_what_a_recomputation_appended(service: Service) -> None:
    """And nothing that was there is changed."""
    reader = ConversionReader(CreditTable(service.database), TOKENS)

    async def history() -> Any:
        entries = await reader.history(PROGRAMME, "shop", "purchase", "A", 0, 100)
        assert entries is not None
        return [entry for _, entry in entries]

    before = await history()
    recomputation = await ask(service.database, PROGRAM, Asked(LINEAR))
    await recompute(service.database)
    after = await history()
    assert after[: len(before)] == before
    appended = {(e["recomputation_id"], e["influencer_id"], e["weight"]) for e in after[len(before) :]}
    assert appended == {(str(recomputation), "2", "-0.5"), (str(recomputation), "1", "0.5")}
    as_it_was = await service.explain(sale("A", 5), before[-1]["recorded_at"] + timedelta(microseconds=1))
    assert [c["weight"] for c in as_it_was["credits"]] == ["1"]


async def test_the_explanation_says_that_a_recomputation_bound_it(service: Service) -> None:
    """With its record; the page too."""
    recomputation = await ask(
        service.database, PROGRAM, Asked(model="position_based", windows={"purchase": 24 * HOUR})
    )
    await recompute(service.database)
    said = (await service.explain(sale("A", 5)))["recorded"]["recomputation"]
    assert said == {
        "id": str(recomputation),
        "rule": None,
        "model": "position_based",
        "half_life": None,
        "position_weights": None,
        "windows": {"purchase": "P1D"},
        "min_click_to_conversion": None,
    }
    page = await ConversionReader(CreditTable(service.database), TOKENS).page(PROGRAMME, ("shop", "purchase", "A"))
    assert page is not None
    assert (
        f"none is in force with the terms of recomputation {recomputation}, so position_based, window 1 day" in page
    )
    assert f"bound by recomputation {recomputation} to the rules, windows and codes known" in page
    assert f"the window is 1 day (no rule with the terms of recomputation {recomputation}, for purchase)" in page


class _Broken(RecomputationSession):
    async def batch(self, *_: Any) -> Any:
        raise ValueError("cannot be")


class BrokenTable(RecomputationTable):
    @asynccontextmanager
    async def lead(self) -> AsyncIterator[RecomputationSession | None]:
        async with super().lead() as session:
            yield session and _Broken(session.connection, self._database)


async def test_a_recomputation_that_cannot_be_done_fails_alone(service: Service) -> None:
    """It says why, and the next goes on."""
    bad = await ask(service.database, PROGRAM, Asked(model="linear"))
    good = await ask(service.database, PROGRAM, Asked(LINEAR))
    assert await Recomputer(BrokenTable(service.database), RecomputerPolicy(10)).step() == 0
    failed = await state(service.database, PROGRAM, bad)
    assert (failed["status"], failed["error"], failed["done"]) == ("failed", "ValueError: cannot be", 0)
    await recompute(service.database)
    assert (await state(service.database, PROGRAM, good))["status"] == "done"


class _Cancelling(RecomputationSession):
    """Somebody cancels it when its second batch is read."""

    async def batch(self, *arguments: Any) -> Any:
        found = await super().batch(*arguments)
        recomputation: Recomputation = arguments[0]
        if found and recomputation.mark != arguments[1]:
            await RecomputationTable(self._database).cancel(ProgramId(PROGRAM), recomputation.recomputation_id)
        return found


class CancellingTable(RecomputationTable):
    @asynccontextmanager
    async def lead(self) -> AsyncIterator[RecomputationSession | None]:
        async with super().lead() as session:
            yield session and _Cancelling(session.connection, self._database)


@pytest.mark.parametrize("dry_run", [True, False])
async def test_one_that_is_cancelled_at_work_stays_cancelled(service: Service, *, dry_run: bool) -> None:
    recomputation = await ask(service.database, PROGRAM, Asked(model="first_touch"), dry_run=dry_run)
    await Recomputer(CancellingTable(service.database), RecomputerPolicy(1, batches=10)).step()
    row = await state(service.database, PROGRAM, recomputation)
    assert row["status"] == "cancelled"
    assert row["done"] < 2


async def test_a_dry_run_and_crediting_wait_for_nothing_of_each_other(service: Service) -> None:
    recomputation = await ask(service.database, PROGRAM, Asked(model="first_touch"), dry_run=True)
    async with CreditTable(service.database).lead() as attributor, asyncio.timeout(60):
        assert attributor is not None
        await recompute(service.database)
    assert (await state(service.database, PROGRAM, recomputation))["status"] == "done"


async def test_one_of_a_period_without_orders_is_begun_and_done(service: Service) -> None:
    recomputation = await ask(
        service.database, PROGRAM, Asked(model="linear"), (instant(1), instant(2)), dry_run=True
    )
    await recompute(service.database)
    row = await state(service.database, PROGRAM, recomputation)
    assert (row["status"], row["done"], row["total"]) == ("done", 0, 0)
    assert row["started_at"] is not None
