"""How customers came: beside plain Python over the reference's paths, and worked by hand."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from tests.integration.test_stats import click, load, sale, world_of
from tests.support.api import Api, assert_problem
from tests.support.reference import judge_all
from tests.support.worlds import random_world

from attribution.adapters.postgres import Database
from attribution.adapters.report_table import ReportTable
from attribution.conversions.journeys import JourneyReports, JourneysQuery
from attribution.conversions.report import Unit
from attribution.domain.durations import format_duration
from attribution.domain.frequent import FrequentItems
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program

pytestmark = pytest.mark.usefixtures("foreign_program")

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


async def ask(database: Database, unit: Unit = Unit.INFLUENCER) -> Mapping[str, Any]:
    programme = Program(ProgramId(1), "programme-1", "EUR", "UTC", "click_id")
    return await JourneyReports(ReportTable(database)).query(programme, JourneysQuery(*YEAR, unit))


@pytest.mark.parametrize("seed", range(12))
async def test_journeys_are_the_references(database: Database, seed: int) -> None:
    generated = random_world(seed)
    world, unit = generated.world, list(Unit)[seed % 3]
    await load(database, 1, generated)
    in_paths, credited, assisted, lengths, pairs = (Counter[Any]() for _ in range(5))
    minutes, without = [], 0
    for judged in judge_all(world).values():
        if judged.order.cancelled:
            continue
        paid = {str(getattr(to, unit.value)) for to in judged.credits if to.via != "none"} - {"None"}
        credited.update(paid)
        if not judged.path:
            without += 1
            continue
        names = {str(getattr(world.links[judged.links[click_id]], unit.value)) for click_id in judged.path} - {"None"}
        in_paths.update(names)
        assisted.update(names - paid)
        lengths[len(judged.path)] += 1
        pairs.update(combinations(sorted(names), 2))
        minutes.append((judged.order.occurred_at - int.from_bytes(judged.path[0][:8], "big")) // 60_000_000)
    answer = await ask(database, unit)
    assert {row[unit.value]: (row["in_paths"], row["credited"], row["assisted"]) for row in answer["rows"]} == {
        name: (in_paths[name], credited[name], assisted[name]) for name in in_paths | credited
    }
    assert (answer["conversions"], answer["conversions_without_path"]) == (len(minutes), without)
    assert {row["touches"]: row["conversions"] for row in answer["lengths"]} == lengths
    assert {tuple(row["between"]): row["conversions"] for row in answer["overlap"]} == pairs
    times = answer["first_touch_to_conversion"]
    for name, quarter in (("quartile_1", 1), ("median", 2), ("quartile_3", 3)):
        held = [m for m in sorted(minutes) if 4 * sum(other <= m for other in minutes) >= quarter * len(minutes)]
        assert times[name] == (format_duration(timedelta(minutes=held[0])) if minutes else None)
    assert sum(times["buckets"].values()) == len(minutes)
    assert times["buckets"]["under_1h"] == sum(m < 60 for m in minutes)
    assert times["buckets"]["longer"] == sum(m >= 30 * 24 * 60 for m in minutes)


async def test_an_example_worked_by_hand(database: Database) -> None:
    """docs/reports.md: v taps Anna's link, then Bella's, and buys; w taps Bella's only; Bella is paid twice."""
    clicks = [
        click("2026-03-01T10:00:00Z", 1, "v"), click("2026-03-02T10:00:00Z", 2, "v"),
        click("2026-03-03T10:00:00Z", 2, "w"),
    ]  # fmt: skip
    sales = [
        sale("A", "2026-03-02T12:30:59Z", 1_000, visitor_id="v"),
        sale("B", "2026-03-03T10:10:00Z", 1, visitor_id="w"), sale("C", "2026-03-03T10:10:00Z", 1),
    ]  # fmt: skip
    await load(database, 1, world_of(clicks, sales))
    answer = await ask(database)
    assert answer["rows"] == [
        {"influencer": "1", "in_paths": 1, "credited": 0, "assisted": 1, "assist_ratio": None},
        {"influencer": "2", "in_paths": 2, "credited": 2, "assisted": 0, "assist_ratio": "0.000000"},
    ]
    assert (answer["conversions"], answer["conversions_without_path"], answer["assisted_conversions"]) == (2, 1, 1)
    assert answer["lengths"] == [{"touches": 1, "conversions": 1}, {"touches": 2, "conversions": 1}]
    times = answer["first_touch_to_conversion"]
    assert [times[name] for name in ("quartile_1", "median", "quartile_3")] == ["PT600S", "PT600S", "P1DT9000S"]
    assert answer["overlap"] == [{"between": ["1", "2"], "conversions": 1, "share": "0.500000"}]
    assert answer["error"] == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_most_frequent_are_counted_within_their_error(seed: int) -> None:
    """However many others there are; and exactly as long as all have room."""
    rng = random.Random(seed)  # noqa: S311
    items = [int(rng.expovariate(0.1)) for _ in range(500)]
    exact = Counter(items)
    for capacity in (5, 20, 500):
        frequent = FrequentItems[int](capacity)
        for item in items:
            frequent.add(item)
        counted = dict(frequent.top(capacity))
        assert len(counted) <= capacity
        assert frequent.error <= len(items) / (capacity + 1)
        assert all(exact[item] - frequent.error <= counted.get(item, 0) <= exact[item] for item in exact)
    assert counted == exact
    assert frequent.error == 0


async def test_what_cannot_be_asked_is_named(api: Api) -> None:
    path = "/v1/reports/journeys"
    empty = (await api.ask("GET", path)).json()
    assert (empty["rows"], empty["overlap"], empty["first_touch_to_conversion"]["median"]) == ([], [], None)
    for parameter, value in (("unit", "planet"), ("from", "x"), ("from", "2999-01-01"), ("limit", "0"), ("by", "x")):
        assert_problem(await api.ask("GET", path, params={parameter: value}), 422, "query", parameter)
