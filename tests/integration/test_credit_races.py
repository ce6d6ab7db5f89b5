"""Moments between two transactions at which a credit could be lost, each held open."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from tests.integration.test_credit_convergence import InterruptedTable, until_idle
from tests.support.batches import batch_of
from tests.support.recorded import expected, recorded
from tests.support.reference import Click, Link, Order, World, judge_all
from tests.support.waiting import eventually
from tests.support.worlds import (
    HOUR,
    START,
    TOKENS,
    found_program,
    instant,
    named_by,
    order_of,
    stored_click,
    token_of,
)

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake, Message
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.conversions.reader import ConversionReader
from attribution.domain.click_id import make_click_id
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program
from attribution.settings import Settings

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

PROGRAM = 1
PROGRAMME = Program(ProgramId(PROGRAM), "programme-1", "EUR", "UTC", "click_id")
LINKS = {1: Link(influencer=1), 2: Link(influencer=2)}


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
    yield database
    await database.close()


def click(hour: int, link: int, visitor: str | None) -> Click:
    at = START + hour * HOUR
    return Click(make_click_id(at, bytes(8)), at, link, visitor)


def sale(external_id: str, hour: int, *, update: int = 0, **fields: Any) -> ConversionMessage:
    values: dict[str, Any] = {"currency": "EUR", "gross_minor": 100, "status": ConversionStatus.CONFIRMED} | fields
    return ConversionMessage(
        source="shop", type="purchase", external_id=external_id, updated_at=instant(START + update),
        occurred_at=instant(START + hour * HOUR), **values,
    )  # fmt: skip


class Service:
    def __init__(self, database: Database) -> None:
        self.database = database
        self._clicks = ClickTable(database)

    async def accept(self, *messages: Message) -> None:
        await ConversionIntake(self.database, TOKENS).accept(ProgramId(PROGRAM), messages)

    async def store(self, *clicks: Click) -> None:
        await self._clicks.store(batch_of(stored_click(PROGRAM, c, World(LINKS)) for c in clicks), [], [])

    async def reopen(self, *clicks: Click) -> None:
        await self._clicks.reopen(batch_of(stored_click(PROGRAM, c, World(LINKS)) for c in clicks))

    async def settle(self) -> None:
        await until_idle(self.database)

    async def now(self) -> datetime:
        """By the clock of the database, which records."""
        async with self.database.connection() as connection:
            at: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return at

    async def explain(self, message: ConversionMessage, as_of: datetime | None = None) -> Mapping[str, Any]:
        explained = await ConversionReader(CreditTable(self.database), TOKENS).attribution(
            PROGRAMME, *message.key, None, as_of
        )
        assert explained is not None
        return explained

    async def assert_right(self, clicks: list[Click], orders: list[Order]) -> None:
        await self.settle()
        judged = judge_all(World(LINKS, clicks, orders))
        assert await recorded(self.database, PROGRAM) == {key: expected(j) for key, j in judged.items()}


async def test_a_click_that_lands_while_its_order_is_judged_still_names_its_visitor(
    database: Database,
) -> None:
    """The row of a named click commits between the naming and the reading: its visitor's other clicks count too."""
    service = Service(database)
    other, named = click(1, 1, "v1"), click(3, 2, "v1")
    late = click(2, 1, "v1")
    message = sale("A", 10, click_id=token_of(named))
    await service.store(other)
    await service.accept(message)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO rules (program_id, effective_from, model, windows, min_click_to_conversion)"
            " VALUES ($1, 'epoch', 'linear', '{}', '0')",
            PROGRAM,
        )
    moments = iter(["taken", "naming", "named", "read"])

    async def between() -> None:
        if next(moments) == "named":
            await service.store(named)

    await Attributor(InterruptedTable(database, between), AttributorPolicy(10, 0)).step()
    await service.reopen(named)
    await service.settle()
    await service.store(late)
    await service.reopen(late)
    await service.settle()
    parts = (await recorded(database, PROGRAM))[message.key].credits
    assert {target.click_id for target in parts} == {c.click_id for c in (other, late, named)}


async def test_a_click_named_before_it_was_made_opens_the_later_orders_of_its_customer(
    database: Database,
) -> None:
    """An order may name a click that is younger than itself; its visitor counts for the customer's orders between."""
    service = Service(database)
    old, young = click(1, 1, "v1"), click(9, 2, "v1")
    messages = [sale("A", 2, customer_id="c1", click_id=token_of(young)), sale("B", 5, customer_id="c1")]
    await service.store(old)
    await service.reopen(old)
    await service.accept(*messages)
    await service.settle()
    await service.store(young)
    await service.reopen(young)
    await service.assert_right([old, young], [order_of(messages[0], named_by(young)), order_of(messages[1])])


class HeldDatabase(Database):
    """Its transactions commit when they are let go."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def transaction(self, **options: Any) -> "AsyncIterator[Connection]":
        async with super().transaction(**options) as connection:
            yield connection
            self.reached.set()
            await self.let_go.wait()


async def test_two_messages_of_one_order_at_once_leave_nothing_of_the_older(
    database: Database, database_url: str
) -> None:
    """What the first message of an order named for its customer is taken back by the second, however close."""
    service = Service(database)
    touch = click(1, 1, "v1")
    first, second = sale("A", 2, customer_id="c1", visitor_id="v1"), sale("A", 2, update=1, customer_id="c2")
    later = sale("B", 5, customer_id="c1")
    await service.store(touch)
    await service.accept(later)
    held = [HeldDatabase(Settings(database_url=database_url)) for _ in range(2)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Service(held[0]).accept(first))
        await held[0].reached.wait()
        tasks.create_task(Service(held[1]).accept(second))
        await eventually(lambda: someone_waits(database))
        held[0].let_go.set()
        await held[1].reached.wait()
        await service.settle()
        held[1].let_go.set()
    for database_ in held:
        await database_.close()
    await service.assert_right([touch], [order_of(message) for message in (first, second, later)])


async def someone_waits(database: Database) -> bool:
    async with database.connection() as connection:
        waiting: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return waiting
