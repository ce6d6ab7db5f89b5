"""An upgrade over data that is there: what new revisions keep beside the rows is made of the old ones."""

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from alembic import command
from tests.integration.test_credit_convergence import until_idle
from tests.support.batches import batch_of
from tests.support.facts import random_facts, store_facts
from tests.support.worlds import TOKENS, found_foreign_program, found_program, random_world, stored_click

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.domain.ids import ProgramId
from attribution.entrypoints.migrate import configured, migrate
from attribution.settings import Settings

PROGRAM = ProgramId(1)
ALL = 1_000_000
SUMS = "sum(counted), sum(gross_value), sum(net_value), sum(discount_value), sum(commission)"
CREDITED = f"""
SELECT conversion_id, influencer_id, campaign_id, channel, post_id, link_id, code, type, new_customer,
       occurred_at, clicked_at, {SUMS}
FROM credit_entries
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
HAVING sum(weight) <> 0
ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""  # noqa: S608


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path)


@pytest_asyncio.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings, size=8)
    yield database
    await database.close()


async def fill(database: Database, seed: int) -> None:
    """A random programme with clicks, codes, refunds, cancellations, plans and rates, all of it judged."""
    world = random_world(seed, currencies=("EUR", "EUR", "USD"))
    async with database.connection() as connection:
        await found_foreign_program(connection)
        await found_program(connection, PROGRAM, world.world, timezone="Asia/Kathmandu")
        await store_facts(connection, PROGRAM, random_facts(seed))
    clicks = [stored_click(PROGRAM, click, world.world) for click in world.world.clicks]
    await ClickTable(database).store(batch_of(clicks), [], [])
    await ConversionIntake(database, TOKENS).accept(PROGRAM, world.messages)
    await until_idle(database)


async def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def back_and_forth(database: Database, settings: Settings, revision: str) -> None:
    await asyncio.to_thread(command.downgrade, configured(settings), revision)
    await asyncio.to_thread(migrate, settings)
    async with database.connection() as connection:
        await connection.reload_schema_state()


@pytest.mark.parametrize("revision", ["0011", "0004"])
@pytest.mark.parametrize("seed", range(3))
async def test_what_is_summed_is_filled_from_the_rows(
    database: Database, settings: Settings, revision: str, seed: int
) -> None:
    """From before credits had a value, and from before there were rollups at all."""
    await fill(database, seed)
    rollups = Rollups(database)
    await rollups.roll_up(random.Random(seed).choice((0, 5, ALL)))  # noqa: S311
    before, growth = (
        await rows(database, CREDITED),
        await rows(database, "SELECT * FROM insight_growth ORDER BY 2, 3"),
    )
    await back_and_forth(database, settings, revision)
    await until_idle(database)
    for program in await rollups.outdated():
        await rollups.rebuild(program)
    await rollups.roll_up(ALL)
    assert await rows(database, CREDITED) == before
    assert await rows(database, "SELECT * FROM insight_growth ORDER BY 2, 3") == growth
    assert await rollups.mismatches(PROGRAM, ALL) == []
    assert await rollups.credit_mismatches(PROGRAM, ALL) == []
    audit = await audit_credits(AuditTable(database), PROGRAM, AuditPeriod())
    assert (audit["waiting"], audit["problems"]) == (0, {})
    [(clicks,)] = await rows(database, "SELECT count(*) FROM clicks")
    assert await rows(database, "SELECT sum(clicks + bot_clicks) FROM clicks_by_audience WHERE grain = 'year'") == [
        (Decimal(clicks),)
    ]
