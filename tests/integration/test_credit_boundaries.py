"""The edges of what can be: amounts of nothing and of one unit, a path of a thousand, a crowd behind one customer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.recorded import Key, Recorded, expected, recorded
from tests.support.reference import Click, Version, World, judge_all
from tests.support.worlds import HOUR, START, add_rule, found_program, instant, order_of

from attribution.adapters.postgres import Database
from attribution.domain.click_id import make_click_id
from attribution.domain.conversions import ConversionMessage
from attribution.settings import Settings

WEEK = timedelta(days=7)
WEEKLY = Version(START - 998 * HOUR, {"default": 7 * 24 * HOUR}, "last_touch", rule_id=2)
LINEAR = Version(START - 999 * HOUR, {"default": 400 * HOUR}, "linear", rule_id=1)


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS, rules=[LINEAR]))
    yield Service(database)
    await database.close()


async def assert_right(
    service: Service, clicks: list[Click], *messages: ConversionMessage, rule: Version = LINEAR
) -> dict[Key, Recorded]:
    await service.store(*clicks)
    await service.reopen(*clicks)
    await service.accept(*messages)
    await service.settle()
    judged = judge_all(World(LINKS, clicks, [order_of(message) for message in messages], [rule]))
    found = await recorded(service.database, PROGRAM)
    assert found == {key: expected(j) for key, j in judged.items()}
    for its in found.values():
        assert sum(part.weight for part in its.credits.values()) == 10**18
    return found


async def make_weekly(service: Service) -> None:
    async with service.database.connection() as connection:
        await add_rule(connection, PROGRAM, WEEKLY)


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
async def test_nothing_and_one_unit_over_seven_touches(service: Service, currency: str) -> None:
    """One minor unit goes whole to the first touch; nothing is credited with its weights all the same."""
    seven = [click(hour, 1 + hour % 2, "v1") for hour in range(7)]
    orders = [
        sale(str(gross), 10, currency=currency, gross_minor=gross, discount_minor=gross, visitor_id="v1")
        for gross in (0, 1, 6, 8)
    ]
    found = await assert_right(service, seven, *orders)
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
    last = sale("last", 300, gross_minor=20_011, customer_id="c1")
    found = await assert_right(service, clicks, *orders, last)
    assert len(found[last.key].credits) == 200


# A click, and seven calendar days later at the same hour of the clock: an hour less than a window of 168 hours where
# the clock went forward meanwhile, an hour more where it went back.
DAYLIGHT = {
    "Europe/Berlin": (((3, 26), True), ((10, 22), False)),
    "America/New_York": (((3, 5), True), ((10, 29), False)),
}


@pytest.mark.parametrize("zone", DAYLIGHT)
async def test_a_window_across_a_change_of_the_clock_is_as_long_as_any(service: Service, zone: str) -> None:
    """Whatever the programme's zone: to the microsecond, and not to the hour of the clock."""
    async with service.database.connection() as connection:
        await connection.execute("UPDATE programs SET timezone = $1", zone)
    clicks, orders, credited = [], [], {}
    for number, (day, spring) in enumerate(DAYLIGHT[zone]):
        tapped = datetime(2026, *day, 12, tzinfo=ZoneInfo(zone))
        at = int(tapped.timestamp()) * 1_000_000
        clicks.append(Click(make_click_id(at, bytes(8)), at, 1, f"v{number}"))
        for name, moment, counts in (
            ("last", instant(at) + WEEK, True),
            ("beyond", instant(at) + WEEK + timedelta(microseconds=1), False),
            ("same hour", (tapped + WEEK).astimezone(UTC), spring),
        ):
            order = sale(f"{number} {name}", 0, visitor_id=f"v{number}")
            orders.append(replace(order, occurred_at=moment))
            credited[order.key] = counts
    await make_weekly(service)
    found = await assert_right(service, clicks, *orders, rule=WEEKLY)
    assert {key: its.status == "attributed" for key, its in found.items()} == credited


@pytest.mark.parametrize(("year", "last"), [(2027, (3, 1)), (2028, (2, 29))])
async def test_a_leap_day_is_a_day_of_a_window_like_any(service: Service, year: int, last: tuple[int, int]) -> None:
    """Seven days from 22 February on: in a leap year they end on the 29th."""
    tapped = datetime(year, 2, 22, tzinfo=UTC)
    at = int(tapped.timestamp()) * 1_000_000
    ends = datetime(year, *last, tzinfo=UTC)
    orders = [
        replace(sale(name, 0, visitor_id="v1"), occurred_at=moment)
        for name, moment in (("last", ends), ("beyond", ends + timedelta(microseconds=1)))
    ]
    await make_weekly(service)
    found = await assert_right(service, [Click(make_click_id(at, bytes(8)), at, 1, "v1")], *orders, rule=WEEKLY)
    assert [found[order.key].status for order in orders] == ["attributed", "unattributed"]
