"""Rollups and deltas together are the rows, whatever happens to them meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from tests.support.batches import batch_of
from tests.support.facts import dressed
from tests.support.worlds import found_program, random_world, stored_click

from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import CLICK_ROLLUPS, Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.domain.clicks import Click
from attribution.domain.ids import ProgramId
from attribution.ingest.roller import Roller, RollerPolicy
from attribution.settings import Settings

PROGRAM = ProgramId(1)
ALL = 1_000_000
TOTAL = """
INSERT INTO insights (program_id, post_id, at, likes, shares)
SELECT $1, min(post_id), $2, $3, $4 FROM posts WHERE program_id = $1
"""


@pytest_asyncio.fixture
async def clicks(database: Database) -> list[Click]:
    world = random_world(3).world
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, world, timezone="Africa/Cairo")
    return [dressed(stored_click(PROGRAM, click, world)) for click in world.clicks]


async def number(database: Database, sql: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(sql) or 0)


async def rolled_up(database: Database) -> dict[str, int]:
    return {
        rollup.table: await number(
            database,
            f"SELECT sum(clicks + bot_clicks) FROM {rollup.table} WHERE grain = 'month'",  # noqa: S608
        )
        for rollup in CLICK_ROLLUPS
    }


async def test_every_rollup_has_every_click_once(database: Database, clicks: list[Click]) -> None:
    """Redelivered ones too, and those that come while others are rolled up."""
    rollups, table = Rollups(database), ClickTable(database)
    await rollups.rebuild(PROGRAM)
    half = len(clicks) // 2
    await table.store(batch_of(clicks[:half]), [], [])
    assert await rollups.roll_up(ALL) > 0
    await asyncio.gather(table.store(batch_of(clicks), [], []), rollups.roll_up(ALL))
    await rollups.roll_up(ALL)
    assert await rolled_up(database) == {rollup.table: len(clicks) for rollup in CLICK_ROLLUPS}
    assert await number(database, "SELECT count(*) FROM click_deltas") == 0
    assert await rollups.mismatches(PROGRAM, ALL) == []


async def test_a_programme_in_a_new_time_zone_is_rebuilt(database: Database, clicks: list[Click]) -> None:
    """And until then its deltas wait, as its rollups are not read."""
    rollups, roller = Rollups(database), Roller(Rollups(database), VisitorSketches(database), RollerPolicy())
    await roller.step(due=True)
    await ClickTable(database).store(batch_of(clicks), [], [])
    await roller.step(due=True)
    async with database.connection() as connection:
        await connection.execute("UPDATE programs SET timezone = 'Asia/Kathmandu'")
    assert await rollups.outdated() == [PROGRAM]
    assert await rollups.roll_up(ALL) == 0
    await roller.step(due=True)
    assert await rollups.outdated() == []
    assert await rollups.mismatches(PROGRAM, ALL) == []
    first = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(hours=5, minutes=45)
    assert await number(
        database,
        f"SELECT count(*) FROM clicks_by_time WHERE grain = 'month' AND bucket = '{first}'",  # noqa: S608
    )


async def test_what_differs_from_the_rows_is_found_and_mended_by_a_rebuild(
    database: Database, clicks: list[Click]
) -> None:
    rollups = Rollups(database)
    await ClickTable(database).store(batch_of(clicks), [], [])
    await rollups.rebuild(PROGRAM)
    async with database.connection() as connection:
        await connection.execute("UPDATE clicks_by_link SET clicks = clicks + 2 WHERE grain = 'year' AND link_id = 1")
    found = await rollups.mismatches(PROGRAM, ALL)
    assert {(mismatch.rollup, mismatch.grain, mismatch.clicks) for mismatch in found} == {
        ("clicks_by_link", "year", 2)
    }
    await rollups.rebuild(PROGRAM)
    assert await rollups.mismatches(PROGRAM, ALL) == []


@pytest.mark.usefixtures("clicks")
@pytest.mark.parametrize("work", [lambda rollups: rollups.mismatches(PROGRAM, ALL), lambda r: r.rebuild(PROGRAM)])
async def test_what_reads_all_rows_may_take_longer_than_other_statements(
    database: Database, database_url: str, work: Callable[[Rollups], Awaitable[Any]]
) -> None:
    """Here it waits for a lock, longer than the pool lets a statement run."""
    await Rollups(database).rebuild(PROGRAM)
    hasty = Database(Settings(database_url=database_url), timeout_s=0.5)
    try:
        async with database.transaction() as connection:
            await connection.execute("LOCK TABLE clicks_by_time")
            waiting = asyncio.ensure_future(work(Rollups(hasty)))
            assert (await asyncio.wait({waiting}, timeout=1))[0] == set()
        assert await waiting in ([], True)
    finally:
        await hasty.close()


async def test_few_deltas_wait(database: Database, clicks: list[Click]) -> None:
    """They are cheaper to read than to roll up, until they are many or old."""
    roller = Roller(Rollups(database), VisitorSketches(database), RollerPolicy(enough=len(clicks)))
    await roller.step(due=False)
    await ClickTable(database).store(batch_of(clicks[:1]), [], [])
    assert not await roller.step(due=False)
    assert await roller.step(due=True)


async def test_deltas_wait_while_clicks_do(database: Database, clicks: list[Click]) -> None:
    """The database's time is the clicks' own, but not for ever."""
    policy = RollerPolicy(enough=1)
    roller = Roller(Rollups(database), VisitorSketches(database), policy, behind=lambda: True)
    await roller.step(due=False)
    await ClickTable(database).store(batch_of(clicks), [], [])
    assert not await roller.step(due=False)
    assert await roller.step(due=True)


async def test_a_rollup_waits_for_nobody_and_nobody_rolls_up_twice(database: Database, clicks: list[Click]) -> None:
    rollups = Rollups(database)
    await rollups.rebuild(PROGRAM)
    await ClickTable(database).store(batch_of(clicks), [], [])
    async with database.transaction() as other:
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('attribution.rollups'))")
        assert await rollups.roll_up(ALL) == 0
        assert not await rollups.rebuild(PROGRAM)
    await asyncio.gather(*(rollups.roll_up(ALL) for _ in range(3)))
    assert await rollups.mismatches(PROGRAM, ALL) == []


async def test_growth_of_insights_is_rolled_up_whatever_their_order(database: Database) -> None:
    """Late and corrected totals change the growth of the total after them too."""
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, random_world(3).world, timezone="Africa/Cairo")
    rollups = Rollups(database)
    await rollups.rebuild(PROGRAM)
    for day, likes in ((5, 50), (9, 90), (2, 20), (9, 95), (7, None), (5, 40), (30, 30)):
        async with database.connection() as connection:
            await connection.execute(TOTAL, PROGRAM, datetime(2026, 1, day, tzinfo=UTC), likes, likes and 2 * likes)
        assert await rollups.insight_mismatches(PROGRAM, ALL) == []
        await rollups.roll_up(3)
    assert await number(database, "SELECT sum(likes) FROM insights_by_post WHERE grain = 'year'") == 30
    async with database.connection() as connection:
        await connection.execute("UPDATE insights_by_post SET likes = likes + 1 WHERE grain = 'month'")
    [mismatch] = await rollups.insight_mismatches(PROGRAM, ALL)
    assert mismatch.sums == (0, 0, 0, 1, 0, 0, 0, 0, 0)
    await rollups.rebuild(PROGRAM)
    assert await rollups.insight_mismatches(PROGRAM, ALL) == []


async def test_a_post_that_passes_to_another_takes_its_growth_along(database: Database) -> None:
    """Rolled up before, after and meanwhile."""
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, random_world(3).world, timezone="Africa/Cairo")
    rollups = Rollups(database)
    await rollups.rebuild(PROGRAM)

    async def pass_on(influencer: int) -> None:
        async with database.transaction() as connection:
            await connection.execute("UPDATE posts SET influencer_id = $2 WHERE program_id = $1", PROGRAM, influencer)

    for day in range(1, 13):
        async with database.connection() as connection:
            await connection.execute(TOTAL, PROGRAM, datetime(2026, day, 1, tzinfo=UTC), 10 * day, None)
        await asyncio.gather(pass_on(1 + day % 3), rollups.roll_up(ALL))
        assert await rollups.insight_mismatches(PROGRAM, ALL) == []
    await rollups.rebuild(PROGRAM)
    await pass_on(3)
    assert await rollups.insight_mismatches(PROGRAM, ALL) == []
    assert await number(database, "SELECT min(influencer_id) FROM insights_by_post") == 3


async def test_totals_of_one_post_that_come_at_once_all_grow_it(database: Database) -> None:
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, random_world(3).world, timezone="Africa/Cairo")

    async def tell(day: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(TOTAL, PROGRAM, datetime(2026, 1, day, tzinfo=UTC), 10 * day, None)

    await asyncio.gather(*(tell(day) for day in range(1, 9)))
    assert await number(database, "SELECT sum(likes) FROM insight_growth") == 80
    assert await number(database, "SELECT max(likes) FROM insight_growth") == 10
