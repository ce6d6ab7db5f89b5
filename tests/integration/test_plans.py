"""The hot statements use their indexes, and look only into the partitions they need, once tables have some size."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest_asyncio
from tests.support.reference import World
from tests.support.worlds import found_program

from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.statements import statements
from attribution.adapters.stats_facts import wanted_rates_statement
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_sql import page_statement
from attribution.adapters.stored_conversions import arrays_of
from attribution.api.platform_columns import post_forms
from attribution.domain.click_id import make_click_id
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us
from attribution.domain.measures import Dimension, Sum
from attribution.settings import Settings

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

OCCURRED = datetime(2026, 3, 20, tzinfo=UTC)
FILL = """
INSERT INTO clicks (program_id, clicked_at, click_id, link_id, is_bot, agent_class, visitor_id)
SELECT 1, at, gen_random_uuid(), 1, false, 'browser', 'v' || n % 500
FROM generate_series(1, 6000) n, LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '20 minutes' AS at) t;
INSERT INTO links (program_id, slug, destination, forward_query, status)
SELECT 1, 'slug' || n, 'https://shop.example/', 'none', 'active' FROM generate_series(1, 6000) n;
INSERT INTO posts (program_id, post_id, influencer_id, channel, url, status) OVERRIDING SYSTEM VALUE
SELECT 1, 1000 + n, 1, 'instagram', 'https://www.instagram.com/p/' || n, 'active' FROM generate_series(1, 6000) n;
INSERT INTO conversions (
    program_id, source, type, external_id, updated_at, content_hash, status, occurred_at, currency, gross_minor,
    discount_minor, visitor_id, customer_id, click_state, discount_codes
)
SELECT 1, 'shop', 'purchase', n::text, now(), '', 'confirmed', timestamptz '2026-01-01Z' + n * interval '20 minutes',
       'EUR', 1, 0, 'v' || n % 500, 'c' || n % 500, NULL, '{}'
FROM generate_series(1, 6000) n;
INSERT INTO conversion_visitors (program_id, visitor_id, conversion_id)
SELECT 1, visitor_id, conversion_id FROM conversions;
INSERT INTO credit_queue (program_id, conversion_id) SELECT 1, conversion_id FROM conversions;
INSERT INTO credit_entries (
    program_id, conversion_id, recorded_at, via, occurred_at, type, weight, gross_minor, net_minor, discount_minor,
    counted, gross_value, net_value, discount_value, commission
)
SELECT 1, conversion_id, now(), 'none', occurred_at, type, 1, 1, 1, 0, 1, 1, 1, 0, 0 FROM conversions;
INSERT INTO attributions (program_id, conversion_id, status, model, attributed_at)
SELECT 1, conversion_id, 'unattributed', 'last_touch', now() FROM conversions;
INSERT INTO awaited_clicks (program_id, click_id, conversion_id)
SELECT 1, gen_random_uuid(), conversion_id FROM conversions;
"""


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator["Connection"]:
    database = Database(Settings(database_url=database_url))
    await ClickTable(database).ensure_partitions([(2026, month) for month in range(1, 7)])
    async with database.connection() as connection:
        await found_program(connection, 1, World({}))
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
        yield connection
    await database.close()


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


class Plan:
    """Only of what was really executed."""

    def __init__(self, explained: Any) -> None:
        self._nodes = [node for node in nodes(explained[0]["Plan"]) if node["Actual Loops"] > 0]

    @property
    def scanned_whole(self) -> set[str]:
        return {node["Relation Name"] for node in self._nodes if node["Node Type"] == "Seq Scan"}

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self._nodes if "Index Name" in node}

    @property
    def reached(self) -> set[str]:
        return {node["Relation Name"] for node in self._nodes if "Relation Name" in node}

    @property
    def sorts(self) -> bool:
        return any(node["Node Type"].endswith("Sort") for node in self._nodes)


async def explain(connection: "Connection", noun: str, name: str, *arguments: object) -> Plan:
    """Of the statement as it is when it really runs."""
    return await explain_sql(connection, statements(noun)[name], *arguments)


async def explain_sql(connection: "Connection", sql: str, *arguments: object) -> Plan:
    prefix = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) "
    return Plan(orjson.loads(await connection.fetchval(prefix + sql, *arguments)))


ORDERS = list(range(1_000, 1_020))
KEYS = arrays_of((1, order) for order in ORDERS)


async def test_touches_of_a_batch_are_found_by_the_visitors_of_its_orders(connection: "Connection") -> None:
    """Orders of January, all at once, look into January only."""
    plan = await explain(connection, "credits", "touches", *KEYS, timedelta(days=30), True)
    assert not plan.scanned_whole
    assert {name for name in plan.reached if name.startswith("clicks_")} == {"clicks_2026_01"}


async def test_the_reason_is_found_by_visitor_in_the_months_before(connection: "Connection") -> None:
    """The newest older click of a visitor is one step down the index, from the newest month back."""
    plan = await explain(connection, "credits", "older_clicks", *KEYS, [OCCURRED - timedelta(days=30)] * 20, False)
    assert not plan.scanned_whole
    assert not {"clicks_2026_03", "clicks_2026_04"} & plan.reached


async def test_a_conversion_is_read_with_the_visitor_of_its_click(connection: "Connection") -> None:
    plan = await explain(connection, "credits", "conversions", *KEYS)
    assert not {"conversions", "conversion_visitors", "awaited_clicks"} & plan.scanned_whole
    assert not {name for name in plan.scanned_whole if name.startswith("clicks_")}


async def test_a_named_click_is_found_by_its_key(connection: "Connection") -> None:
    click_id = UUID(bytes=make_click_id(to_us(OCCURRED), bytes(8)))
    await connection.execute("UPDATE conversions SET click_id = $1, click_link_id = 1", click_id)
    plan = await explain(connection, "credits", "named_clicks", *KEYS)
    assert not plan.scanned_whole
    assert len({name for name in plan.reached if name.startswith("clicks_")}) == 1


async def test_a_slug_is_found_by_its_index(connection: "Connection") -> None:
    plan = await explain(connection, "link_store", "find", ["slug17", "slug4000"])
    assert "links_slug_key" in plan.indexes
    assert "links" not in plan.scanned_whole


async def test_posts_are_found_by_the_page_of_their_address(connection: "Connection") -> None:
    forms = [form for number in range(200) for form in post_forms(f"https://instagram.com/reel/{number}?igsh=x")]
    plan = await explain(connection, "references", "posts", 1, forms, forms)
    assert "posts_page" in plan.indexes


async def test_the_queue_is_read_in_its_order(connection: "Connection") -> None:
    """From its beginning and only as far as the batch, without sorting what waits."""
    plan = await explain(connection, "credits", "queued", 100)
    assert plan.indexes == {"credit_queue_order", "conversions_pkey"}
    assert not plan.sorts


async def test_later_orders_of_a_customer_are_found_by_their_index(connection: "Connection") -> None:
    plan = await explain(connection, "credits", "of_customers", [1], ["c7"], [OCCURRED])
    assert plan.indexes == {"conversions_customer"}


async def test_a_landed_click_finds_its_conversions_by_index(connection: "Connection") -> None:
    """Both those that wait for it and those that name its visitor."""
    click_id = await connection.fetchval("SELECT click_id FROM clicks LIMIT 1")
    plan = await explain(connection, "clicks", "reopen", [1], [click_id], [OCCURRED], ["v7"])
    assert not plan.scanned_whole
    assert {"awaited_clicks_pkey", "conversion_visitors_pkey"} <= plan.indexes


async def test_whether_clicks_can_change_any_conversion_is_found_by_index(connection: "Connection") -> None:
    """The newest conversion of each programme, and who waits for an id within those of the batch."""
    first, last = UUID(int=0), UUID(int=2**120)
    plan = await explain(connection, "clicks", "reach", [1, 2], first, last, OCCURRED)
    assert not plan.scanned_whole
    assert plan.indexes == {"conversions_occurred", "awaited_clicks_pkey"}


async def test_the_state_of_an_order_is_found_by_its_key(connection: "Connection") -> None:
    plan = await explain(connection, "intake", "current", 1, ["shop"], ["purchase"], ["17"])
    assert not plan.scanned_whole


async def test_credits_so_far_are_found_by_conversion(connection: "Connection") -> None:
    plan = await explain(connection, "credits", "credits_recorded", *KEYS, None)
    assert plan.indexes == {"credit_entries_pkey"}


async def test_a_batch_of_a_recomputation_is_read_in_its_order(connection: "Connection") -> None:
    """From where the one before ended, without sorting, also where all conversions have one moment."""
    until = OCCURRED + timedelta(days=30)
    plan = await explain(connection, "recomputations", "batch", 1, OCCURRED, until, 17, 100)
    assert plan.indexes == {"conversions_occurred", "conversions_customer"}
    assert not plan.sorts


async def test_an_audit_of_a_day_looks_into_its_conversions_and_their_entries(connection: "Connection") -> None:
    plan = await explain(connection, "audit", "credits", 1, OCCURRED, OCCURRED + timedelta(days=1), 0, 100)
    assert {"conversions_occurred", "credit_entries_pkey"} <= plan.indexes
    assert not {"conversions", "credit_entries"} & plan.scanned_whole


async def test_stats_of_a_day_look_into_its_month(connection: "Connection") -> None:
    """And into the credits of the day by their moment; into neither where they are rolled up."""
    question = Question(
        ProgramId(1), "EUR", Decimal(1), ZoneInfo("UTC"), OCCURRED, OCCURRED + timedelta(days=1),
        [Dimension.INFLUENCER], {}, set(Sum),
    )  # fmt: skip
    for rolled_up in (False, True):
        statement = page_statement(question, rolled_up=rolled_up, rates={})
        plan = await explain_sql(connection, statement.sql, *statement.values)
        assert not {"conversions", "credit_entries"} & plan.scanned_whole
        months = {name for name in plan.reached | plan.scanned_whole if name.startswith("clicks_2")}
        assert months == (set() if rolled_up else {"clicks_2026_03"})
        assert rolled_up or "credit_entries_occurred" in plan.indexes
        assert not (rolled_up and "credit_entries" in plan.reached)


async def test_rates_that_are_missing_are_found_by_their_index(connection: "Connection") -> None:
    """By every question for money, whatever its filters; nearly always there are none, and nothing else is read."""
    year = timedelta(days=365)
    question = Question(
        ProgramId(1), "EUR", Decimal(1), ZoneInfo("UTC"), OCCURRED - year, OCCURRED + year, [Dimension.DAY], {},
        {Sum.NET},
    )  # fmt: skip
    filters: list[dict[Dimension, list[Any]]] = [
        {},
        {Dimension.INFLUENCER: [1], Dimension.CODE: [None]},
        {Dimension.CONTENT_TYPE: ["reel"], Dimension.SUB1: [None, "x"]},
    ]
    for missing in (0, 5):
        await connection.execute(
            "UPDATE attributions SET missing_rate_day = '2026-03-20', missing_rate_base = 'GBP'"
            " WHERE conversion_id <= $1", missing,
        )  # fmt: skip
        for filtered in filters:
            statement = wanted_rates_statement(replace(question, filters=filtered))
            plan = await explain_sql(connection, statement.sql, *statement.values)
            assert "attributions_missing_rate" in plan.indexes
            assert not plan.scanned_whole - {"posts"}
            assert missing or plan.reached == {"attributions"}
