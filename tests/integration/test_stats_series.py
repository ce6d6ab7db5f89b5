"""Series without gaps, and beside the period before."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_stats import BERLIN, ask, click, load, sale, world_of
from tests.support.facts import Cost, Facts

from attribution.adapters.postgres import Database
from attribution.domain.measures import Dimension
from attribution.errors import InvalidInputError

pytestmark = pytest.mark.usefixtures("foreign_program")

ZONE = ZoneInfo(BERLIN)
MARCH, APRIL, MAY, JUNE = (datetime(2026, month, 1, tzinfo=ZONE).astimezone(UTC) for month in (3, 4, 5, 6))


async def test_a_series_has_every_day_of_its_period(database: Database) -> None:
    """One of nothing at all too; the day of the change of clocks once."""
    await load(database, 1, world_of([click("2026-03-29T12:00:00Z")]), BERLIN)
    rows = (await ask(database, "day", metrics=("clicks", "aov"), start=MARCH, end=APRIL))["rows"]
    assert [row["day"] for row in rows] == [f"2026-03-{day:02}" for day in range(1, 32)]
    assert [row["clicks"] for row in rows] == [0] * 28 + [1, 0, 0]
    assert {row["aov"] for row in rows} == {None}
    await load(database, 2, world_of([]), BERLIN)
    assert len((await ask(database, "day", start=MARCH, end=APRIL, program=2))["rows"]) == 31


async def test_weeks_and_months_together_are_those_that_meet(database: Database) -> None:
    await load(database, 1, world_of([]), BERLIN)
    rows = (await ask(database, "month", "week", metrics=("clicks",), start=MARCH, end=APRIL + timedelta(days=6)))[
        "rows"
    ]
    assert [(row["month"], row["week"]) for row in rows] == [
        ("2026-03", "2026-02-23"), ("2026-03", "2026-03-02"), ("2026-03", "2026-03-09"), ("2026-03", "2026-03-16"),
        ("2026-03", "2026-03-23"), ("2026-03", "2026-03-30"), ("2026-04", "2026-03-30"), ("2026-04", "2026-04-06"),
    ]  # fmt: skip


async def test_filters_of_time_hold_for_empty_buckets(database: Database) -> None:
    await load(database, 1, world_of([]), BERLIN)
    days = [datetime(2026, 3, 29, tzinfo=ZONE).astimezone(UTC), datetime(2026, 3, 2, tzinfo=ZONE).astimezone(UTC)]
    rows = (await ask(database, "hour", filters={Dimension.DAY: days}))["rows"]
    assert len(rows) == 23 + 24
    weeks = (await ask(database, "week", filters={Dimension.DAY: days}))["rows"]
    assert [row["week"] for row in weeks] == ["2026-03-02", "2026-03-23"]


async def test_each_group_has_a_series_if_that_is_asked(database: Database) -> None:
    """As that is groups times buckets, it is not by default."""
    await load(database, 1, world_of([click("2026-03-02T12:00:00Z", 1), click("2026-03-04T12:00:00Z", 2)]), BERLIN)
    period: dict[str, Any] = {"metrics": ("clicks",), "start": MARCH, "end": MARCH + timedelta(days=4)}
    assert len((await ask(database, "influencer", "day", **period))["rows"]) == 2
    rows = (await ask(database, "influencer", "day", fill=True, **period))["rows"]
    assert [(row["influencer"], row["day"][-2:], row["clicks"]) for row in rows] == [
        ("1", "01", 0), ("1", "02", 1), ("1", "03", 0), ("1", "04", 0),
        ("2", "01", 0), ("2", "02", 0), ("2", "03", 0), ("2", "04", 1),
    ]  # fmt: skip
    page = await ask(database, "influencer", "day", fill=True, limit=3, sort="clicks", descending=True, **period)
    assert [row["clicks"] for row in page["rows"]] == [1, 1, 0]
    assert page["next_offset"] == 3


async def test_a_series_too_long_to_fill_is_left_as_it_is_unless_filling_was_asked_for(database: Database) -> None:
    await load(database, 1, world_of([]), BERLIN)
    with pytest.raises(InvalidInputError, match="fill=false"):
        await ask(database, "hour", start=datetime(2020, 1, 1, tzinfo=UTC), fill=True)
    assert (await ask(database, "hour", start=datetime(2020, 1, 1, tzinfo=UTC)))["rows"] == []
    assert (await ask(database, "hour", start=datetime(2020, 1, 1, tzinfo=UTC), fill=False))["rows"] == []


async def test_a_month_is_compared_with_the_month_before(database: Database) -> None:
    """April's 30 days with March's 31, by the programme's calendar; the change is relative to what was."""
    clicks = [
        click("2026-02-28T22:59:59Z"), click("2026-02-28T23:00:00Z", visitor="a"), click("2026-03-31T21:59:59Z", 2),
        click("2026-03-31T22:00:00Z"), click("2026-04-10T12:00:00Z", visitor="v"), click("2026-04-30T21:59:59Z"),
    ]  # fmt: skip
    messages = [sale("A", "2026-04-10T12:00:00Z", 500, visitor_id="v")]
    await load(database, 1, world_of(clicks, messages), BERLIN)
    answer = await ask(
        database, "influencer", metrics=("clicks", "revenue", "aov"), start=APRIL, end=MAY, compare=True
    )
    assert answer["previous_period"] == {"from": MARCH, "to": APRIL}
    assert answer["rows"] == [
        {
            "influencer": "1", "clicks": 3, "revenue": "5.00", "aov": "5.00000",
            "previous": {"clicks": 1, "revenue": "0.00", "aov": None},
            "change": {"clicks": "2.00000", "revenue": None, "aov": None},
        }
    ]  # fmt: skip
    assert answer["totals"]["previous"]["clicks"] == 2
    assert answer["totals"]["change"]["clicks"] == "0.500000"


async def test_what_grew_from_below_zero_has_a_change_above_it(database: Database) -> None:
    """A fee of 10.00 brought nothing in March, and 5.00 in April: ROI -1, then -0.5."""
    messages = [sale("A", "2026-04-10T12:00:00Z", 500, visitor_id="v")]
    clicks = [click("2026-04-10T11:00:00Z", visitor="v")]
    fees = Facts(costs=[Cost(date(2026, month, 5), 1, 1_000, "EUR", 1) for month in (3, 4)])
    await load(database, 1, world_of(clicks, messages), BERLIN, fees)
    answer = await ask(database, "influencer", metrics=("roi",), start=APRIL, end=MAY, compare=True)
    [row] = answer["rows"]
    assert (row["roi"], row["previous"]["roi"], row["change"]["roi"]) == ("-0.500000", "-1.00000", "0.500000")
    fallen = await ask(database, "influencer", metrics=("revenue",), start=MAY, end=JUNE, compare=True)
    assert fallen["totals"]["change"]["revenue"] == "-1.00000"


async def test_days_are_compared_by_their_number(database: Database) -> None:
    """The third of a month with the third of the month before, which has no thirty-first."""
    clicks = [click("2026-02-03T12:00:00Z"), click("2026-03-03T12:00:00Z"), click("2026-03-31T12:00:00Z")]
    await load(database, 1, world_of(clicks), BERLIN)
    rows = (await ask(database, "day", metrics=("clicks",), start=MARCH, end=APRIL, compare=True))["rows"]
    both = {row["day"]: (row["clicks"], row["previous"]["clicks"]) for row in rows if row["clicks"]}
    assert both == {"2026-03-03": (1, 1), "2026-03-31": (1, 0)}
    assert sum(row["previous"]["clicks"] for row in rows) == 1


async def test_a_filter_of_time_moves_with_the_period(database: Database) -> None:
    clicks = [click("2026-03-03T12:00:00Z"), click("2026-04-03T12:00:00Z"), click("2026-04-04T12:00:00Z")]
    await load(database, 1, world_of(clicks), BERLIN)
    third = [datetime(2026, 4, 3, tzinfo=ZONE).astimezone(UTC)]
    answer = await ask(
        database, metrics=("clicks",), start=APRIL, end=MAY, compare=True, filters={Dimension.DAY: third}
    )
    assert answer["totals"] == {"clicks": 1, "previous": {"clicks": 1}, "change": {"clicks": "0.00000"}}


async def test_previous_values_are_those_of_a_question_about_the_period_before(database: Database) -> None:
    """For random clicks and any period; a group that has nothing now counts in the totals of before only."""
    rng = random.Random(1)  # noqa: S311
    clicks = [
        click((MARCH + timedelta(hours=rng.randrange(1_400))).isoformat(), rng.choice((1, 2))) for _ in range(60)
    ]
    await load(database, 1, world_of([*{c.click_id: c for c in clicks}.values()]), BERLIN)
    for start, end in ((APRIL, MAY), (APRIL, APRIL + timedelta(hours=7)), (APRIL, APRIL + timedelta(days=9))):
        now = await ask(database, "channel", metrics=("clicks",), start=start, end=end, compare=True)
        period = {"start": now["previous_period"]["from"], "end": now["previous_period"]["to"]}
        then = await ask(database, "channel", metrics=("clicks",), **period)
        before = {row["channel"]: row["clicks"] for row in then["rows"]}
        assert {row["channel"]: row["previous"]["clicks"] for row in now["rows"]} == {
            row["channel"]: before.get(row["channel"], 0) for row in now["rows"]
        }
        assert now["totals"]["previous"] == then["totals"]
