"""Codes change while conversions come in: what is credited stays with the codes by which it was credited."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_credit_convergence import found, until_idle
from tests.integration.test_credit_entries import queue_all
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale, someone_waits
from tests.support.batches import batch_of
from tests.support.recorded import expected, recorded
from tests.support.reference import Code, Ledger, World
from tests.support.waiting import eventually
from tests.support.worlds import (
    TOKENS,
    RandomWorld,
    found_foreign_program,
    found_program,
    instant,
    random_code,
    random_world,
    stored_click,
)

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database
from attribution.conversions.attributor import judge_and_value
from attribution.domain.conversions import ConversionMessage
from attribution.domain.ids import ProgramId
from attribution.errors import ConflictError

WORLDS = 8
ROUNDS = 4
ANNA15 = Code("ANNA15", 1, "always")


@pytest_asyncio.fixture
async def service(database: Database) -> Service:
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS, codes=[ANNA15]))
    return Service(database)


def values(code: Code) -> dict[str, Any]:
    return {
        "external_id": None,
        "code": code.text,
        "code_key": code.text.lower(),
        "influencer_id": code.influencer,
        "campaign_id": code.campaign,
        "policy": code.policy,
        "starts_at": code.starts_at and instant(code.starts_at).isoformat(),
        "ends_at": code.ends_at and instant(code.ends_at).isoformat(),
        "status": "disabled" if code.disabled else "active",
    }


class Programme:
    """Facts and changes of codes arrive by turns; the ledger hears the same."""

    def __init__(self, database: Database, number: int, world: RandomWorld, rng: random.Random) -> None:
        self._database = database
        self._number = number
        self._rng = rng
        self._objects = Objects(database, "codes")
        self._clicks = list(world.world.clicks)
        messages = [message for message in world.messages if isinstance(message, ConversionMessage)]
        self._said = list(zip(messages, world.world.orders, strict=True))
        rng.shuffle(self._clicks)
        rng.shuffle(self._said)
        self._known = replace(world.world, clicks=[], orders=[], refunds=[])
        self._ledger = Ledger()

    async def deliver(self, share: float) -> None:
        clicks = [self._clicks.pop() for _ in range(round(len(self._clicks) * share))]
        said = [self._said.pop() for _ in range(round(len(self._said) * share))]
        self._known = replace(
            self._known,
            clicks=[*self._known.clicks, *clicks],
            orders=[*self._known.orders, *(order for _, order in said)],
        )
        stored = batch_of(stored_click(self._number, c, self._known) for c in clicks)
        await ConversionIntake(self._database, TOKENS).accept(ProgramId(self._number), [m for m, _ in said])
        await ClickTable(self._database).store(stored, [], [])
        await ClickTable(self._database).reopen(stored)

    async def change_a_code(self) -> None:
        """To anything at all; a change that the constraint refuses has not happened."""
        codes = list(self._known.codes)
        index = self._rng.randrange(len(codes) + 1)
        code = random_code(self._rng, self._rng.choice(("ANNA15", "BELLA", "clara", "Dora")))
        with suppress(ConflictError):
            if index == len(codes):
                await self._objects.create(self._number, values(code))
                codes.append(code)
            else:
                ids = [row["id"] for row in await self._objects.list(self._number, None, 0, 100)]
                await self._objects.change(self._number, ids[index], lambda _: values(code))
                codes[index] = code
        self._known = replace(self._known, codes=codes)

    async def assert_right(self, note: object) -> None:
        judged = self._ledger.judge_all(self._known)
        assert await recorded(self._database, self._number) == {k: expected(j) for k, j in judged.items()}, note


@pytest.mark.parametrize("again", [True, False], ids=["all is judged again", "what the changes re-open is"])
async def test_credited_conversions_stay_with_their_codes_whatever_changes(
    database: Database, *, again: bool
) -> None:
    """Codes are made, renamed, handed over, dated anew and disabled between deliveries."""
    async with database.connection() as connection:
        await found_foreign_program(connection)
    for seed in range(WORLDS):
        rng = random.Random(seed)  # noqa: S311
        world = random_world(seed)
        await found(database, [seed + 1], world)
        programme = Programme(database, seed + 1, world, rng)
        for turn in range(ROUNDS):
            await programme.deliver(1 if turn == ROUNDS - 1 else 0.4)
            if again:
                await queue_all(Service(database))
            await until_idle(database)
            await programme.assert_right(f"seed {seed}, turn {turn}")
            for _ in range(3):
                await programme.change_a_code()


async def change(service: Service, **changes: Any) -> None:
    objects = Objects(service.database, "codes")
    [row] = await objects.list(PROGRAM, None, 0, 100)
    await objects.change(PROGRAM, row["id"], lambda _: values(replace(ANNA15, **changes)))


async def credited(service: Service, key: tuple[str, str, str]) -> list[tuple[str, int | None]]:
    await queue_all(service)
    await service.settle()
    parts = (await recorded(service.database, PROGRAM))[key].credits
    return [(target.via, target.influencer) for target in parts]


async def test_a_change_of_a_code_judges_only_what_has_no_credit_yet(service: Service) -> None:
    """Disabled, given away, ended: the credited order keeps its code, a new order hears of the change."""
    old = sale("A", 5, discount_codes=("ANNA15",))
    await service.accept(old)
    assert await credited(service, old.key) == [("code", 1)]
    cases: list[tuple[dict[str, Any], list[tuple[str, int | None]]]] = [
        ({"influencer": 2}, [("code", 2)]),
        ({"disabled": True}, [("none", None)]),
        ({"ends_at": 1}, [("none", None)]),
    ]
    for number, (changes, parts) in enumerate(cases):
        await change(service, **changes)
        new = sale(f"B{number}", 5, discount_codes=("ANNA15",))
        await service.accept(new)
        assert await credited(service, new.key) == parts
        assert await credited(service, old.key) == [("code", 1)]


async def test_a_code_made_after_an_order_was_credited_is_unknown_to_it(service: Service) -> None:
    """Also where a later message of the order names it."""
    touch, message = click(1, 2, "v1"), sale("A", 5, visitor_id="v1", discount_codes=("LATER",))
    await service.store(touch)
    await service.accept(message)
    assert await credited(service, message.key) == [("click", 2)]
    await Objects(service.database, "codes").create(PROGRAM, values(Code("LATER", 1, "always")))
    assert await credited(service, message.key) == [("click", 2)]
    explained = await service.explain(message)
    assert [code["verdict"] for code in explained["codes"]] == ["unknown"]


async def test_an_order_is_bound_to_every_version_that_it_saw_and_to_no_other(service: Service) -> None:
    """A version whose transaction began before a judgement, and ends after it, is as good as made afterwards."""
    message = sale("A", 5, discount_codes=("ANNA15",))
    await service.accept(message)
    table = CreditTable(service.database)
    async with service.database.connection() as other, table.lead() as session:
        assert session is not None
        early = other.transaction()
        await early.start()
        await other.execute("SELECT now()")
        work = await session.take(10)
        async with session.transaction():
            conversions = await session.conversions(work.conversions)
            judged = await judge_and_value(session, conversions)
            changing = asyncio.create_task(other.execute("UPDATE codes SET influencer_id = 2"))
            await eventually(lambda: someone_waits(service.database))
            await session.write(judged)
            await session.done(work)
        await changing
        await early.commit()
    assert await credited(service, message.key) == [("code", 1)]


async def test_only_what_credit_depends_on_makes_a_version(service: Service) -> None:
    async def versions() -> int:
        async with service.database.connection() as connection:
            number: int = await connection.fetchval("SELECT count(*) FROM code_versions")
        return number

    assert await versions() == 1
    await change(service)
    assert await versions() == 1
    async with service.database.connection() as connection:
        await connection.execute("UPDATE codes SET external_id = 'x'")
    assert await versions() == 1
    await change(service, policy="if_winner")
    assert await versions() == 2
