"""Pages, for which not all facts are read by group, beside the same rows of the whole answer."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.integration.test_stats import (
    DIMENSIONS,
    ZONES,
    ask,
    asked_of_table,
    click,
    load,
    question,
    roll_up_some,
    rows_of,
    world_of,
)
from tests.support.facts import random_facts
from tests.support.worlds import random_world

from attribution.adapters.postgres import Database
from attribution.adapters.stats_pages import first_readings, on_page
from attribution.adapters.stats_question import Order, Question
from attribution.adapters.stats_table import StatsFacts, StatsTable
from attribution.domain.ids import ProgramId
from attribution.domain.measures import IDS, Dimension, Sum
from attribution.stats.metrics import METRICS

pytestmark = pytest.mark.usefixtures("foreign_program")


def random_order(rng: random.Random, group_by: Sequence[Dimension], asked: Question) -> Order | None:
    descending = rng.random() < 0.5
    metrics = [
        metric
        for metric in METRICS.values()
        if {term.sum for term in (*metric.numerator, *metric.denominator)} <= {*asked.sums} - {Sum.UNIQUE_VISITORS}
    ]
    if metrics and rng.random() < 0.6:
        metric = rng.choice(metrics)
        return Order(None, metric.numerator, metric.denominator, descending)
    return Order(rng.choice(group_by), descending=descending) if rng.random() < 0.7 else None


async def is_read_in_part(facts: StatsFacts, asked: Question) -> bool:
    return any([on_page(asked, first, await facts.groups(first)) for first in first_readings(asked)])


@pytest.mark.parametrize("seed", range(4))
async def test_a_page_is_a_part_of_the_whole_answer(database: Database, seed: int) -> None:
    """By any metric or dimension, either way, with groups that only some sources of facts know; totals are of all."""
    rng = random.Random(seed)  # noqa: S311
    zone = ZONES[seed % len(ZONES)]
    await load(database, 1, random_world(seed, currencies=("EUR", "EUR", "USD")), zone, random_facts(seed))
    in_part = by_roster = 0
    for number in range(120):
        of_all_objects = number % 5 == 0
        group_by = [rng.choice(IDS)] if of_all_objects else rng.sample(DIMENSIONS, rng.choice((1, 1, 2, 3)))
        asked = replace(
            asked_of_table(replace(question(rng, zone, group_by), model=None)), gross_margin=Decimal("0.6")
        )
        if of_all_objects:
            asked = replace(asked, filters={})
        asked = replace(asked, order=random_order(rng, asked.group_by, asked))
        page = replace(asked, limit=rng.choice((1, 1, 2, 4)), offset=rng.choice((0, 0, 1, 3)))
        async with StatsTable(database).snapshot(ProgramId(1)) as facts:
            whole, totals = map(rows_of, await facts.page(asked))
            found = map(rows_of, await facts.page(page))
            in_part += await is_read_in_part(facts, page)
            by_roster += await facts._page_by_roster(page, await facts._rates(page)) is not None
        assert [*found] == [whole[page.offset : page.offset + (page.limit or 0)], totals], page
        await roll_up_some(database, rng)
    assert in_part > 0
    assert by_roster > 0


async def test_an_empty_period_has_no_visitors(database: Database) -> None:
    await load(database, 1, world_of([click("2026-03-20T10:00:00Z")]))
    noon = datetime(2026, 3, 20, 12, tzinfo=UTC)
    answer = await ask(database, metrics=("unique_visitors",), start=noon, end=noon)
    assert answer["totals"] == {"unique_visitors": 0}
