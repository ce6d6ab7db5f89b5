"""An explanation of more clicks than it lists: nothing that decided is left out, and nothing is said not to be."""

from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.api import Api
from tests.support.reference import Version, World
from tests.support.worlds import HOUR, START, found_program, token_of

from attribution.adapters.postgres import Database
from attribution.conversions.listing import TOUCHES_LISTED
from attribution.settings import Settings

LINEAR = Version(START - 999 * HOUR, {"default": 9999 * HOUR}, "linear", 0, rule_id=7)
QUERY = {"program": f"programme-{PROGRAM}", "source": "shop"}
PATH = "/v1/orders/A/attribution"


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS, rules=[LINEAR]))
    yield Service(database)
    await database.close()


async def explained(api: Api) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.ask("GET", PATH, params=QUERY)).json()
    assert len({touch["click_id"] for touch in answer["touches"]}) == len(answer["touches"])
    return answer


async def page(api: Api, **query: str) -> str:
    return (await api.ask("GET", PATH, params=QUERY | query, headers={"Accept": "text/plain"})).text


async def flood(service: Service, count: int) -> None:
    """Of influencer 2, after all orders here."""
    await service.store(*(click(100 + number, 2, "v1") for number in range(count)))


async def test_the_credited_click_is_listed_whatever_came_after_the_order(service: Service, api: Api) -> None:
    await service.store(click(1, 1, "v1"))
    await flood(service, TOUCHES_LISTED + 100)
    await service.accept(sale("A", 2, visitor_id="v1"))
    await service.settle()
    answer = await explained(api)
    verdicts = Counter(touch["verdict"] for touch in answer["touches"])
    assert verdicts == {"credited": 1, "after_conversion": TOUCHES_LISTED}
    assert answer["more_touches"] == 100
    assert "Influencer 1 (influencer 1) through click: weight 1, 1.00 EUR" in await page(api)
    asked = await page(api, influencer_id="1")
    assert "credited, weight 1, 1.00 EUR." in asked.partition("Credit:")[0]
    assert "No click" not in asked


async def test_the_click_that_the_order_names_is_counted_without_a_visitor(service: Service, api: Api) -> None:
    """Beside a path of a thousand it is one more, and the weights of all sum to 1."""
    named = click(1, 2, None)
    await service.store(named, *(click(10 + number, 1, "v1") for number in range(TOUCHES_LISTED)))
    await service.accept(sale("A", 2000, visitor_id="v1", click_id=token_of(named)))
    await service.settle()
    answer = await explained(api)
    assert (len(answer["touches"]), answer["more_touches"]) == (TOUCHES_LISTED + 1, 0)
    assert sum(Decimal(touch["weight"]) for touch in answer["touches"]) == 1
    assert answer["touches"][0]["named_by"] == "click_id"


async def test_the_clicks_of_who_asks_are_looked_up_among_all(service: Service, api: Api) -> None:
    """Those of influencer 1 are older than the newest thousand and decided nothing."""
    await service.store(click(3, 2, "v1"), click(10, 1, "v1"), click(11, 1, "v1"), click(12, 1, "v1"))
    await flood(service, TOUCHES_LISTED + 1)
    await service.accept(sale("A", 5, visitor_id="v1"))
    await service.settle()
    assert (await explained(api))["more_touches"] == 4
    about, _, others = (await page(api, influencer_id="1")).partition("Credit:")
    assert about.count("only clicks before the order count.") == 3
    assert "not listed" not in about
    assert others.count("  Click of") == TOUCHES_LISTED + 1
    assert "\n  and 1 more, not listed\n" in others
    about, _, others = (await page(api, influencer_id="2")).partition("Credit:")
    assert about.count("  Click of") == TOUCHES_LISTED + 1
    assert "\n  and 1 more, not listed\n" in about
    assert "Other touches, the oldest first:\n  and 3 more, not listed\n" in others


async def test_the_clicks_of_the_named_clicks_visitor_count_before_the_first_judgement(
    service: Service, api: Api
) -> None:
    named = click(1, 1, "v1")
    await service.store(named)
    await flood(service, TOUCHES_LISTED + 3)
    await service.accept(sale("A", 2, click_id=token_of(named)))
    before = await explained(api)
    assert (len(before["touches"]), before["more_touches"]) == (TOUCHES_LISTED + 1, 3)
    await service.settle()
    after = await explained(api)
    assert (len(after["touches"]), after["more_touches"]) == (TOUCHES_LISTED + 1, 3)
