"""Clicks in Postgres: once each, in partitions by month."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.support.batches import batch_of

from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_table import ClickTable, Committed, DeadLetter, Stored, months_ahead
from attribution.adapters.journal_progress import JournalProgress
from attribution.adapters.postgres import Database
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import AgentClass, Channel, Click, Device
from attribution.domain.ids import CampaignId, InfluencerId, LinkId, PostId, ProgramId
from attribution.domain.instants import from_us, to_us
from attribution.errors import RejectedRowsError

NOON_US = to_us(datetime(2026, 11, 20, 12, tzinfo=UTC))
JOURNAL, OTHER_JOURNAL = UUID(int=1), UUID(int=2)


@pytest.fixture
def table(database: Database) -> ClickTable:
    return ClickTable(database)


def click(number: int, at_us: int = NOON_US, **fields: Any) -> Click:
    defaults: dict[str, Any] = {
        "program_id": ProgramId(1), "link_id": LinkId(5), "influencer_id": None, "campaign_id": None,
        "post_id": None, "channel": None, "agent_class": AgentClass.BROWSER, "visitor_id": "v",
    }  # fmt: skip
    return Click(make_click_id(at_us, number.to_bytes(8, "big")), **(defaults | fields))


async def fetch(database: Database, query: str) -> list[Any]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def count(database: Database) -> int:
    [(rows,)] = await fetch(database, "SELECT count(*) FROM clicks")
    return int(rows)


async def test_a_click_is_stored_with_all_it_says(database: Database, table: ClickTable) -> None:
    full = click(
        1, influencer_id=InfluencerId(2), campaign_id=CampaignId(3), post_id=PostId(4), channel=Channel.X,
        agent_class=AgentClass.SOCIAL_PREVIEW, device=Device.TABLET, country="AT", ip="203.0.113.0",
        referrer_host="t.co", subs=("a", None, "é", None, "e"),
    )  # fmt: skip
    await table.store(batch_of([full]), [], [])
    assert await fetch(database, "SELECT * FROM clicks") == [
        (
            1, from_us(NOON_US), UUID(bytes=full.click_id), 5, 2, 3, 4, "x", True, "social-preview", "v",
            "203.0.113.0", "t.co", "a", None, "é", None, "e", "AT", "tablet",
        )
    ]  # fmt: skip


async def test_a_repeat_changes_nothing(database: Database, table: ClickTable) -> None:
    """Whole batches, parts of batches and twins within one are stored once; the answer says how many were new."""
    assert await table.store(batch_of([click(1), click(2)]), [], []) == Stored(new=2, duplicate=0)
    assert await table.store(batch_of([click(1), click(2)]), [], []) == Stored(new=0, duplicate=2)
    assert await table.store(batch_of([click(2), click(3), click(3)]), [], []) == Stored(new=1, duplicate=2)
    assert await table.store(ClickBatch(), [], []) == Stored(new=0, duplicate=0)
    assert await count(database) == 3


async def test_programmes_do_not_share_clicks(database: Database, table: ClickTable) -> None:
    stored = await table.store(batch_of([click(1), click(1, program_id=ProgramId(2))]), [], [])
    assert stored == Stored(new=2, duplicate=0)
    assert await count(database) == 2


async def test_the_edge_of_a_month_is_exact(database: Database, table: ClickTable) -> None:
    """The last microsecond of November and the first of December lie in partitions of their own."""
    december_us = to_us(datetime(2026, 12, 1, tzinfo=UTC))
    await table.store(batch_of([click(1, december_us - 1), click(2, december_us)]), [], [])
    rows = await fetch(database, "SELECT tableoid::regclass::text, clicked_at FROM clicks ORDER BY clicked_at")
    assert rows == [("clicks_2026_11", from_us(december_us - 1)), ("clicks_2026_12", from_us(december_us))]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2001, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        datetime(2031, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
async def test_a_click_far_from_today_finds_its_partition(
    database: Database, table: ClickTable, moment: datetime
) -> None:
    await table.store(batch_of([click(1, to_us(moment)), click(2)]), [], [])
    rows = await fetch(database, "SELECT tableoid::regclass::text FROM clicks ORDER BY click_id")
    assert (f"clicks_{moment:%Y_%m}",) in rows
    assert len(rows) == 2


async def test_partitions_are_made_ahead_over_the_turn_of_a_year(database: Database, table: ClickTable) -> None:
    ahead = months_ahead(datetime(2026, 11, 20, tzinfo=UTC), 2)
    assert ahead == [(2026, 11), (2026, 12), (2027, 1)]
    await table.ensure_partitions(ahead)
    rows = await fetch(
        database, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'clicks'::regclass"
    )
    assert {"clicks_2026_11", "clicks_2026_12", "clicks_2027_01"} <= {name for (name,) in rows}


async def test_two_writers_make_one_partition(database: Database) -> None:
    """Each with a memory of its own, at the same moment, for months that nobody has yet."""
    months = [to_us(datetime(2040, month, 15, tzinfo=UTC)) for month in range(1, 7)]
    async with asyncio.TaskGroup() as writers:
        for writer in range(4):
            batch = [click(writer, at_us) for at_us in months]
            writers.create_task(ClickTable(database).store(batch_of(batch), [], []))
    assert await count(database) == 24


async def test_writers_of_the_same_clicks_store_them_once(database: Database) -> None:
    """Whatever order their batches are in, none waits for the other in a circle."""
    clicks = [click(number) for number in range(5_000)]
    await ClickTable(database).store(batch_of(clicks[:1]), [], [])
    async with asyncio.TaskGroup() as writers:
        stores = [
            writers.create_task(ClickTable(database).store(batch_of(batch), [], []))
            for batch in (clicks, clicks[::-1], clicks[100:] + clicks[:100], clicks[::-1])
        ]
    assert sum(store.result().new for store in stores) == 4_999
    assert await count(database) == 5_000


async def test_a_refused_row_takes_the_whole_batch_with_it(database: Database, table: ClickTable) -> None:
    """Nothing of it is stored, neither clicks nor progress; the caller sifts."""
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE clicks ADD CONSTRAINT test CHECK (referrer_host <> 'refused')")
    with pytest.raises(RejectedRowsError):
        await table.store(
            batch_of([click(1), click(2, referrer_host="refused")]), [letter(1)], [Committed(JOURNAL, 0, 0, 10)]
        )
    assert await count(database) == 0
    assert await table.dead_letters(10) == []
    assert await JournalProgress(database).committed(JOURNAL) == {}


def letter(number: int) -> DeadLetter:
    return DeadLetter("malformed_click", f"number {number}", bytes([number, 0, 255]), JOURNAL, 3)


async def test_dead_letters_are_kept_until_they_are_dropped(table: ClickTable) -> None:
    """With their bytes and reason, the oldest first."""
    await table.store(batch_of([click(1)]), [letter(1), letter(2)], [])
    await table.store(ClickBatch(), [letter(3)], [])
    kept = await table.dead_letters(2)
    assert [(one.reason, one.detail, one.data) for one in kept] == [
        ("malformed_click", "number 1", b"\x01\x00\xff"), ("malformed_click", "number 2", b"\x02\x00\xff"),
    ]  # fmt: skip
    ids = [one.dead_letter_id for one in kept]
    assert await table.dead_letters_by_id(ids[::-1]) == kept
    await table.drop_dead_letters(ids)
    assert [one.detail for one in await table.dead_letters(10)] == ["number 3"]


async def test_dead_letters_of_a_repeated_batch_are_kept_beside_its_clicks(table: ClickTable) -> None:
    """The merge of what was stored before loses nothing that comes with it."""
    await table.store(batch_of([click(1)]), [], [])
    await table.store(batch_of([click(1)]), [letter(1)], [Committed(JOURNAL, 0, 0, 10)])
    assert len(await table.dead_letters(10)) == 1


async def test_progress_is_what_is_committed_without_a_gap(database: Database, table: ClickTable) -> None:
    """In any order of arrival and repetition, per segment, from the first byte on."""
    progress = JournalProgress(database)

    async def commit(*ranges: tuple[UUID, int, int, int]) -> None:
        await table.store(ClickBatch(), [], [Committed(*one) for one in ranges])

    await commit((JOURNAL, 0, 10, 20))
    assert await progress.committed(JOURNAL) == {}
    await commit((JOURNAL, 0, 30, 40), (JOURNAL, 1, 0, 5), (OTHER_JOURNAL, 0, 0, 99))
    await commit((JOURNAL, 0, 0, 10))
    assert await progress.committed(JOURNAL) == {0: 20, 1: 5}
    await commit((JOURNAL, 0, 15, 30), (JOURNAL, 0, 0, 10))
    assert await progress.committed(JOURNAL) == {0: 40, 1: 5}
    await progress.forget(JOURNAL, [0])
    assert await progress.committed(JOURNAL) == {1: 5}
    assert await progress.committed(OTHER_JOURNAL) == {0: 99}


async def test_consumers_report_progress_of_the_same_journals_at_once(database: Database) -> None:
    """Rows are locked in one order, whatever order the batches name them in."""
    parts = [Committed(journal, segment, 0, 1) for journal in (JOURNAL, OTHER_JOURNAL) for segment in range(20)]
    async with asyncio.TaskGroup() as consumers:
        for turn in range(8):
            batch = [Committed(c.journal_id, c.segment, turn, turn + 1) for c in parts[:: (-1) ** turn]]
            consumers.create_task(ClickTable(database).store(ClickBatch(), [], batch))
    assert await JournalProgress(database).committed(JOURNAL) == dict.fromkeys(range(20), 8)


async def test_a_watermark_never_goes_back(database: Database, table: ClickTable) -> None:
    for us in (5, 9, 7):
        await table.report_watermark(0, us)
    assert await fetch(database, "SELECT complete_before FROM click_watermarks") == [(from_us(9),)]
