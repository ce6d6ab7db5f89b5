"""The edges of what can be: amounts of nothing and of one unit, a path of a thousand, a crowd behind one customer."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.recorded import expected, recorded
from tests.support.reference import Click, Version, World, judge_all
from tests.support.worlds import HOUR, START, found_program, order_of

from attribution.adapters.postgres import Database
from attribution.domain.click_id import make_click_id
from attribution.domain.conversions import ConversionMessage
from attribution.settings import Settings

LINEAR = Version(START - 999 * HOUR, {"default": 400 * HOUR}, "linear", rule_id=1)


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS, rules=[LINEAR]))
    yield Service(database)
    await database.close()


async def assert_right(service: Service, clicks: list[Click], *messages: ConversionMessage) -> None:
    await service.store(*clicks)
    await service.reopen(*clicks)
    await service.accept(*messages)
    await service.settle()
    judged = judge_all(World(LINKS, clicks, [order_of(message) for message in messages], [LINEAR]))
    assert await recorded(service.database, PROGRAM) == {key: expected(j) for key, j in judged.items()}
    for found in (await recorded(service.database, PROGRAM)).values():
        assert sum(part.weight for part in found.credits.values()) == 10**18


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
async def test_nothing_and_one_unit_over_seven_touches(service: Service, currency: str) -> None:
    """One minor unit goes whole to the first touch; nothing is credited with its weights all the same."""
    seven = [click(hour, 1 + hour % 2, "v1") for hour in range(7)]
    orders = [
        sale(str(gross), 10, currency=currency, gross_minor=gross, discount_minor=gross, visitor_id="v1")
        for gross in (0, 1, 6, 8)
    ]
    await assert_right(service, seven, *orders)
    found = await recorded(service.database, PROGRAM)
    assert [part.net for part in found[orders[1].key].credits.values()].count(1) == 1
    assert len(found[orders[0].key].credits) == 7


async def test_a_path_of_a_thousand_touches(service: Service) -> None:
    thousand = [
        Click(make_click_id(START + number, number.to_bytes(8, "big")), START + number, 1 + number % 2, "v1")
        for number in range(1000)
    ]
    await assert_right(service, thousand, sale("A", 1, gross_minor=99_999, visitor_id="v1"))


async def test_a_customer_with_two_hundred_visitors(service: Service) -> None:
    """Each named by an order of its own: the last one has the clicks of all."""
    clicks = [click(number, 1 + number % 2, f"v{number}") for number in range(200)]
    orders = [sale(str(number), number, customer_id="c1", visitor_id=f"v{number}") for number in range(200)]
    await assert_right(service, clicks, *orders, sale("last", 300, gross_minor=20_011, customer_id="c1"))
    found = (await recorded(service.database, PROGRAM))["shop", "purchase", "last"]
    assert len(found.credits) == 200
