"""Sums over clicks and credits beside those counted by hand, and the answer's shape."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_credit_convergence import until_idle
from tests.support.batches import batch_of
from tests.support.facts import Cost, Facts, dressed, random_facts, store_facts
from tests.support.reference import WHOLE, Click, Code, Link, World
from tests.support.reference_stats import ALL, Question, Sums, count
from tests.support.worlds import (
    MODELS,
    TOKENS,
    RandomWorld,
    found_program,
    order_of,
    random_world,
    stored_click,
)

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.adapters.stats_pages import Groups
from attribution.adapters.stats_pages import Sums as StatsSums
from attribution.adapters.stats_question import Question as StatsQuestion
from attribution.adapters.stats_table import StatsTable
from attribution.conversions.attributor import judge_and_value
from attribution.domain.click_id import make_click_id
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us
from attribution.domain.measures import GRAINS, IDS, By, Dimension, Sum
from attribution.domain.models import Model
from attribution.domain.periods import bucket_start
from attribution.domain.programs import Program
from attribution.stats.query import Stats, StatsQuery

pytestmark = pytest.mark.usefixtures("foreign_program")

BERLIN = "Europe/Berlin"
ZONES = ("UTC", BERLIN, "Asia/Kathmandu", "America/St_Johns")
DIMENSIONS = (
    Dimension.INFLUENCER, Dimension.CAMPAIGN, Dimension.CHANNEL, Dimension.POST, Dimension.LINK, Dimension.CODE,
    Dimension.CONVERSION_TYPE, Dimension.NEW_OR_RETURNING, Dimension.CONTENT_TYPE, Dimension.COUNTRY,
    Dimension.DEVICE, Dimension.SUB1, Dimension.MONTH, Dimension.WEEK, Dimension.DAY, Dimension.HOUR,
)  # fmt: skip
VALUES = {
    "influencer": ("1", "2", "3", "none"),
    "campaign": ("1", "2", "none"),
    "channel": ("instagram", "tiktok", "email", "none"),
    "post": ("1", "2", "none"),
    "link": ("1", "2", "3", "none", "77"),
    "code": ("ANNA15", "anna15", "BELLA", "none"),
    "conversion_type": ("purchase", "lead", "none"),
    "new_or_returning": ("new", "returning", "none"),
    "content_type": ("reel", "story", "none"),
    "country": ("DE", "AT", "none"),
    "device": ("mobile", "none"),
    "sub1": ("story", "=bio", "none"),
    "month": ("2026-03", "2026-04"),
    "week": ("2026-03-16", "2026-03-23"),
    "day": ("2026-03-24", "2026-03-28", "2026-03-29"),
}
WEIGHTS = (Sum.CONVERSIONS, Sum.ORDERS, Sum.LEADS, Sum.NEW_CUSTOMERS)
YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


async def load(
    database: Database, program: int, world: RandomWorld, zone: str = "UTC", facts: Facts | None = None
) -> None:
    async with database.connection() as connection:
        await found_program(connection, program, world.world, timezone=zone)
        await store_facts(connection, program, facts or Facts())
    clicks = [stored_click(program, click, world.world) for click in world.world.clicks]
    if facts is not None and facts.dressed:
        clicks = [dressed(click) for click in clicks]
    await ClickTable(database).store(batch_of(clicks), [], [])
    if world.messages:
        await ConversionIntake(database, TOKENS).accept(ProgramId(program), world.messages)
    await until_idle(database)


def by_labels(groups: Groups, zone: ZoneInfo) -> dict[Any, dict[str, int]]:
    found = {
        tuple(label(name, value, zone) for name, value in zip(groups.labels, key, strict=True)): summed(sums)
        for key, sums in rows_of(groups)
    }
    assert len(found) == groups.size
    return found


def rows_of(groups: Groups) -> list[tuple[Any, StatsSums]]:
    sums = [dict(zip(groups.sums, row, strict=True)) for row in zip(*groups.sums.values(), strict=True)]
    return list(zip(groups.keys, sums, strict=True))


def label(dimension: Dimension, value: Any, zone: ZoneInfo) -> Any:
    match dimension:
        case Dimension.MONTH:
            return value.astimezone(zone).strftime("%Y-%m")
        case Dimension.WEEK | Dimension.DAY:
            return value.astimezone(zone).strftime("%Y-%m-%d")
    return value


def summed(sums: StatsSums) -> dict[str, int]:
    return {name.value: int(amount * (WHOLE if name in WEIGHTS else 1)) for name, amount in sums.items()}


def counted(sums: Sums, asked: Question) -> dict[str, int]:
    return {name: sums[name] for name in asked.sums}


def question(rng: random.Random, zone: str, group_by: Sequence[str]) -> Question:
    start, end = sorted(datetime(2026, 3, 20, tzinfo=UTC) + timedelta(hours=rng.randrange(300)) for _ in range(2))
    names = rng.sample(sorted(VALUES), rng.choice((0, 0, 1, 2)))
    filters = {name: rng.sample(VALUES[name], rng.randrange(1, 3)) for name in names}
    sums = {*ALL} if rng.random() < 0.5 else {*rng.sample(ALL, rng.randrange(1, 5))}
    if "unique_visitors" in sums:
        sums.add("clicks")
    return Question(
        "EUR", ZoneInfo(zone), *rng.choice((YEAR, (start, end))), group_by, filters, sums,
        by_click=rng.random() < 0.3, model=rng.choice((None, *MODELS)) if rng.random() < 0.5 else None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
async def test_sums_are_those_counted_by_hand(database: Database, seed: int) -> None:
    """Every sum and dimension, combinations, filters, periods, zones and moments of credits; rows and totals."""
    table = StatsTable(database)
    rng = random.Random(seed)  # noqa: S311
    world, facts = random_world(seed, currencies=("EUR", "EUR", "USD")), random_facts(seed)
    zone = ZONES[seed % len(ZONES)]
    await load(database, 1, world, zone, facts)
    groupings = [[name] for name in DIMENSIONS] + [rng.sample(DIMENSIONS, rng.randrange(4)) for _ in range(12)]
    for group_by in groupings:
        asked = question(rng, zone, group_by)
        whole = replace(asked, group_by=())
        async with table.snapshot(ProgramId(1), judging=asked.model is not None) as found:
            if asked.model is not None:
                await found.judge_again(judge_and_value, Model(asked.model), asked_of_table(asked), asked.start)
            groups = await found.groups(asked_of_table(asked))
            [(_, totals)] = rows_of(await found.groups(asked_of_table(whole)))
        expected = {labels: counted(sums, asked) for labels, sums in count(world.world, asked, facts).items()}
        if not group_by:
            expected.setdefault((), counted(Sums(), asked))
        assert by_labels(groups, asked.zone) == expected, asked
        expected_totals = count(world.world, whole, facts).get((), Sums())
        assert summed(totals) == counted(expected_totals, asked), asked
        await roll_up_some(database, rng)


def asked_of_table(asked: Question) -> StatsQuestion:
    filters = {
        Dimension(name): [stored(name, v, asked.zone) for v in values] for name, values in asked.filters.items()
    }
    return StatsQuestion(
        ProgramId(1), asked.currency, Decimal(1), asked.zone, asked.start, asked.end,
        [Dimension(name) for name in asked.group_by], filters, {Sum(name) for name in asked.sums},
        By.CLICK if asked.by_click else By.CONVERSION, asked.model is not None,
    )  # fmt: skip


def stored(name: str, value: str, zone: ZoneInfo) -> Any:
    if value == "none":
        return None
    if name not in {*IDS, *GRAINS}:
        return value
    if name in IDS:
        return int(value)
    day = datetime.fromisoformat(f"{value}-01" if name == "month" else value).replace(tzinfo=zone)
    return bucket_start(day, GRAINS[Dimension(name)], zone)


async def roll_up_some(database: Database, rng: random.Random) -> None:
    """Whatever part of the clicks is rolled up, the answer is the same."""
    rollups = Rollups(database)
    for program in await rollups.outdated():
        if rng.random() < 0.1:
            await rollups.rebuild(program)
    await rollups.roll_up(rng.choice((0, 1, 5, 100)))


# One small programme, read through the answer's shape

LINKS = {1: Link(influencer=1, channel="tiktok"), 2: Link(influencer=2, channel="email"), 3: Link()}


def click(moment: str, link: int = 1, visitor: str | None = None, *, bot: bool = False) -> Click:
    at = to_us(datetime.fromisoformat(moment))
    unique = f"{link}{visitor}{bot}".encode()[:8].ljust(8, b"\0")
    return Click(make_click_id(at, unique), at, link, visitor, bot)


def sale(external_id: str, moment: str, minor: int, **fields: Any) -> ConversionMessage:
    at = datetime.fromisoformat(moment).astimezone(UTC)
    defaults: dict[str, Any] = {"status": ConversionStatus.CONFIRMED, "currency": "EUR", "type": "purchase"}
    return ConversionMessage(
        source="shop", external_id=external_id, updated_at=at, occurred_at=at, gross_minor=minor,
        **(defaults | fields),
    )  # fmt: skip


def world_of(
    clicks: Sequence[Click], messages: Sequence[ConversionMessage] = (), codes: Sequence[Code] = ()
) -> RandomWorld:
    orders = [order_of(message) for message in messages]
    return RandomWorld(World(LINKS, clicks, orders, codes=codes), tuple(messages))


async def ask(database: Database, *group_by: str, program: int = 1, **fields: Any) -> Mapping[str, Any]:
    period = {"start": fields.pop("start", YEAR[0]), "end": fields.pop("end", YEAR[1])}
    margin = fields.pop("gross_margin", Decimal(1))
    zone = fields.pop("zone", BERLIN)
    query = StatsQuery(group_by=[Dimension(name) for name in group_by], **period, **fields)
    programme = Program(ProgramId(program), f"programme-{program}", "EUR", zone, "click_id", margin)
    return await Stats(StatsTable(database), judge_and_value).query(programme, query)


async def test_costs_belong_to_no_hour(database: Database) -> None:
    """They have days."""
    costs = [Cost(date(2026, 3, 22), 1, 500, "EUR", influencer=1)]
    await load(database, 1, world_of([click("2026-03-22T12:00:00+01:00")]), BERLIN, Facts(costs=costs))
    answer = await ask(database, "hour", metrics=("clicks", "cost"), fill=False)
    assert answer["rows"] == [
        {"hour": "2026-03-22T12:00:00+01:00", "clicks": 1, "cost": "0.00"},
        {"hour": None, "clicks": 0, "cost": "5.00"},
    ]


async def test_the_answer_says_what_was_asked_and_how_it_was_counted(database: Database) -> None:
    clicks = [click(f"2026-03-2{day}T12:00:00+01:00", visitor="v") for day in range(3)]
    await load(database, 1, world_of(clicks, [sale("A", "2026-03-23T12:00:00+01:00", 1_000, visitor_id="v")]), BERLIN)
    answer = await ask(
        database, "influencer", metrics=("clicks", "unique_visitors", "revenue", "conversion_rate", "aov")
    )
    assert answer["rows"] == [
        {
            "influencer": "1", "clicks": 3, "unique_visitors": 1, "revenue": "10.00",
            "conversion_rate": "0.333333333333", "aov": "10.00000",
        }
    ]  # fmt: skip
    assert answer["totals"] == {name: value for name, value in answer["rows"][0].items() if name != "influencer"}
    assert (answer["timezone"], answer["currency"], answer["next_offset"]) == (BERLIN, "EUR", None)
    assert answer["from"].isoformat() == "2026-01-01T01:00:00+01:00"
    assert set(answer["definitions"]) == {"clicks", "unique_visitors", "revenue", "conversion_rate", "aov"}
    assert set(answer["not_additive"]) == {"unique_visitors", "conversion_rate", "aov"}


async def test_nothing_is_zero_and_a_ratio_of_nothing_null(database: Database) -> None:
    await load(database, 1, world_of([]))
    answer = await ask(database, "influencer")
    assert answer["rows"] == []
    assert answer["totals"] == {
        "clicks": 0, "bot_clicks": 0, "unique_visitors": 0, "impressions": 0, "reach": 0, "views": 0, "likes": 0,
        "comments": 0, "shares": 0, "saves": 0, "link_taps": 0, "followers": 0, "engagements": 0,
        "conversions": 0, "orders": 0, "leads": 0, "new_customers": 0,
        "gross_revenue": "0.00", "refunds": "0.00", "revenue": "0.00", "discount": "0.00",
        "commission": "0.00", "cost": "0.00", "ctr": None, "engagement_rate": None, "conversion_rate": None,
        "aov": None, "epc": None, "cpc": None, "cpa": None, "roas": None, "roi": None,
    }  # fmt: skip


async def test_the_period_is_half_open(database: Database) -> None:
    """An instant at its start is in, one at its end is not; of clicks and of conversions alike."""
    start, end = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 3, 21, tzinfo=UTC)
    moments = [
        "2026-03-19T23:59:59.999999Z",
        "2026-03-20T00:00:00Z",
        "2026-03-20T23:59:59.999999Z",
        "2026-03-21T00:00:00Z",
    ]
    messages = [sale(moment, moment, 100) for moment in moments]
    await load(database, 1, world_of([click(moment) for moment in moments], messages))
    totals = (await ask(database, start=start, end=end))["totals"]
    assert (totals["clicks"], totals["orders"], totals["revenue"]) == (2, 2, "2.00")


@pytest.mark.parametrize(
    ("date", "hours", "twice"),
    [("2026-03-29", 23, None), ("2026-10-25", 25, "02:00"), ("2026-11-20", 24, None)],
)
async def test_a_day_has_the_hours_its_zone_gives_it(
    database: Database, date: str, hours: int, twice: str | None
) -> None:
    """23 when clocks go forward, 25 when they go back, with an hour that comes twice, told apart by its offset."""
    midnight = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    clicks = [click((midnight + timedelta(minutes=30 * half)).isoformat()) for half in range(-2, 2 * hours + 2)]
    await load(database, 1, world_of(clicks), BERLIN)
    days = {row["day"]: row["clicks"] for row in (await ask(database, "day", fill=False))["rows"]}
    assert days[date] == 2 * hours
    labels = [row["hour"] for row in (await ask(database, "hour", filters={Dimension.DAY: [midnight]}))["rows"]]
    assert len(labels) == len(set(labels)) == hours
    local = [label[11:16] for label in labels]
    assert [hour for hour in sorted(set(local)) if local.count(hour) == 2] == ([twice] if twice else [])
    instants = [datetime.fromisoformat(label) for label in labels]
    assert instants == sorted(instants)
    [row] = (await ask(database, "hour", filters={Dimension.HOUR: [instants[0]]}))["rows"]
    assert row["hour"] == labels[0]


@pytest.mark.parametrize(
    ("date", "hours"),
    [
        ("2026-04-05", {"00:00+11:00": 4, "01:00+11:00": 6, "02:00+10:30": 4, "23:00+10:30": 4}),
        ("2026-10-04", {"00:00+10:30": 4, "01:00+10:30": 6, "03:00+11:00": 4, "23:00+11:00": 4}),
    ],
)
async def test_hours_are_the_same_of_rows_rollups_and_filters_where_clocks_change_by_half_an_hour(
    database: Database, date: str, hours: dict[str, int]
) -> None:
    """The hour before the change lasts until the next full hour of the clock."""
    zone = "Australia/Lord_Howe"
    midnight = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone))
    period: dict[str, Any] = {
        "start": midnight.astimezone(UTC),
        "end": (midnight + timedelta(days=1)).astimezone(UTC),
    }
    quarters = (period["end"] - period["start"]) // timedelta(minutes=15)
    clicks = [click((period["start"] + timedelta(minutes=15 * number)).isoformat()) for number in range(quarters)]
    await load(database, 1, world_of(clicks), zone)
    rollups = Rollups(database)

    async def counts(**fields: Any) -> dict[str, int]:
        answer = await ask(database, "hour", metrics=("clicks",), zone=zone, **period, **fields)
        labels = [row["hour"] for row in answer["rows"]]
        assert len(labels) == len(set(labels)) == quarters // 4
        return {row["hour"][11:16] + row["hour"][19:]: row["clicks"] for row in answer["rows"]}

    of_rows = await counts()
    assert {label: of_rows[label] for label in hours} == hours
    assert sum(of_rows.values()) == quarters
    for program in await rollups.outdated():
        await rollups.rebuild(program)
    assert await counts() == await counts(filters={Dimension.SUB1: [None]}) == of_rows
    assert await rollups.mismatches(ProgramId(1), 10) == []
    for row in (await ask(database, "hour", metrics=("clicks",), zone=zone, **period))["rows"]:
        hour = datetime.fromisoformat(row["hour"])
        assert bucket_start(hour, GRAINS[Dimension.HOUR], ZoneInfo(zone)) == hour
        found = await ask(
            database, "hour", metrics=("clicks",), zone=zone, filters={Dimension.HOUR: [hour]}, **period
        )
        assert found["rows"] == [row]


async def test_a_day_with_two_midnights_is_one_day(database: Database) -> None:
    """Of rows, of rollups, of costs, in filters and among the empty ones; so are the week and month it begins."""
    zone = "America/Havana"
    clicks = [click(f"2026-11-0{day}T{hour}:30:00Z") for day in (1, 2) for hour in ("03", "04", "05", "06")]
    costs = [Cost(date(2026, 11, 1), 1, 500, "EUR")]
    await load(database, 1, world_of(clicks), zone, Facts(costs=costs))
    first = datetime(2026, 11, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    period: dict[str, Any] = {"start": first, "end": first + timedelta(days=4), "zone": zone}
    for rolled_up in (False, True):
        for program in await Rollups(database).outdated() if rolled_up else ():
            await Rollups(database).rebuild(program)
        rows = (await ask(database, "day", metrics=("clicks", "cost"), **period))["rows"]
        assert [(row["day"][-2:], row["clicks"], row["cost"]) for row in rows] == [
            ("01", 5, "5.00"), ("02", 2, "0.00"), ("03", 0, "0.00"), ("04", 0, "0.00"),
        ]  # fmt: skip
        for name in (Dimension.DAY, Dimension.MONTH):
            found = await ask(database, name, metrics=("clicks",), filters={name: [first]}, **period)
            assert found["totals"]["clicks"] == (5 if name is Dimension.DAY else 7)
            assert len(found["rows"]) == 1


async def test_weeks_begin_on_monday_in_the_programmes_zone(database: Database) -> None:
    """The last minutes of a Sunday in Berlin belong to the week that ends with them."""
    await load(
        database, 1, world_of([click("2026-03-29T23:59:59+02:00"), click("2026-03-30T00:00:00+02:00")]), BERLIN
    )
    rows = (await ask(database, "week", "month", metrics=("clicks",), fill=False))["rows"]
    assert rows == [
        {"week": "2026-03-23", "month": "2026-03", "clicks": 1},
        {"week": "2026-03-30", "month": "2026-03", "clicks": 1},
    ]


async def test_unique_visitors_are_humans_and_those_without_a_cookie_each_one(database: Database) -> None:
    clicks = [
        click("2026-03-20T10:00:00Z", 1, "v"), click("2026-03-20T11:00:00Z", 2, "v"),
        click("2026-03-20T12:00:00Z", 1), click("2026-03-20T13:00:00Z", 1),
        click("2026-03-20T14:00:00Z", 1, "bot", bot=True),
    ]  # fmt: skip
    await load(database, 1, world_of(clicks))
    answer = await ask(database, "link", metrics=("clicks", "bot_clicks", "unique_visitors"))
    assert answer["rows"] == [
        {"link": "1", "clicks": 3, "bot_clicks": 1, "unique_visitors": 3},
        {"link": "2", "clicks": 1, "bot_clicks": 0, "unique_visitors": 1},
    ]
    assert answer["totals"] == {"clicks": 4, "bot_clicks": 1, "unique_visitors": 3}


async def test_cancelled_orders_count_nowhere(database: Database) -> None:
    at = "2026-03-20T10:00:00Z"
    messages = [
        sale("A", at, 100), sale("B", at, 700, status=ConversionStatus.CANCELLED), sale("E", at, 50, type="lead"),
    ]  # fmt: skip
    await load(database, 1, world_of([], messages))
    answer = await ask(database, metrics=("conversions", "orders", "revenue"))
    assert answer["totals"] == {"conversions": 2, "orders": 1, "revenue": "1.00"}


async def test_conversions_without_credit_stand_in_the_row_of_nulls(database: Database) -> None:
    """So that the rows add up to the totals; `none` finds them."""
    clicks = [click("2026-03-20T10:00:00Z", 1, "v")]
    messages = [sale("A", "2026-03-20T11:00:00Z", 100, visitor_id="v"), sale("B", "2026-03-20T11:00:00Z", 11)]
    await load(database, 1, world_of(clicks, messages))
    rows = (await ask(database, "influencer", metrics=("orders", "revenue")))["rows"]
    assert rows == [
        {"influencer": "1", "orders": 1, "revenue": "1.00"}, {"influencer": None, "orders": 1, "revenue": "0.11"},
    ]  # fmt: skip
    nobodys = await ask(database, filters={Dimension.INFLUENCER: [None]}, metrics=("orders", "revenue"))
    assert nobodys["totals"] == {"orders": 1, "revenue": "0.11"}


async def test_rows_are_sorted_by_value_with_nulls_last_in_either_direction(database: Database) -> None:
    """Ids as numbers, not as text; what has no value stands at the end."""
    clicks = [click("2026-03-20T10:00:00Z", 1, f"v{n}") for n in range(10)] + [click("2026-03-20T10:00:00Z", 2, "v")]
    messages = [sale("A", "2026-03-20T11:00:00Z", 100, visitor_id="v"), sale("B", "2026-03-20T11:00:00Z", 100)]
    await load(database, 1, world_of(clicks, messages))

    async def influencers(sort: str, *, descending: bool) -> list[str | None]:
        answer = await ask(database, "influencer", sort=sort, descending=descending)
        return [row["influencer"] for row in answer["rows"]]

    assert await influencers("clicks", descending=False) == [None, "2", "1"]
    assert await influencers("clicks", descending=True) == ["1", "2", None]
    assert await influencers("conversion_rate", descending=False) == ["1", "2", None]
    assert await influencers("conversion_rate", descending=True) == ["2", "1", None]
    assert await influencers("influencer", descending=True) == ["2", "1", None]


async def test_a_code_that_reads_as_a_number_is_sorted_as_any_other(database: Database) -> None:
    """Nan's code NAN10, infinity and exponents are texts that influencers chose."""
    names = ["NAN10", "sNaN", "INF", "1E5", "20", "3", "ZOE"]
    messages = [sale(name, "2026-03-20T11:00:00Z", 100, discount_codes=(name,)) for name in names]
    await load(database, 1, world_of([], messages, [Code(name, 1, "always") for name in names]))
    codes = [row["code"] for row in (await ask(database, "code"))["rows"]]
    assert sorted(codes) == sorted(names)
    assert codes.index("3") < codes.index("20")


async def test_pages_are_parts_of_one_order(database: Database) -> None:
    clicks = [click(f"2026-03-{day}T10:00:00Z") for day in range(10, 20)]
    await load(database, 1, world_of(clicks))
    whole = (await ask(database, "day", metrics=("clicks",), fill=False))["rows"]
    paged: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page = await ask(database, "day", metrics=("clicks",), limit=4, offset=offset, fill=False)
        paged += page["rows"]
        offset = page["next_offset"]
        assert page["totals"] == {"clicks": 10}
    assert paged == whole
    assert len(whole) == 10


async def test_as_of_is_before_everything_that_is_not_counted_yet(database: Database) -> None:
    """Unknown while no consumer reported; then its report; then the oldest conversion that waits for its credit."""
    await load(database, 1, world_of([]))
    assert (await ask(database))["as_of"] == datetime(1970, 1, 1, tzinfo=UTC)
    await ClickTable(database).report_watermark(0, to_us(datetime(2026, 3, 20, tzinfo=UTC)))
    assert (await ask(database))["as_of"] == datetime(2026, 3, 20, tzinfo=UTC)
    far = to_us(datetime(2100, 1, 1, tzinfo=UTC))
    await ClickTable(database).report_watermark(0, far)
    await ConversionIntake(database, TOKENS).accept(ProgramId(1), [sale("A", "2026-03-20T10:00:00Z", 100)])
    waiting = await ask(database)
    again = await ask(database)
    assert waiting["totals"]["orders"] == 0
    assert waiting["as_of"] == again["as_of"]
    await until_idle(database)
    done = await ask(database)
    assert done["totals"]["orders"] == 1
    assert done["as_of"] > waiting["as_of"]


async def test_a_programme_sees_only_its_own(database: Database) -> None:
    at = "2026-03-20T10:00:00Z"
    await load(database, 1, world_of([click(at)], [sale("A", at, 100)]))
    await load(database, 2, world_of([click(at), click(at, 2)], [sale("A", at, 1), sale("B", at, 1)]))
    assert (await ask(database, metrics=("clicks", "orders")))["totals"] == {"clicks": 1, "orders": 1}
    assert (await ask(database, metrics=("clicks", "orders"), program=2))["totals"] == {"clicks": 2, "orders": 2}
