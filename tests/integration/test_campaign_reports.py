"""Goals of campaigns and long tails: beside the slow reference, and worked by hand."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_stats import LINKS, ZONES, click, load, sale, world_of
from tests.support.api import Api, assert_problem
from tests.support.facts import Facts, random_facts
from tests.support.reference import Link
from tests.support.reference_stats import Question, count
from tests.support.worlds import HOUR, SPAN_HOURS, START, instant, random_world

from attribution.adapters.postgres import Database
from attribution.adapters.stats_table import StatsTable
from attribution.conversions.attributor import judge_and_value
from attribution.domain.ids import ProgramId
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program
from attribution.stats.long_tail import LongTails, TailQuery
from attribution.stats.query import Stats

pytestmark = pytest.mark.usefixtures("foreign_program")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def tail(database: Database, query: TailQuery, zone: str = "UTC") -> Mapping[str, Any]:
    programme = Program(ProgramId(1), "programme-1", "EUR", zone, "click_id")
    return await LongTails(Stats(StatsTable(database), judge_and_value)).query(programme, query)


@pytest.mark.parametrize("seed", range(8))
async def test_a_long_tail_is_the_references(database: Database, seed: int) -> None:
    """Of random worlds, zones and beginnings: what came before and after, each day of it, shares and half-lives."""
    rng = random.Random(seed)  # noqa: S311
    world, zone = random_world(seed, currencies=("EUR", "EUR", "USD")), ZoneInfo(ZONES[seed % len(ZONES)])
    facts = Facts(rates=random_facts(seed).rates)
    await load(database, 1, world, zone.key, facts)
    for of in (Dimension.CAMPAIGN, Dimension.POST) * 3:
        since, end = instant(START + rng.randrange(SPAN_HOURS) * HOUR), instant(START + 2 * SPAN_HOURS * HOUR)
        number, weekly = rng.choice((1, 2)), rng.random() < 0.5
        filters, sums = {of.value: [str(number)]}, ("clicks", "net_minor")

        def counted(start: datetime, stop: datetime, *by: str) -> Mapping[tuple[Any, ...], Counter[str]]:
            return count(world.world, Question("EUR", zone, start, stop, by, filters, sums), facts)  # noqa: B023

        answer = await tail(database, TailQuery(of, number, since, end, weekly), zone.key)
        before, after = (counted(*p).get((), Counter()) for p in ((EPOCH, since), (since, end)))
        assert answer["before"] == shown(before)
        assert answer["after"] == shown(after)
        first, came = since.astimezone(zone).date(), Counter[tuple[int, str]]()
        for (day,), figures in counted(since, end, "day").items():
            passed = (date.fromisoformat(str(day)) - first).days
            came.update({(passed // (7 if weekly else 1), name): value for name, value in figures.items()})
            came.update({(passed, f"daily {name}"): value for name, value in figures.items()})
        for row in answer["rows"]:
            assert row["clicks"] == came[row["number"], "clicks"], seed
            assert Decimal(row["revenue"]) * 100 == came[row["number"], "net_minor"], seed
        assert [row["number"] for row in answer["rows"]] == list(range(len(answer["rows"])))
        assert sum(row["clicks"] for row in answer["rows"]) == after["clicks"]
        for name, column in (("clicks", "clicks"), ("revenue", "net_minor")):
            total = after[column]
            half = [d for d in range(60) if 2 * sum(came[n, f"daily {column}"] for n in range(d + 1)) >= total]
            assert answer["half_life_days"][name] == (half[0] if total else None), (seed, name)
            share = answer["share_after"][name]
            whole = total + before[column]
            assert (None if share is None else float(share)) == (pytest.approx(total / whole) if whole else None)


def shown(sums: Counter[str]) -> dict[str, Any]:
    return {"clicks": sums["clicks"], "revenue": f"{Decimal(sums['net_minor']) / 100:.2f}"}


async def test_a_long_tail_worked_by_hand(database: Database) -> None:
    """docs/reports.md: a campaign over on March 10, 1 click before it, 2 on the day, 1 two and 1 nine days on."""
    moments = ["09T23:59:59", "10T00:00:00", "10T23:00:00", "12T12:00:00", "19T12:00:00"]
    links = {**LINKS, 1: Link(influencer=1, campaign=1, channel="tiktok")}
    generated = world_of(
        [click(f"2026-03-{moment}Z", visitor="v") for moment in moments],
        [sale("A", "2026-03-12T13:00:00Z", 3_000, visitor_id="v")],
    )
    world = type(generated)(
        type(generated.world)(links, generated.world.clicks, generated.world.orders), generated.messages
    )
    await load(database, 1, world)
    over, now = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC)
    days = await tail(database, TailQuery(Dimension.CAMPAIGN, 1, over, now))
    assert (days["before"], days["after"]) == ({"clicks": 1, "revenue": "0.00"}, {"clicks": 4, "revenue": "30.00"})
    assert days["share_after"] == {"clicks": "0.800000", "revenue": "1.00000"}
    assert days["half_life_days"] == {"clicks": 0, "revenue": 2}
    assert [row["clicks"] for row in days["rows"]] == [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    weeks = await tail(database, TailQuery(Dimension.CAMPAIGN, 1, over, now, weekly=True))
    assert [(row["clicks"], row["revenue"]) for row in weeks["rows"]] == [(3, "30.00"), (1, "0.00")]
    assert weeks["rows"][0]["share_so_far"] == {"clicks": "0.750000", "revenue": "1.00000"}


async def test_goals_worked_by_hand(api: Api) -> None:
    """docs/reports.md: 3 orders of 120.00 for a fee of 30.00: 60 % of 5 orders, ROAS 4, CPA 10 of at most 12."""
    influencer = await api.make("influencers", name="Anna")
    targets = {"orders": "5", "roas": "3", "cpa": "12", "revenue": "240"}
    campaign = await api.make("campaigns", name="Winter", goal="sales", targets=targets)
    await api.make("campaigns", name="Without")
    await api.make("codes", code="ANNA15", influencer_id=influencer["id"], campaign_id=campaign["id"])
    await api.make("costs", kind="fee", amount="30", currency="USD", date="2026-11-01", campaign_id=campaign["id"])
    for number in range(3):
        order = {"order_id": str(number), "ordered_at": "2026-11-20T10:00:00Z", "currency": "USD", "amount": "40"}
        await api.ask("POST", "/v1/orders", order | {"discount_codes": ["ANNA15"]})
    await until_idle(api.database)
    answer = (await api.ask("GET", "/v1/reports/goals", params={"to": "2026-12-01"})).json()
    [report] = answer["data"]
    assert (report["id"], report["goal"], answer["next_cursor"]) == (campaign["id"], "sales", None)
    figures = {name: (m["figure"], m["target"], m["share"], m["reached"]) for name, m in report["metrics"].items()}
    assert figures == {
        "orders": (3, "5", "0.600000", False),
        "revenue": ("120.00", "240", "0.500000", False),
        "cpa": ("10.00000", "12", "1.20000", True),
        "roas": ("4.00000", "3", "1.33333333333", True),
        "roi": ("3.00000", None, None, None),
    }
    early = await api.ask("GET", "/v1/reports/goals", params={"campaign": campaign["id"], "to": "2026-11-01"})
    assert early.json()["data"][0]["metrics"]["roas"]["figure"] is None
    as_csv = await api.ask("GET", "/v1/reports/goals", params={"format": "csv", "to": "2026-12-01"})
    assert as_csv.text.splitlines()[1].startswith(f"{campaign['id']},Winter,sales,orders,3,5,0.600000,false,higher")


async def test_csv_of_goals_goes_on_at_the_link_of_its_head(api: Api) -> None:
    """Page after page, each campaign once."""
    for number in range(5):
        await api.make("campaigns", name=f"Campaign {number}", goal="sales")
    address = "/v1/reports/goals?format=csv&limit=2&to=2026-12-01"
    found, pages = [], 0
    while address:
        page = await api.ask("GET", address)
        assert page.headers["content-type"] == "text/csv; charset=utf-8"
        found += list(dict.fromkeys(line.split(",")[1] for line in page.text.splitlines()[1:]))
        pages += 1
        address = page.links.get("next", {}).get("url", "")
    assert (found, pages) == ([f"Campaign {number}" for number in range(5)], 3)


async def test_an_order_of_nobody_without_a_rate_holds_up_no_report_of_a_campaign(api: Api) -> None:
    """It is nobody's revenue; asked for all, revenue is not known."""
    campaign = await api.make("campaigns", name="Winter", goal="sales", ends_at="2026-11-10T00:00:00Z")
    order = {"order_id": "1", "ordered_at": "2026-11-20T10:00:00Z", "currency": "GBP", "amount": "40"}
    await api.ask("POST", "/v1/orders", order)
    await until_idle(api.database)
    for path in ("/v1/reports/goals", "/v1/reports/long-tail"):
        answer = await api.ask("GET", path, params={"campaign": campaign["id"], "to": "2026-12-01"})
        assert answer.status_code == 200, answer.text
    stats = await api.ask("GET", "/v1/stats", params={"metrics": "revenue", "from": "2026-11-01", "to": "2026-12-01"})
    assert_problem(stats, 409)


async def test_each_goal_has_its_metrics(api: Api) -> None:
    """Visibility with posts, leads with their cost, reputation with visits."""
    influencer = await api.make("influencers", name="Anna")
    made = {goal: await api.make("campaigns", name=goal, goal=goal) for goal in ("visibility", "leads", "reputation")}
    post = await api.make(
        "posts", influencer_id=influencer["id"], channel="x", campaign_id=made["visibility"]["id"],
        published_at="2026-11-02T00:00:00Z",
    )  # fmt: skip
    await api.ask(
        "POST", f"/v1/posts/{post['id']}/insights", {"at": "2026-11-20T10:00:00Z", "views": 1000, "reach": 9}
    )
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "2", "to": "2026-12-01"} | ({"cursor": cursor} if cursor else {})
        page = (await api.ask("GET", "/v1/reports/goals", params=params)).json()
        pages += page["data"]
        cursor = page["next_cursor"]
    figures = {report["goal"]: {n: m["figure"] for n, m in report["metrics"].items()} for report in pages}
    assert figures == {
        "visibility": {"posts": 1, "views": 1000, "impressions": 0, "reach": 9},
        "leads": {"leads": 0, "cost_per_lead": None},
        "reputation": {"followers": 0, "engagement_rate": None, "visits": 0},
    }


async def test_what_cannot_be_asked_is_named(api: Api) -> None:
    """A campaign without goal or end, a post without date, what is not over yet."""
    influencer = await api.make("influencers", name="Anna")
    bare = await api.make("campaigns", name="Bare")
    coming = await api.make("campaigns", name="Coming", ends_at="2099-01-01T00:00:00Z")
    post = await api.make("posts", influencer_id=influencer["id"], channel="x")
    for parameter, value in (
        ("campaign", "x"),
        ("campaign", bare["id"]),
        ("from", "x"),
        ("limit", "0"),
        ("cursor", "-"),
    ):
        assert_problem(await api.ask("GET", "/v1/reports/goals", params={parameter: value}), 422, "query", parameter)
    assert_problem(await api.ask("GET", "/v1/reports/goals", params={"campaign": "99"}), 404)
    for params, parameter in (
        ({}, "campaign"), ({"campaign": "1", "post": "1"}, "campaign"), ({"campaign": bare["id"]}, "campaign"),
        ({"campaign": coming["id"]}, "campaign"), ({"post": post["id"]}, "post"), ({"post": "-1"}, "post"),
        ({"post": "1", "grain": "hour"}, "grain"), ({"campaign": coming["id"], "to": "2999-01-01"}, "to"),
    ):  # fmt: skip
        assert_problem(await api.ask("GET", "/v1/reports/long-tail", params=params), 422, "query", parameter)
    assert_problem(await api.ask("GET", "/v1/reports/long-tail", params={"post": "99"}), 404)
