"""Distinct visitors from sketches: as counted one by one where they are few, near to it where they are many."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from tests.support.batches import batch_of
from tests.support.worlds import found_program, random_world, stored_click

from attribution.adapters import stats_pages, stats_table
from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_table import StatsTable
from attribution.adapters.visitor_sketches import STANDARD_ERROR, VisitorSketches, estimate
from attribution.domain.clicks import Click
from attribution.domain.ids import ProgramId
from attribution.domain.measures import Dimension, Sum

PROGRAM = ProgramId(1)
ZONE = ZoneInfo("Europe/Berlin")
LATER = datetime(2027, 1, 1, tzinfo=UTC)
YEAR = (datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC))
GROUPINGS = (
    (),
    (Dimension.INFLUENCER,),
    (Dimension.CHANNEL, Dimension.CAMPAIGN),
    (Dimension.INFLUENCER, Dimension.MONTH),
    (Dimension.DAY,),
    (Dimension.WEEK, Dimension.CHANNEL),
    (Dimension.LINK,),
    (Dimension.INFLUENCER, Dimension.DAY),
    (Dimension.POST, Dimension.MONTH),
    (Dimension.CONTENT_TYPE,),
    (Dimension.COUNTRY, Dimension.DEVICE),
    (Dimension.COUNTRY, Dimension.CHANNEL),
    (Dimension.CODE,),
    (Dimension.INFLUENCER, Dimension.NEW_OR_RETURNING),
)


async def unique(database: Database, question: Question) -> dict[tuple[object, ...], object]:
    async with StatsTable(database).snapshot(PROGRAM) as facts:
        groups = await facts.groups(question)
    return dict(zip(groups.keys, groups.sums[Sum.UNIQUE_VISITORS], strict=True))


async def on_first_page(database: Database, question: Question) -> list[dict[tuple[object, ...], object]]:
    """And of all."""
    async with StatsTable(database).snapshot(PROGRAM) as facts:
        found = await facts.page(replace(question, limit=2))
    return [dict(zip(groups.keys, groups.sums[Sum.UNIQUE_VISITORS], strict=True)) for groups in found]


async def test_sketches_with_the_rows_not_in_them_give_what_the_rows_give(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every state: nothing sketched, some, all; clicks that come late; periods that cut days and months."""
    rng = random.Random(5)  # noqa: S311
    world = random_world(5).world
    clicks = [stored_click(PROGRAM, click, world) for click in world.clicks]
    rng.shuffle(clicks)
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, world, timezone=ZONE.key)
    rollups, sketches, table = Rollups(database), VisitorSketches(database), ClickTable(database)
    await rollups.rebuild(PROGRAM)

    async def assert_equal(note: object) -> None:
        cut = (YEAR[0] + timedelta(days=80, hours=rng.randrange(30)), YEAR[0] + timedelta(days=88, hours=5))
        most = (YEAR[0] + timedelta(days=50), YEAR[1] - timedelta(days=50))
        for group_by in GROUPINGS:
            for start, stop in (YEAR, cut, most):
                asked = Question(
                    PROGRAM, "EUR", Decimal(1), ZONE, start, stop, group_by, {}, {Sum.CLICKS, Sum.UNIQUE_VISITORS}
                )
                filtered = replace(asked, filters={Dimension.CHANNEL: ["instagram", None]})
                listed = replace(asked, filters={Dimension.INFLUENCER: [1, 2, 3, 4]})
                for question in (asked, filtered, listed):
                    exact = await unique(database, question), await on_first_page(database, question)
                    with monkeypatch.context() as patched:
                        patched.setattr(stats_table, "EXACT_VISITORS_CLICKS", -1)
                        patched.setattr(stats_pages, "_MANY", 1)
                        found = await unique(database, question), await on_first_page(database, question)
                    assert found == exact, (note, question)

    third = len(clicks) // 3
    for note, arrived in enumerate((clicks[:third], clicks[third : 2 * third], clicks[2 * third :])):
        await store(table, arrived)
        await assert_equal(f"{note} deltas")
        await rollups.roll_up(1_000)
        await assert_equal(f"{note} rolled up")
        await sketches.step(LATER, quarters=3)
        await assert_equal(f"{note} some sketched")
        while await sketches.step(LATER):
            pass
        await assert_equal(f"{note} sketched")


async def store(table: ClickTable, clicks: list[Click]) -> None:
    await table.store(batch_of(clicks), [], [])


async def test_quarters_that_still_grow_are_not_sketched(database: Database) -> None:
    world = random_world(5).world
    clicks = [stored_click(PROGRAM, click, world) for click in world.clicks]
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, world, timezone=ZONE.key)
    await Rollups(database).rebuild(PROGRAM)
    await store(ClickTable(database), clicks)
    await Rollups(database).roll_up(1_000)
    assert await VisitorSketches(database).step(datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert await VisitorSketches(database).step(LATER) > 0


def test_many_are_estimated_within_some_standard_errors() -> None:
    many = 200_000
    assert abs(estimate((), (f"visitor-{n}" for n in range(many))) / many - 1) < 4 * STANDARD_ERROR
