"""Who is best, and what changed: beside plain Python over the sums of the slow reference, and worked by hand."""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_stats import click, load, sale, world_of
from tests.support.api import Api, assert_problem
from tests.support.facts import Cost, Facts, random_facts
from tests.support.reference import WHOLE
from tests.support.reference_stats import Question, count
from tests.support.worlds import random_world

from attribution.adapters.postgres import Database
from attribution.adapters.stats_table import StatsTable
from attribution.domain.ids import ProgramId
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program
from attribution.stats.changes import Changes, ChangesQuery, Changing
from attribution.stats.leaderboard import End, LeaderboardQuery, Leaderboards
from attribution.stats.metrics import METRICS

pytestmark = pytest.mark.usefixtures("foreign_program")

START, END = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC)
Z = 1.959964


def programme(number: int = 1) -> Program:
    return Program(ProgramId(number), f"programme-{number}", "EUR", "UTC", "click_id")


async def lead(database: Database, by: str, metric: str, program: int = 1, **fields: Any) -> Mapping[str, Any]:
    query = LeaderboardQuery(**{"start": START, "end": END} | fields, by=Dimension(by), metric=metric)
    return await Leaderboards(StatsTable(database)).query(programme(program), query)


def byar(events: float) -> tuple[float, float]:
    """Breslow and Day 1987, equation 2.13: limits of a Poisson count."""
    more = events + 1
    least = events * (1 - 1 / (9 * events) - Z / (3 * math.sqrt(events))) ** 3 if events else 0
    return max(0.0, least), more * (1 - 1 / (9 * more) + Z / (3 * math.sqrt(more))) ** 3


def wilson(hits: float, of: float) -> tuple[float, float]:
    """Wilson 1927: the shares p whose score test at `hits` / `of` does not reject, found by bisection."""
    share = hits / of

    def edge(inside: float, outside: float) -> float:
        for _ in range(200):
            p = (inside + outside) / 2
            fits = abs(share - p) <= Z * math.sqrt(p * (1 - p) / of)
            inside, outside = (p, outside) if fits else (inside, p)
        return inside

    return edge(share, 0.0), edge(share, 1.0)


def interval(metric: str, sums: Mapping[str, float], mean: float | None) -> tuple[float, float, float] | None:
    """The value and its limits; None without a value. `mean`: what an event is worth to all compared."""
    cost, net = sums["costs_minor"] + sums["commission_minor"], sums["net_minor"]
    clicks, orders, conversions = sums["clicks"], sums["orders"], sums["conversions"]
    engagements = sum(sums[name] for name in ("likes", "comments", "shares", "saves", "link_taps"))
    proportions = {
        "conversion_rate": (orders, clicks),
        "ctr": (clicks, sums["impressions"]),
        "engagement_rate": (engagements, sums["reach"]),
    }
    if metric in proportions:
        hits, of = proportions[metric]
        if of <= 0:
            return None
        low, high = wilson(hits, of) if 0 <= hits <= of else (limit / of for limit in byar(hits))
        return hits / of, low, high
    if metric in ("cpc", "cpa"):
        events = clicks if metric == "cpc" else conversions
        least, greatest = byar(events) if events else (0, 0)
        return (
            (cost / events / 100, cost / greatest / 100, cost / least / 100 if least else math.inf)
            if events
            else None
        )
    if metric in ("roas", "roi", "epc"):
        grown, events, of = net, orders, cost
        if metric == "epc":
            grown, events, of = sums["commission_minor"], conversions, 100 * clicks
        if not of:
            return None
        fixed = cost if metric == "roi" else 0
        worth = grown / events if events else mean
        low, high = ((math.inf if worth is None else worth * limit - fixed) / of for limit in byar(events))
        return (grown - fixed) / of, low, high
    totals = {"clicks": clicks, "orders": orders, "revenue": net / 100, "cost": cost / 100}
    return (totals[metric],) * 3


def is_enough(metric: str, sums: Mapping[str, float], minimum: int, mean: float | None) -> bool:
    """docs/reports.md: of events, or of what they could have come from."""
    clicks, cost = sums["clicks"], sums["costs_minor"] + sums["commission_minor"]
    if metric in EVENTS:
        of_clicks = metric != "cpc" and clicks >= 10 * minimum
        of_cost = metric in ("roas", "roi") and mean is not None and cost >= minimum * mean
        return sums[EVENTS[metric]] >= minimum or of_clicks or of_cost
    return True


EVENTS = {"epc": "conversions", "cpc": "clicks", "cpa": "conversions", "roas": "orders", "roi": "orders"}
EVENTS |= {"conversion_rate": "clicks", "ctr": "impressions", "engagement_rate": "reach"}
COST = ("costs_minor", "commission_minor")
ASKED = {
    "clicks": ("clicks",),
    "orders": ("orders", "clicks"),
    "revenue": ("net_minor", "clicks"),
    "cost": COST,
    "conversion_rate": ("orders", "clicks"),
    "ctr": ("clicks", "impressions"),
    "engagement_rate": ("likes", "comments", "shares", "saves", "link_taps", "reach"),
    "cpc": (*COST, "clicks"),
    "cpa": (*COST, "conversions", "clicks"),
    "epc": ("commission_minor", "conversions", "clicks"),
    "roas": (*COST, "net_minor", "orders", "clicks"),
    "roi": (*COST, "net_minor", "orders", "clicks"),
}


@pytest.mark.parametrize("seed", range(8))
async def test_a_leaderboard_is_the_references(database: Database, seed: int) -> None:
    """Same rows, values and limits, ordered by the bound that data can vouch for, from either end.

    Who sold nothing is there, where the clicks or the cost of selling were.
    """
    rng = random.Random(seed)  # noqa: S311
    world, facts = random_world(seed, currencies=("EUR", "EUR", "USD")), random_facts(seed)
    await load(database, 1, world, facts=facts)
    for metric, asked in ASKED.items():
        by = rng.choice(("influencer", "campaign", "channel", "link", "post"))
        counted = count(world.world, Question("EUR", ZoneInfo("UTC"), START, END, [by], sums=asked), facts)
        minimum = rng.choice((0, 0, 1, 2, 5))
        plain = {
            name: defaultdict(float, {k: v / WHOLE if k in ("orders", "conversions") else v for k, v in sums.items()})
            for (name,), sums in counted.items()
            if name is not None
        }
        worth = sum(sums["commission_minor" if metric == "epc" else "net_minor"] for sums in plain.values())
        events = sum(sums["conversions" if metric == "epc" else "orders"] for sums in plain.values())
        mean = worth / events if events else None
        expected = {
            str(name): known
            for name, sums in plain.items()
            if is_enough(metric, sums, minimum, mean) and (known := interval(metric, sums, mean)) is not None
        }
        for order in End:
            answer = await lead(database, by, metric, order=order, minimum=minimum, limit=50)
            rows = {row[by]: row for row in answer["rows"]}
            assert rows.keys() == expected.keys(), (metric, by)
            better_is_less = answer["better"] == "lower"
            bounds = []
            for name, row in rows.items():
                value, low, high = expected[name]
                assert float(row["value"]) == pytest.approx(value, abs=1e-6), (metric, by, name)
                if row["interval"] is not None:
                    shown = [row["interval"][end] for end in ("lower", "upper")]
                    assert [math.inf if end is None else float(end) for end in shown] == pytest.approx(
                        [low, high], rel=1e-5, abs=1e-6
                    ), (metric, by, name)
                bounds.append(high if (order is End.BEST) is better_is_less else low)
            descending = (order is End.BEST) is not better_is_less
            assert bounds == pytest.approx(sorted(bounds, reverse=descending)), (metric, by, order)


async def test_who_cost_money_and_sold_nothing_is_worst(database: Database) -> None:
    """docs/reports.md: a fee of 500.00 and 300 clicks without an order, beside 12 orders of 10.00 for 60.00."""
    (many, _), (few, sold) = of_link(1, 300, 0), of_link(2, 200, 12)
    fees = [Cost(date(2026, 3, 21), 1, 50_000, "EUR", 1), Cost(date(2026, 3, 21), 1, 6_000, "EUR", 2)]
    await load(database, 1, world_of(many + few, sold), facts=Facts(costs=fees))
    roi = await lead(database, "influencer", "roi", order=End.WORST)
    assert [(row["influencer"], row["value"], row["evidence"]) for row in roi["rows"]] == [
        ("1", "-1.00000", 0), ("2", "1.00000", 12),
    ]  # fmt: skip
    assert [row["interval"]["lower"][:7] for row in roi["rows"]] == ["-1.0000", "0.03225"]
    assert [row["interval"]["upper"][:7] for row in roi["rows"]] == ["-0.9266", "2.49380"]
    assert roi["too_little_data"] == 0
    assert [row["influencer"] for row in (await lead(database, "influencer", "roi"))["rows"]] == ["2", "1"]
    for metric in ("roas", "revenue", "orders"):
        board = await lead(database, "influencer", metric, order=End.WORST)
        assert [row["influencer"] for row in board["rows"]] == ["1", "2"], metric
        assert float(board["rows"][0]["value"]) == 0
    cpa = await lead(database, "influencer", "cpa", order=End.WORST)
    assert ([row["influencer"] for row in cpa["rows"]], cpa["too_little_data"]) == (["2"], 1)
    refunds = await lead(database, "influencer", "refunds")
    assert [row["influencer"] for row in refunds["rows"]] == ["2"]


async def test_what_is_enough_though_nothing_was_sold(database: Database) -> None:
    """`minimum` x 10 clicks, or a cost of `minimum` mean orders, as of one without a click."""
    clicks, sold = of_link(2, 20, 12)
    few, _ = of_link(1, 99, 0)
    fees = [Cost(date(2026, 3, 21), 1, 9_999, "EUR", 1), Cost(date(2026, 3, 21), 1, 10_000, "EUR", 3)]
    await load(database, 1, world_of(clicks + few, sold), facts=Facts(costs=fees))
    board = await lead(database, "influencer", "roi", order=End.WORST)
    assert ([row["influencer"] for row in board["rows"]], board["too_little_data"]) == (["3"], 2)
    lower = await lead(database, "influencer", "roi", order=End.WORST, minimum=9)
    assert [row["influencer"] for row in lower["rows"]] == ["3", "1"]


async def test_without_any_order_nobody_knows_what_one_is_worth(database: Database) -> None:
    """So the interval has no limits."""
    clicks, _ = of_link(1, 100, 0)
    facts = Facts(costs=[Cost(date(2026, 3, 21), 1, 1_000, "EUR", 1)])
    await load(database, 1, world_of(clicks), facts=facts)
    [row] = (await lead(database, "influencer", "roi", order=End.WORST))["rows"]
    assert (row["value"], row["interval"]) == ("-1.00000", {"method": "byar", "lower": None, "upper": None})


def of_link(link: int, clicks: int, orders: int) -> tuple[list[Any], list[Any]]:
    taps = [click(f"2026-03-21T10:{n // 60:02}:{n % 60:02}Z", link, f"l{link}v{n}") for n in range(clicks)]
    sales = [sale(f"L{link}-{n}", "2026-03-22T10:00:00Z", 1_000, visitor_id=f"l{link}v{n}") for n in range(orders)]
    return taps, sales


async def test_one_in_two_does_not_lead(database: Database) -> None:
    """docs/reports.md: 1 of 2 clicks bought, or 30 of 200: by Wilson's lower bound 0.0945 and 0.1072."""
    (few, one), (many, thirty) = of_link(1, 2, 1), of_link(2, 200, 30)
    await load(database, 1, world_of(few + many, one + thirty))
    board = await lead(database, "influencer", "conversion_rate", minimum=0)
    assert [row["influencer"] for row in board["rows"]] == ["2", "1"]
    assert [row["value"] for row in board["rows"]] == ["0.150000", "0.500000"]
    assert [row["interval"]["lower"][:6] for row in board["rows"]] == ["0.1071", "0.0945"]
    assert board["rows"][1]["sums"] == {"orders": 1, "clicks": 2}
    enough = await lead(database, "influencer", "conversion_rate")
    assert ([row["influencer"] for row in enough["rows"]], enough["minimum"]) == (["2"], 100)
    assert (enough["ranked"], enough["too_little_data"]) == (1, 1)
    nothing = await lead(database, "code", "conversion_rate")
    assert (nothing["rows"], nothing["ranked"], nothing["too_little_data"]) == ([], 0, 0)


async def changes_of(database: Database, by: str, metric: Changing, at: datetime, **fields: Any) -> Mapping[str, Any]:
    query = ChangesQuery(at, Dimension(by), metric, **fields)
    return await Changes(StatsTable(database)).query(programme(), query)


def days_of_clicks(link: int, counts: Sequence[int]) -> list[Any]:
    first = datetime(2026, 3, 1, 10, tzinfo=UTC)
    return [
        click((first + timedelta(days=day, seconds=n)).isoformat(), link, f"l{link}d{day}n{n}")
        for day, number in enumerate(counts)
        for n in range(number)
    ]


async def test_what_left_its_own_range(database: Database) -> None:
    """docs/reports.md: days of 10 12 9 11 10 13 10 11, then 40: centre 10.5, the range from 2.02 to 25.10."""
    at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    steady, jumped = [10, 12, 9, 11, 10, 13, 10, 11], 40
    clicks = (
        days_of_clicks(1, [*steady, jumped]) + days_of_clicks(2, [*steady, 12]) + days_of_clicks(3, [0] * 8 + [50])
    )
    await load(database, 1, world_of(clicks))
    answer = await changes_of(database, "influencer", Changing.CLICKS, at)
    [row] = answer["rows"]
    assert (row["influencer"], row["value"], row["centre"], row["sigma"]) == ("1", 40, 10.5, 3.24)
    assert (row["lower"], row["upper"], row["score"], row["evidence"]) == (2.02, 25.1, 6.11, 86)
    assert (answer["compared"], answer["too_little_data"]) == (2, 0)
    assert (answer["from"].isoformat(), answer["earlier_from"].isoformat()) == (
        "2026-03-09T00:00:00+00:00", "2026-03-01T00:00:00+00:00",
    )  # fmt: skip
    assert answer["complete"] is False
    few = await changes_of(database, "influencer", Changing.CLICKS, at, minimum=87)
    assert (few["rows"], few["compared"], few["too_little_data"]) == ([], 0, 2)


async def test_a_rate_that_fell_to_nothing_is_reported(database: Database) -> None:
    """4 orders of 20 clicks on each of 8 days, then none of 25, of which 5 are expected."""
    clicks = days_of_clicks(1, [20] * 8 + [25])
    sales = [
        sale(f"{day}-{n}", f"2026-03-0{day + 1}T20:00:00Z", 1_000, visitor_id=f"l1d{day}n{n}")
        for day in range(8)
        for n in range(4)
    ]
    await load(database, 1, world_of(clicks, sales))
    answer = await changes_of(database, "influencer", Changing.CONVERSION_RATE, datetime(2026, 3, 10, tzinfo=UTC))
    [row] = answer["rows"]
    assert (float(row["value"]), float(row["centre"]), row["score"]) == (0, 0.2, -3.41)
    assert float(row["lower"]) == pytest.approx(((math.sqrt(5.375) - 1.5) ** 2 - 0.375) / 25)


@pytest.mark.parametrize("metric", list(Changing))
@pytest.mark.parametrize("seed", range(4))
async def test_changes_are_the_references(database: Database, metric: Changing, seed: int) -> None:
    """Of random days: those outside the range that plain Python computes, with its numbers."""
    rng = random.Random(seed)  # noqa: S311
    at = datetime(2026, 3, 10, tzinfo=UTC)
    days: dict[str, list[tuple[int, int, int]]] = {"1": [], "2": []}
    clicks, sales = [], []
    for link, name in ((1, "1"), (2, "2")):
        usual = rng.choice((3, 12, 20))
        counts = [max(0, round(rng.gauss(usual, 2))) for _ in range(8)] + [rng.choice((0, usual, 5 * usual))]
        taps = days_of_clicks(link, counts)
        clicks += taps
        for day in range(9):
            number = rng.choice((0, 1, counts[day] // 2, counts[day])) if counts[day] else 0
            cents = rng.choice((100, 999))
            days[name].append((counts[day], number, number * cents))
            moment = (datetime(2026, 3, 1, 20, tzinfo=UTC) + timedelta(days=day)).isoformat()
            sales += [
                sale(f"{name}-{day}-{n}", moment, cents, visitor_id=f"l{link}d{day}n{n}") for n in range(number)
            ]
    await load(database, 1, world_of(clicks, sales))
    answer = await changes_of(database, "influencer", metric, at, minimum=5)
    found = {row["influencer"]: row for row in answer["rows"]}
    for name, history in days.items():
        expected = outside(metric, history)
        assert (name in found) == (expected is not None), (name, history)
        if expected is not None:
            shown = [float(found[name][key]) for key in ("value", "centre", "sigma", "lower", "upper", "score")]
            assert shown == pytest.approx(expected, abs=0.006), (name, history)


Range = tuple[float, float, float, float, float, float]


def outside(metric: Changing, days: Sequence[tuple[int, int, int]]) -> Range | None:
    """Value, centre, sigma, lower, upper and score of a last day that left the range; else None."""
    *earlier, (clicks, orders, cents) = days
    if metric is Changing.CONVERSION_RATE:
        all_clicks, all_orders = sum(day[0] for day in earlier), sum(day[1] for day in earlier)
        if sum(day[0] > 0 for day in earlier) < 4 or all_clicks < 5 or all_orders * clicks < 5 * all_clicks:
            return None
        return beyond(orders / clicks, all_orders / all_clicks, 0, 1 / clicks, 3)
    is_clicks = metric is Changing.CLICKS
    events = [day[0 if is_clicks else 1] for day in earlier]
    if sum(number > 0 for number in events) < 4 or sum(events) < 5:
        return None
    values = [day[0] if is_clicks else day[2] / 100 for day in earlier]
    centre = median(values)
    spread = 1.4826 * median(abs(value - centre) for value in values)
    worth = max(sum(values) / sum(events), 1 if is_clicks else 0.01)
    return beyond(clicks if is_clicks else cents / 100, centre, spread, worth, 3.5)


def beyond(value: float, centre: float, spread: float, worth: float, limit: float) -> Range | None:
    """Both by the deviations seen and as Poisson's count of events of this worth, by Anscombe's root (1948)."""

    def rooted(amount: float) -> float:
        return 2 * math.sqrt(amount / worth + 3 / 8)

    def back(root: float) -> float:
        return worth * ((root / 2) ** 2 - 3 / 8) if root > 0 else 0

    roots = rooted(value) - rooted(centre)
    scores = [roots] + ([(value - centre) / spread] if spread else [])
    score = min(scores, key=abs)
    if abs(score) <= limit:
        return None
    lower = max(0, min(centre - limit * spread, back(rooted(centre) - limit)))
    upper = max(centre + limit * spread, back(rooted(centre) + limit))
    return value, centre, max(spread, math.sqrt(centre * worth)), lower, upper, score


@pytest.mark.parametrize("usual", [5, 10, 40])
def test_few_leave_their_range_by_chance(usual: int) -> None:
    """docs/reports.md: of 20,000 last days of Poisson's counts 25, 14 and 23 do."""
    rng = random.Random(usual)  # noqa: S311
    shares: list[float] = []
    total = 0.0
    while total < 1 - 1e-12:
        total += math.exp(-usual + len(shares) * math.log(usual) - math.lgamma(len(shares) + 1))
        shares.append(total)
    days = 20_000
    counts = rng.choices(range(len(shares)), cum_weights=shares, k=9 * days)
    histories = ([(clicks, 0, 0) for clicks in counts[9 * day : 9 * day + 9]] for day in range(days))
    assert sum(outside(Changing.CLICKS, history) is not None for history in histories) < 0.002 * days


async def test_a_fall_to_nothing_is_reported(database: Database) -> None:
    """docs/reports.md: 10 clicks a day, or 10 orders, then none. After 5 a day, none is no surprise."""
    clicks = days_of_clicks(1, [10] * 8) + days_of_clicks(2, [5] * 8)
    named = [(1, day, n) for day in range(8) for n in range(10)] + [(2, day, n) for day in range(8) for n in range(5)]
    sales = [
        sale(f"{link}-{day}-{n}", f"2026-03-0{day + 1}T20:00:00Z", 1_000, visitor_id=f"l{link}d{day}n{n}")
        for link, day, n in named
    ]
    await load(database, 1, world_of(clicks, sales))
    at = datetime(2026, 3, 10, tzinfo=UTC)
    for metric, unit in ((Changing.CLICKS, 1), (Changing.REVENUE, 10)):
        answer = await changes_of(database, "influencer", metric, at, minimum=20)
        [row] = answer["rows"]
        assert (row["influencer"], float(row["value"]), float(row["centre"])) == ("1", 0, 10 * unit)
        assert (round(float(row["lower"]) / unit, 2), row["score"]) == (1.79, -5.22)
        assert answer["compared"] == 2


async def test_what_cannot_be_asked_is_named(api: Api) -> None:
    board = {"by": "influencer", "metric": "roi"}
    assert (await api.ask("GET", "/v1/reports/leaderboard", params=board)).json()["rows"] == []
    for parameter, value in (
        ("by", "planet"), ("metric", "luck"), ("order", "middle"), ("minimum", "-1"),
        ("limit", "0"), ("from", "yesterday"), ("from", "2999-01-01"), ("planet", "mars"), ("format", "xml"),
        ("to", "0001-01-01"),
    ):  # fmt: skip
        response = await api.ask("GET", "/v1/reports/leaderboard", params=board | {parameter: value})
        assert_problem(response, 422, "query", parameter)
    change = {"by": "post", "metric": "clicks"}
    assert (await api.ask("GET", "/v1/reports/changes", params=change)).json()["compared"] == 0
    for parameter, value in (
        ("by", "channel"),
        ("metric", "roi"),
        ("grain", "hour"),
        ("to", "1970-01-02"),
        ("to", "x"),
    ):
        response = await api.ask("GET", "/v1/reports/changes", params=change | {parameter: value})
        assert_problem(response, 422, "query", parameter)


@pytest.mark.parametrize("by", ["influencer", "post", "link", "code", "campaign", "channel"])
async def test_a_metric_that_one_cannot_have_is_refused(api: Api, by: str) -> None:
    """Its table could only be empty: codes have no clicks, and neither codes nor links have reach."""
    insights = {
        "impressions", "reach", "views", "likes", "comments", "shares", "saves", "link_taps", "followers",
        "engagements", "ctr", "engagement_rate",
    }  # fmt: skip
    clicks = {"clicks", "bot_clicks", "unique_visitors", "conversion_rate", "epc", "cpc"}
    foreign = {"link": insights, "code": insights | clicks}.get(by, set())
    for metric in METRICS:
        answer = await api.ask("GET", "/v1/reports/leaderboard", params={"by": by, "metric": metric})
        if metric in foreign:
            assert_problem(answer, 422, "query", "metric")
            [error] = answer.json()["errors"]
            assert error["msg"].startswith(f"'{metric}' is nothing that a {by} has: choose one of ")
            assert foreign.isdisjoint(error["msg"].split(": choose one of ")[1].split(", "))
        else:
            assert answer.status_code == 200, (metric, answer.text)
    for metric in Changing if by in ("influencer", "post", "code") else ():
        answer = await api.ask("GET", "/v1/reports/changes", params={"by": by, "metric": metric})
        assert answer.status_code == (422 if metric in foreign else 200), (metric, answer.text)


async def test_csv_names_its_columns_whether_it_has_rows_or_none(api: Api) -> None:
    asked = {"by": "influencer", "metric": "roi", "format": "csv"}
    answer = await api.ask("GET", "/v1/reports/leaderboard", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    interval = "interval_method,interval_lower,interval_upper"
    assert answer.text == (
        f"influencer,value,{interval},evidence,sums_revenue,sums_commission,sums_recorded_costs\r\n"
    )
    asked = {"by": "post", "metric": "clicks", "format": "csv"}
    changes = await api.ask("GET", "/v1/reports/changes", params=asked)
    assert changes.text == "post,value,centre,sigma,lower,upper,score,evidence\r\n"
    journeys = await api.ask("GET", "/v1/reports/journeys", params={"format": "csv"})
    assert journeys.text == "influencer,in_paths,credited,assisted,assist_ratio\r\n"
    cohorts = await api.ask("GET", "/v1/reports/lifetime-value", params={"by": "code", "format": "csv"})
    assert cohorts.text.startswith("code,month,customers,orders,net_revenue_per_customer_30,")


async def test_money_that_a_rank_rests_on_is_in_the_currency(database: Database) -> None:
    """As all money of answers: decimal strings under the names that definitions use, not minor units."""
    await load(database, 1, world_of(*of_link(1, 2, 1)))
    board = await lead(database, "influencer", "revenue")
    assert [row["sums"] for row in board["rows"]] == [{"revenue": "10.00"}]
    assert board["definition"]["numerator"] == "revenue"
    roi = await lead(database, "influencer", "roi", minimum=0)
    assert roi["definition"]["numerator"] == "revenue x gross_margin - commission - recorded_costs"
    assert roi["definition"]["denominator"] == "commission + recorded_costs"


@pytest.mark.parametrize("metric", METRICS)
async def test_any_metric_of_stats_can_be_ranked(database: Database, metric: str) -> None:
    await load(database, 1, world_of(*of_link(1, 2, 1)))
    for order in End:
        board = await lead(database, "influencer", metric, order=order, minimum=0)
        assert (board["metric"], board["ranked"]) == (metric, len(board["rows"]))


async def test_distinct_visitors_lead_by_their_number(database: Database) -> None:
    """Of two clicks of one visitor one counts; clicks of links without an influencer are nobody's."""
    taps = [
        click("2026-03-21T10:00:00Z", link, visitor) for link, visitor in ((1, "v"), (1, "v"), (2, "v"), (2, "w"))
    ]
    await load(database, 1, world_of(taps, []))
    best = await lead(database, "influencer", "unique_visitors")
    assert [(row["influencer"], row["value"]) for row in best["rows"]] == [("2", 2), ("1", 1)]
    assert (best["ranked"], best["estimated"], best["rows"][0]["sums"]) == (2, {}, {"unique_visitors": 2})
    worst = await lead(database, "influencer", "unique_visitors", order=End.WORST, limit=1)
    assert [row["influencer"] for row in worst["rows"]] == ["1"]
    assert (await lead(database, "code", "unique_visitors"))["rows"] == []
