"""A question that judges many conversions holds up no other one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_stats import click, load, sale, world_of

from attribution.adapters import judged_credits
from attribution.adapters.postgres import Database
from attribution.adapters.report_table import ReportTable
from attribution.adapters.stats_table import StatsTable
from attribution.conversions import journeys, report
from attribution.conversions.attributor import judge_and_value
from attribution.conversions.journeys import JourneyReports, JourneysQuery
from attribution.conversions.report import ReportQuery, Reports
from attribution.domain.ids import ProgramId
from attribution.domain.models import Model
from attribution.domain.programs import Program
from attribution.settings import Settings
from attribution.stats.query import Stats, StatsQuery

from .test_journeys import YEAR

PROGRAM = Program(ProgramId(1), "programme-1", "EUR", "UTC", "click_id")
SHORT = StatsQuery(*YEAR, metrics=("clicks", "orders"))
Question = Callable[[Database, Stats], Awaitable[Any]]
LONG: dict[str, Question] = {
    "stats by another model": lambda _, stats: stats.query(PROGRAM, replace(SHORT, model=Model.LINEAR)),
    "a report of all models": lambda database, _: Reports(ReportTable(database)).attribution(
        PROGRAM, ReportQuery(*YEAR)
    ),
    "journeys": lambda database, _: JourneyReports(ReportTable(database)).query(PROGRAM, JourneysQuery(*YEAR)),
}


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(Settings(database_url=database_url))
    visitors = [f"v{number}" for number in range(60)]
    clicks = [click("2026-03-23T10:00:00Z", visitor=visitor) for visitor in visitors]
    orders = [sale(visitor, "2026-03-24T10:00:00Z", 100, visitor_id=visitor) for visitor in visitors]
    await load(database, 1, world_of(clicks, orders))
    yield database
    await database.close()


@pytest.mark.parametrize("name", LONG)
async def test_who_asks_little_meanwhile_is_answered_first(
    name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One conversion at a time here, so that each is a turn that others may have."""
    for module in (judged_credits, report, journeys):
        monkeypatch.setattr(module, "BATCH", 1)
    stats = Stats(StatsTable(database), judge_and_value)
    await stats.query(PROGRAM, SHORT)
    answered = []

    async def noted(number: str, question: Awaitable[Any]) -> None:
        await question
        answered.append(number)

    long = asyncio.create_task(noted("long", LONG[name](database, stats)))
    await asyncio.sleep(0)
    await noted("short", stats.query(PROGRAM, SHORT))
    await long
    assert answered == ["short", "long"]


async def test_one_judges_at_a_time_and_all_are_answered(database: Database) -> None:
    stats = Stats(StatsTable(database), judge_and_value)
    judged = replace(SHORT, model=Model.LINEAR)
    answers = await asyncio.gather(*(stats.query(PROGRAM, judged) for _ in range(12)))
    assert {answer["totals"]["orders"] for answer in answers} == {60}
