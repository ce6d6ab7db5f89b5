"""A code, a rule or a window made after an order that has no credit yet, and that may give it some."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest_asyncio
from tests.integration.test_code_versions import values
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.batches import batch_of
from tests.support.recorded import recorded
from tests.support.reference import Code, Link, World
from tests.support.worlds import HOUR, START, found_program, instant, stored_click

from attribution.adapters.click_table import ClickTable
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database
from attribution.settings import Settings

WORLD = World({**LINKS, 3: Link(influencer=2, campaign=1)})
CODE = Code("LATER", 1, "always")
Parts = list[tuple[str, int | None]]
NOBODY: Parts = [("none", None)]


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, WORLD)
    yield Service(database)
    await database.close()


async def credits_of(service: Service) -> dict[str, Parts]:
    """By order, once the attributor has nothing left to do."""
    await service.settle()
    found = await recorded(service.database, PROGRAM)
    return {key[2]: [(target.via, target.influencer) for target in its.credits] for key, its in found.items()}


async def change(codes: Objects, code_id: int, code: Code) -> None:
    await codes.change(PROGRAM, code_id, lambda _: values(code))


async def make_rule(service: Service, effective_hour: int, **fields: Any) -> None:
    rule = {"effective_from": instant(START + effective_hour * HOUR).isoformat(), "model": "last_touch"}
    defaults = {"windows": {}, "min_click_to_conversion": "PT0S"}
    await Objects(service.database, "rules").create(PROGRAM, defaults | rule | fields)


async def waiting(service: Service) -> int:
    async with service.database.connection() as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM credit_queue")
    return number


async def test_a_code_that_is_made_credits_the_order_that_waited_for_it(service: Service) -> None:
    """However the order writes it; an order outside its dates goes on waiting."""
    orders = [sale(f"{hour}", hour, discount_codes=("NOBODY", " later ")) for hour in (5, 10, 15)]
    await service.accept(*orders)
    assert await credits_of(service) == {"5": NOBODY, "10": NOBODY, "15": NOBODY}
    dated = replace(CODE, starts_at=START + 10 * HOUR, ends_at=START + 15 * HOUR)
    await Objects(service.database, "codes").create(PROGRAM, values(dated))
    assert await credits_of(service) == {"5": NOBODY, "10": [("code", 1)], "15": NOBODY}


async def test_a_code_that_is_changed_credits_what_now_falls_under_it(service: Service) -> None:
    """Enabled, dated back, renamed; what it credits once, no later change takes away."""
    codes = Objects(service.database, "codes")
    made = await codes.create(PROGRAM, values(replace(CODE, disabled=True)))
    await service.accept(sale("A", 5, discount_codes=("LATER",)), sale("B", 5, discount_codes=("OTHER",)))
    assert await credits_of(service) == {"A": NOBODY, "B": NOBODY}
    late = replace(CODE, starts_at=START + 9 * HOUR)
    for code, a, b in (
        (late, NOBODY, NOBODY),
        (CODE, [("code", 1)], NOBODY),
        (replace(CODE, text="OTHER", influencer=2), [("code", 1)], [("code", 2)]),
    ):
        await change(codes, made["id"], code)
        assert await credits_of(service) == {"A": a, "B": b}


async def test_a_rule_made_for_the_past_credits_orders_that_had_none(service: Service) -> None:
    """Those from its effective date on; those that an older one credited stay as they are."""
    await make_rule(service, 0, windows={"default": "PT2H"})
    await service.store(click(1, 1, "v1"), click(21, 2, "v2"))
    await service.accept(
        sale("early", 5, visitor_id="v1"), sale("later", 10, visitor_id="v1"), sale("credited", 22, visitor_id="v2")
    )
    assert await credits_of(service) == {"early": NOBODY, "later": NOBODY, "credited": [("click", 2)]}
    await make_rule(service, 8, windows={"default": "PT48H"}, model="linear")
    assert await credits_of(service) == {"early": NOBODY, "later": [("click", 1)], "credited": [("click", 2)]}


async def test_a_rule_for_the_future_re_opens_nothing(service: Service) -> None:
    await service.store(click(1, 1, "v1"))
    await service.accept(sale("A", 1000, visitor_id="v1"))
    assert await credits_of(service) == {"A": NOBODY}
    await make_rule(service, 1001, windows={"default": "P90D"})
    assert await waiting(service) == 0


async def test_an_order_without_a_touch_is_not_re_opened_by_a_rule(service: Service) -> None:
    """No rule could give it credit, and there may be millions."""
    await service.accept(sale("A", 5))
    assert await credits_of(service) == {"A": NOBODY}
    await make_rule(service, 0, windows={"default": "P90D"})
    assert await waiting(service) == 0


async def test_a_campaign_s_window_made_for_the_past_credits_orders_that_had_none(service: Service) -> None:
    await make_rule(service, 0, windows={"default": "PT2H"})
    await ClickTable(service.database).store(batch_of([stored_click(PROGRAM, click(1, 3, "v1"), WORLD)]), [], [])
    await service.accept(sale("A", 10, visitor_id="v1"))
    assert await credits_of(service) == {"A": NOBODY}
    async with service.database.connection() as connection:
        await connection.execute(
            "INSERT INTO campaign_windows (program_id, campaign_id, effective_from, windows) VALUES ($1, 1, $2, $3)",
            PROGRAM, instant(START), {"purchase": "PT48H"},
        )  # fmt: skip
    assert await credits_of(service) == {"A": [("click", 2)]}
