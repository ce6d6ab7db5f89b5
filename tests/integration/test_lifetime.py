"""What customers are worth: beside plain Python over the reference's credits, and worked by hand."""

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from csv import DictReader
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_stats import ZONES, click, load, sale, world_of
from tests.support.api import Api, assert_problem
from tests.support.facts import Facts, random_facts
from tests.support.reference import Judged, World, judge_all
from tests.support.reference_value import worth
from tests.support.worlds import instant, random_world

from attribution.adapters.click_table import ClickTable
from attribution.adapters.customer_values import HORIZONS
from attribution.adapters.lifetime_table import LifetimeTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program
from attribution.errors import MissingRateError
from attribution.stats.lifetime import LifetimeQuery, LifetimeValues

pytestmark = pytest.mark.usefixtures("foreign_program")

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
BY = (Dimension.INFLUENCER, Dimension.CAMPAIGN, Dimension.CHANNEL, Dimension.CODE)


async def ask(database: Database, by: Dimension, zone: str = "UTC", **fields: Any) -> Mapping[str, Any]:
    query = LifetimeQuery(by, *(fields.pop("period", YEAR)), **fields)
    programme = Program(ProgramId(1), "programme-1", "EUR", zone, "click_id")
    return await LifetimeValues(LifetimeTable(database)).query(programme, query)


def brought_by(first: Judged, by: Dimension) -> str | None:
    weights: dict[Any, tuple[int, bytes]] = {}
    for to, part in first.credits.items():
        unit = getattr(to, by.value)
        if to.via != "none" and part.weight and unit is not None:
            weight, earliest = weights.get(unit, (0, b"\xff" * 16))
            weights[unit] = (weight + part.weight, min(earliest, to.click_id or b"\xff" * 16))
    best = sorted(weights, key=lambda unit: (-weights[unit][0], weights[unit][1], unit))
    return str(best[0]) if best else None


def expected(
    world: World, facts: Facts, by: Dimension | None, zone: ZoneInfo, as_of: datetime
) -> dict[Any, dict[str, Any]]:
    """By who and month; None: by month alone."""
    purchases: dict[str, list[Judged]] = defaultdict(list)
    for judged in judge_all(world).values():
        if judged.order.customer and judged.order.kind == "purchase" and not judged.order.cancelled:
            purchases[judged.order.customer].append(judged)
    cohorts: dict[Any, list[list[Judged]]] = defaultdict(list)
    for bought in purchases.values():
        bought.sort(key=lambda j: (j.order.occurred_at, j.order.key[0], j.order.key[2]))
        if bought[0].order.new_customer is not False:
            month = instant(bought[0].order.occurred_at).astimezone(zone).strftime("%Y-%m")
            cohorts[by and brought_by(bought[0], by), month].append(bought)
    return {key: summed(world, facts, customers, zone, as_of) for key, customers in cohorts.items()}


def summed(
    world: World, facts: Facts, customers: list[list[Judged]], zone: ZoneInfo, as_of: datetime
) -> dict[str, Any]:
    firsts = [instant(bought[0].order.occurred_at) for bought in customers]
    parts = [
        (instant(j.order.occurred_at) - first, part.gross, part.net)
        for first, bought in zip(firsts, customers, strict=True)
        for j in bought
        for part in worth(j, world, facts, "EUR", zone).values()
    ]
    return {
        "customers": len(customers),
        "orders": sum(len(bought) for bought in customers),
        "repeat": sum(len(bought) > 1 for bought in customers),
        "refunds": sum(gross - net for _, gross, net in parts),
        "net": sum(net for _, _, net in parts),
        "horizons": {
            str(days): sum(net for age, _, net in parts if age < timedelta(days=days)) / len(customers) / 100
            if max(firsts) + timedelta(days=days) <= as_of
            else None
            for days in HORIZONS
        },
    }


def per_horizon(totals: Mapping[str, Any]) -> dict[str, tuple[int, float | None]]:
    """Customers counted and their mean."""
    return {
        days: (totals["customers_counted"][days], None if value is None else float(value))
        for days, value in totals["net_revenue_per_customer"].items()
    }


def together(months: Collection[Mapping[str, Any]]) -> dict[str, Any]:
    """Of those months that have a value."""
    summed: dict[str, Any] = {}
    for days in map(str, HORIZONS):
        known = [month for month in months if month["horizons"][days] is not None]
        customers = sum(month["customers"] for month in known)
        net = sum(month["customers"] * month["horizons"][days] for month in known)
        summed[days] = (customers, pytest.approx(net / customers, abs=1e-4) if customers else None)
    return summed


@pytest.mark.parametrize("seed", range(12))
async def test_cohorts_are_the_references(database: Database, seed: int) -> None:
    """Of random worlds, by each that can bring customers, in several zones, however much time has passed."""
    world, zone = random_world(seed, currencies=("EUR", "EUR", "USD")), ZONES[seed % len(ZONES)]
    facts = Facts(rates=random_facts(seed).rates)
    await load(database, 1, world, zone, facts)
    for _ in range(seed % 3):
        await Rollups(database).roll_up(40)
    as_of = datetime(2026, 4, 20, tzinfo=UTC) + timedelta(days=random.Random(seed).randrange(120))  # noqa: S311
    await ClickTable(database).report_watermark(0, to_us(as_of))
    for by in BY:
        answer = await ask(database, by, zone)
        found = {
            (row[by.value], row["month"]): {
                "customers": row["customers"],
                "orders": row["orders"],
                "repeat": round(float(row["repeat_rate"]) * row["customers"]),
                "refunds": int(Decimal(row["refunds"]) * 100),
                "net": int(Decimal(row["net_revenue_so_far"]) * 100),
                "horizons": {
                    days: None if value is None else pytest.approx(float(value), abs=1e-4)
                    for days, value in row["net_revenue_per_customer"].items()
                },
            }
            for row in answer["rows"]
        }
        cohorts = expected(world.world, facts, by, ZoneInfo(zone), as_of)
        assert found == cohorts, (seed, by)
        months = expected(world.world, facts, None, ZoneInfo(zone), as_of)
        assert per_horizon(answer["totals"]["all"]) == together(months.values()), (seed, by)
        if by is Dimension.INFLUENCER:
            nobodys_months = [month for (influencer, _), month in cohorts.items() if influencer is None]
            assert per_horizon(answer["totals"]["without_influencer"]) == together(nobodys_months), seed
        assert answer["totals"]["all"]["customers"] == sum(row["customers"] for row in answer["rows"])
        nobodys = sum(row["customers"] for row in answer["without_influencer"])
        assert answer["totals"]["without_influencer"]["customers"] == nobodys
        if by is Dimension.INFLUENCER:
            assert nobodys == sum(row["customers"] for row in answer["rows"] if row["influencer"] is None)


async def test_an_example_worked_by_hand(database: Database) -> None:
    """docs/reports.md: Anna's two customers spend 10 + 20 and 30, one on the 30th day; another comes alone."""
    clicks = [click("2026-03-01T10:00:00Z", 1, "v1"), click("2026-03-01T11:00:00Z", 1, "v2")]
    sales = [
        sale("A", "2026-03-01T12:00:00Z", 1_000, visitor_id="v1", customer_id="c1"),
        sale("B", "2026-03-31T12:00:00Z", 2_000, customer_id="c1"),
        sale("C", "2026-03-02T12:00:00Z", 3_000, visitor_id="v2", customer_id="c2"),
        sale("D", "2026-03-02T12:00:00Z", 500, customer_id="c3"),
        sale("E", "2026-03-02T12:00:00Z", 700),
        sale("F", "2026-03-02T12:00:00Z", 900, customer_id="c4", new_customer=False),
    ]
    await load(database, 1, world_of(clicks, sales))
    await ClickTable(database).report_watermark(0, to_us(datetime(2026, 5, 2, tzinfo=UTC)))
    answer = await ask(database, Dimension.INFLUENCER)
    [anna, nobody] = answer["rows"]
    assert (anna["influencer"], anna["month"], anna["customers"], anna["repeat_rate"]) == (
        "1",
        "2026-03",
        2,
        "0.500000",
    )
    assert anna["net_revenue_per_customer"] == {
        "30": "20.00000", "60": "30.00000", "90": None, "180": None, "365": None,
    }  # fmt: skip
    assert (nobody["influencer"], nobody["customers"], nobody["net_revenue_so_far"]) == (None, 1, "5.00")
    assert answer["left_out"] == {"orders_without_customer": 1, "customers_before": 1}
    first = await ask(database, Dimension.INFLUENCER, limit=1)
    assert ([row["influencer"] for row in first["rows"]], first["next_offset"]) == (["1"], 1)


async def test_a_new_customer_does_not_hide_what_the_earlier_ones_are_worth(database: Database) -> None:
    """docs/reports.md: c5 came a week ago; totals of 30 and 60 days are of March's customers alone."""
    clicks = [click("2026-03-01T10:00:00Z", 1, "v1"), click("2026-04-24T11:00:00Z", 1, "v5")]
    sales = [
        sale("A", "2026-03-01T12:00:00Z", 1_000, visitor_id="v1", customer_id="c1"),
        sale("B", "2026-03-02T12:00:00Z", 500, customer_id="c3"),
        sale("C", "2026-04-25T12:00:00Z", 9_000, visitor_id="v5", customer_id="c5"),
        sale("D", "2026-04-25T12:00:00Z", 7_000, customer_id="c6"),
    ]
    await load(database, 1, world_of(clicks, sales))
    await ClickTable(database).report_watermark(0, to_us(datetime(2026, 5, 2, tzinfo=UTC)))
    totals = (await ask(database, Dimension.INFLUENCER))["totals"]
    assert (totals["all"]["customers"], totals["without_influencer"]["customers"]) == (4, 2)
    late = {"90": (0, None), "180": (0, None), "365": (0, None)}
    assert per_horizon(totals["all"]) == {"30": (2, 7.5), "60": (2, 7.5)} | late
    assert per_horizon(totals["without_influencer"]) == {"30": (1, 5), "60": (1, 5)} | late


async def test_a_missing_rate_is_an_error_that_names_its_day(database: Database) -> None:
    """As in stats; of customers that came before the period it needs none."""
    await load(database, 1, world_of([], [sale("A", "2026-03-01T12:00:00Z", 100, customer_id="c", currency="GBP")]))
    with pytest.raises(MissingRateError, match="from GBP to EUR for 2026-03-01"):
        await ask(database, Dimension.CODE)
    later = await ask(database, Dimension.CODE, period=(datetime(2026, 3, 2, tzinfo=UTC), YEAR[1]))
    assert later["rows"] == []


async def test_what_cannot_be_asked_is_named(api: Api) -> None:
    path = "/v1/reports/lifetime-value"
    empty = (await api.ask("GET", path, params={"by": "code"})).json()
    assert (empty["rows"], empty["totals"]["all"]["customers"], empty["next_cursor"]) == ([], 0, None)
    for parameter, value in (("by", "link"), ("from", "x"), ("limit", "0"), ("cursor", "-"), ("planet", "mars")):
        response = await api.ask("GET", path, params={"by": "code"} | {parameter: value})
        assert_problem(response, 422, "query", parameter)


async def test_csv_goes_on_at_the_link_of_its_head_and_ends_with_those_without_an_influencer(api: Api) -> None:
    """Of two influencers' customers and one that nobody brought, whom by=campaign has in its cohort of none too."""
    for name in ("ANNA", "BELLA"):
        influencer = await api.make("influencers", name=name)
        campaign = await api.make("campaigns", name=name)
        await api.make("codes", code=name, influencer_id=influencer["id"], campaign_id=campaign["id"])
    for number, codes in enumerate((["ANNA"], ["BELLA"], [])):
        order = {"order_id": str(number), "ordered_at": "2026-03-01T10:00:00Z", "currency": "USD", "amount": "10"}
        await api.ask("POST", "/v1/orders", order | {"customer_id": f"c{number}", "discount_codes": codes})
    await until_idle(api.database)
    address = "/v1/reports/lifetime-value?by=campaign&from=2026-03-01&to=2026-04-01&format=csv&limit=2"
    pages = []
    while address:
        page = await api.ask("GET", address)
        pages.append([(row["campaign"], row["customers"], row["part"]) for row in DictReader(StringIO(page.text))])
        address = page.links.get("next", {}).get("url", "")
    [first, last] = pages
    assert [(customers, part) for _, customers, part in first] == [("1", "cohort")] * 2
    assert last == [("", "1", "cohort"), ("", "1", "without_influencer")]
