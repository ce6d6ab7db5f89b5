"""From the stream to the table, once each: real Valkey and Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.properties.test_click_records import version_1
from tests.support.pipeline import (
    Pipeline,
    append,
    ids,
    in_background,
    make_click,
    make_clicks,
    pipeline_over,
)
from tests.support.waiting import eventually

from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_stream import GROUP, Entry, stream_key
from attribution.adapters.click_table import DeadLetter
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import Click, Device, pack_click
from attribution.domain.instants import from_us
from attribution.entrypoints.dead_letters import drop, list_dead_letters, replay
from attribution.errors import AttributionError
from attribution.ingest.consumer import DeadLetterLimit, PoisonedStreamError
from attribution.ingest.watermark import Watermark
from attribution.journal import Batch, Journal, Position, frame


@pytest_asyncio.fixture
async def pipeline(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline_over(database_url, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def journal(pipeline: Pipeline) -> Journal:
    return pipeline.journal(pipeline.directory())


async def ship(pipeline: Pipeline, journal: Journal, clicks: list[Click]) -> None:
    append(journal, clicks)
    await pipeline.shipper(journal).drain()


async def ship_bytes(pipeline: Pipeline, journal: Journal, frames: bytes) -> None:
    """As a shipper would, whatever the bytes are."""
    batch = Batch(Position(1, 0), frames, 1)
    fields: Any = {"journal": journal.directory.journal_id.bytes, "segment": 1, "offset": 0, "frames": batch.frames}
    await pipeline.redis.xadd(stream_key(0), fields)


async def all_done(pipeline: Pipeline) -> bool:
    return await pipeline.redis.xlen(stream_key(0)) == 0 and await pipeline.pending() == 0


async def test_what_was_shipped_before_the_first_consumer_lived_is_stored(
    pipeline: Pipeline, journal: Journal
) -> None:
    clicks = make_clicks(30)
    await ship(pipeline, journal, clicks)
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks)


async def test_entries_are_deleted_and_acknowledged_only_after_the_commit(
    pipeline: Pipeline, journal: Journal
) -> None:
    clicks = make_clicks(3)
    await ship(pipeline, journal, clicks)
    async with pipeline.database.transaction() as blocking:
        await blocking.execute("LOCK TABLE journal_progress")
        async with in_background(pipeline.consumer().run(asyncio.Event())):
            await eventually(pipeline.pending)
            assert len(await pipeline.entries()) == 1
            assert await pipeline.stored() == []
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks)


async def test_a_click_is_a_row_with_all_that_its_record_said(pipeline: Pipeline, journal: Journal) -> None:
    click = make_click(
        visitor_id="v1", ip="203.0.113.0", referrer_host="t.co", subs=("a", None, "c", None, "é"),
        device=Device.DESKTOP, country="CH",
    )  # fmt: skip
    await ship(pipeline, journal, [click])
    async with pipeline.consuming():
        await eventually(pipeline.stored)
    async with pipeline.database.connection() as connection:
        row = dict(await connection.fetchrow("SELECT * FROM clicks") or {})
    assert row == {
        "program_id": 1,
        "clicked_at": from_us(click.clicked_at_us),
        "click_id": row["click_id"],
        "link_id": 2,
        "influencer_id": 3,
        "campaign_id": None,
        "post_id": None,
        "channel": "tiktok",
        "is_bot": False,
        "agent_class": "browser",
        "visitor_id": "v1",
        "ip": "203.0.113.0",
        "referrer_host": "t.co",
        "sub1": "a",
        "sub2": None,
        "sub3": "c",
        "sub4": None,
        "sub5": "é",
        "country": "CH",
        "device": "desktop",
    }


async def test_repeats_change_nothing_whether_in_one_batch_or_later(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(10)
    await ship(pipeline, journal, clicks + clicks[:5])
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
        more = make_clicks(2)
        await ship(pipeline, journal, [*clicks, *more])
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks + more)


async def test_what_a_dead_consumer_left_is_taken_over(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(40)
    await ship(pipeline, journal, clicks)
    dead = pipeline.reader("dead")
    await dead.ensure_group()
    assert len(await dead.read(3)) == 3
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks)


async def test_a_consumer_that_stops_leaves_its_name_unless_entries_hang_on_it(
    pipeline: Pipeline, journal: Journal
) -> None:
    await ship(pipeline, journal, make_clicks(20))
    idle, burdened = pipeline.reader("idle"), pipeline.reader("burdened")
    await idle.ensure_group()
    await burdened.read(1)
    await idle.done(await idle.read(1))
    await idle.leave()
    await burdened.leave()
    consumers: Any = await pipeline.redis.xinfo_consumers(stream_key(0), GROUP)
    assert [consumer["name"] for consumer in consumers] == [b"burdened"]


async def _entries_of(pipeline: Pipeline, consumer: str) -> list[tuple[bytes, int]]:
    pending: Any = await pipeline.redis.xpending_range(stream_key(0), GROUP, "-", "+", 100, consumername=consumer)
    return [(entry["message_id"], entry["times_delivered"]) for entry in pending]


async def test_two_consumers_share_the_stream_and_store_each_click_once(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(500)
    async with pipeline.consuming(pipeline.reader("one")), pipeline.consuming(pipeline.reader("two")):
        await ship(pipeline, journal, clicks)
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks)


async def test_bad_entries_and_records_are_set_aside_with_their_reasons_and_the_rest_lands(
    pipeline: Pipeline, journal: Journal
) -> None:
    good = make_clicks(3)
    record = frame(pack_click(good[0]))
    torn = record[:-20]
    entries: list[Any] = [
        {"what": "a stranger's"},
        {"journal": b"short", "segment": 1, "offset": 0, "frames": b""},
        {"journal": b"x" * 16, "segment": "x", "offset": 0, "frames": b""},
    ]
    for entry in entries:
        await pipeline.redis.xadd(stream_key(0), entry)
    await ship_bytes(
        pipeline,
        journal,
        frame(b"\x09 a record of another version") + record + torn + frame(pack_click(good[1])),
    )
    await ship_bytes(pipeline, journal, frame(pack_click(good[2])))
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(good)
    found = await pipeline.dead_letters()
    assert [reason for reason, _ in found] == [*["foreign_entry"] * 3, "malformed_click", "corrupt_frame"]
    assert found[-1][1] == torn


@pytest.mark.parametrize("moment_us", [0, 4102444800000000, 253402300799999999])
async def test_a_click_of_an_impossible_time_is_set_aside(
    moment_us: int, pipeline: Pipeline, journal: Journal
) -> None:
    good = make_clicks(2)
    await ship(pipeline, journal, [good[0], make_click(click_id=make_click_id(moment_us, b"x" * 8)), good[1]])
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(good)
    assert [reason for reason, _ in await pipeline.dead_letters()] == ["malformed_click"]


async def test_clicks_of_any_month_land_also_at_the_edge_of_a_partition(pipeline: Pipeline, journal: Journal) -> None:
    edge = 1_800_000_000_000_000 // 10**6 // 86400 * 86400 * 10**6
    moments = [946_684_800_000_000, edge - 1, edge, 1_801_439_999_999_999, 1_801_440_000_000_000]
    clicks = [make_click(click_id=make_click_id(moment, b"x" * 8)) for moment in moments]
    await ship(pipeline, journal, clicks)
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids(clicks)
    assert await pipeline.dead_letters() == []


async def test_rows_that_the_database_refuses_are_sifted_out(pipeline: Pipeline, journal: Journal) -> None:
    async with pipeline.database.connection() as connection:
        await connection.execute("ALTER TABLE clicks ADD CONSTRAINT test CHECK (sub1 <> 'refused')")
    clicks = make_clicks(20)
    refused = [replace(click, subs=("refused", *click.subs[1:])) for click in (clicks[3], clicks[17])]
    clicks[3], clicks[17] = refused
    await ship(pipeline, journal, clicks)
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.stored() == ids([click for click in clicks if click not in refused])
    assert await pipeline.dead_letters() == [("rejected_by_database", pack_click(click)) for click in refused]
    assert await pipeline.committed(journal.directory.journal_id) == {1: journal.end.offset}


async def test_a_consumer_stops_above_the_share_of_bad_records_and_keeps_them(
    pipeline: Pipeline, journal: Journal
) -> None:
    bad = frame(b"\x09 of a newer version")
    await ship_bytes(pipeline, journal, frame(pack_click(make_click())) * 3 + bad * 7)
    consumer = pipeline.consumer(limit=DeadLetterLimit(share=0.5, at_least=10))
    with pytest.raises(PoisonedStreamError):
        await consumer.run(asyncio.Event())
    assert len(await pipeline.entries()) == 1
    assert await pipeline.dead_letters() == []
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert len(await pipeline.dead_letters()) == 7


async def test_clicks_of_the_last_release_are_taken_in(pipeline: Pipeline, journal: Journal) -> None:
    """From journals, the stream and the dead letters, beside a bad record and today's, with their deltas."""
    old, dead, now = make_click(), make_click(), make_click(device=Device.MOBILE, country="DE")
    letter = DeadLetter("malformed_click", "record version 1", version_1(pack_click(dead)), None, None)
    await pipeline.table.store(ClickBatch(), [letter], [])
    await ship_bytes(pipeline, journal, frame(version_1(pack_click(old))) + frame(b"\x09 bad"))
    await ship(pipeline, journal, [now])
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    await replay(pipeline.settings, None)
    assert await pipeline.stored() == ids([old, dead, now])
    assert [data for _, data in await pipeline.dead_letters()] == [b"\x09 bad"]
    async with pipeline.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT device, country, sum(clicks) FROM click_deltas GROUP BY 1, 2 ORDER BY 1"
        )
    assert [tuple(row) for row in rows] == [("mobile", "DE", 1), (None, None, 2)]


async def test_a_flushed_stream_gets_its_group_again(pipeline: Pipeline, journal: Journal) -> None:
    async with pipeline.consuming():
        await ship(pipeline, journal, make_clicks(1))
        await eventually(pipeline.stored)
        await pipeline.redis.flushall()
        clicks = make_clicks(2)
        await ship(pipeline, journal, clicks)
        await eventually(lambda: _has(pipeline, clicks))


async def _has(pipeline: Pipeline, clicks: list[Click]) -> bool:
    return set(ids(clicks)) <= set(await pipeline.stored())


async def test_bytes_are_committed_without_a_gap_only(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(30)
    await ship(pipeline, journal, clicks)
    reader = pipeline.reader("slow", claim_idle_ms=3_600_000)
    await reader.ensure_group()
    first = await reader.read(1)
    async with pipeline.consuming(pipeline.reader("fast", claim_idle_ms=3_600_000)):
        await eventually(lambda: _has(pipeline, clicks[10:]))
        assert await pipeline.committed(journal.directory.journal_id) == {}
    assert len(first[0].frames) > 0
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    assert await pipeline.committed(journal.directory.journal_id) == {1: journal.end.offset}


async def test_of_two_lanes_neither_takes_what_the_other_is_at_however_long_it_takes(
    pipeline: Pipeline, journal: Journal
) -> None:
    await ship(pipeline, journal, make_clicks(1))
    lanes, other = pipeline.reader("lanes", claim_idle_ms=1), pipeline.reader("other", claim_idle_ms=1)
    await lanes.ensure_group()
    in_hand = await lanes.read(10)
    assert [await lanes.read(10) for _ in range(2)] == [[], []]
    taken: list[Entry] = []

    async def takes_over() -> bool:
        taken.extend(await other.read(10))
        return bool(taken)

    await eventually(takes_over)
    assert taken == in_hand
    await other.done(taken)


async def test_the_watermark_passes_a_moment_when_all_before_it_is_stored(
    pipeline: Pipeline, journal: Journal
) -> None:
    await ship(pipeline, journal, [])
    writer_id = journal.directory.journal_id
    clicks = make_clicks(3)
    append(journal, clicks)
    watermark = Watermark(0, pipeline.reader("watermark"), pipeline.table)
    async with in_background(pipeline.shipper(journal).run()):
        await eventually(lambda: pipeline.redis.xlen(stream_key(0)))
        report = await pipeline.redis.hget("attribution:shipped", writer_id.hex)

        async def newer() -> bool:
            return await pipeline.redis.hget("attribution:shipped", writer_id.hex) != report

        await eventually(newer)
    for _ in range(5):
        await watermark.step()
    assert await _complete_before(pipeline) is None
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))
    await watermark.step()
    assert await _complete_before(pipeline) is not None


async def _complete_before(pipeline: Pipeline) -> object:
    async with pipeline.database.connection() as connection:
        return await connection.fetchval("SELECT complete_before FROM click_watermarks")


async def test_operators_list_replay_and_drop_dead_letters(
    pipeline: Pipeline, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    click, refused = make_click(), make_click(subs=("refused", None, None, None, None))
    async with pipeline.database.connection() as connection:
        await connection.execute("ALTER TABLE clicks ADD CONSTRAINT test CHECK (sub1 <> 'refused')")
    await ship(pipeline, journal, [click, refused])
    await ship_bytes(pipeline, journal, b"garbage")
    async with pipeline.consuming():
        await eventually(lambda: all_done(pipeline))

    await list_dead_letters(pipeline.settings, 10)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines.sort(key=lambda line: line["reason"], reverse=True)
    assert [line["reason"] for line in lines] == ["rejected_by_database", "corrupt_frame"]
    assert lines[1] == lines[1] | {"bytes": 7, "data": b"garbage".hex()}
    await list_dead_letters(pipeline.settings, 1)
    assert len(capsys.readouterr().out.splitlines()) == 1

    assert await _said(capsys, replay(pipeline.settings, None)) == {"replayed": 0}
    async with pipeline.database.connection() as connection:
        await connection.execute("ALTER TABLE clicks DROP CONSTRAINT test")
    assert await _said(capsys, replay(pipeline.settings, [lines[0]["id"]])) == {"replayed": 1}
    assert await pipeline.stored() == ids([click, refused])
    assert await _said(capsys, replay(pipeline.settings, None)) == {"replayed": 0}
    with pytest.raises(AttributionError):
        await drop(pipeline.settings, ["x"])
    assert await _said(capsys, drop(pipeline.settings, [lines[0]["id"]])) == {"dropped": 0}
    assert await _said(capsys, drop(pipeline.settings, None)) == {"dropped": 1}
    assert await pipeline.dead_letters() == []


async def _said(capsys: pytest.CaptureFixture[str], command: Any) -> object:
    await command
    with suppress(json.JSONDecodeError):
        return json.loads(capsys.readouterr().out)
    return None


async def test_a_consumer_ends_whenever_it_is_cancelled(pipeline: Pipeline, journal: Journal) -> None:
    """Also where the driver answers with an error of its own, or goes on."""
    await ship(pipeline, journal, make_clicks(100))
    for turns in range(150):
        consumer = asyncio.create_task(pipeline.consumer().run(asyncio.Event()))
        for _ in range(turns):
            await asyncio.sleep(0)
        consumer.cancel()
        done, _ = await asyncio.wait({consumer}, timeout=5)
        assert done, f"after {turns} turns of the loop: {consumer.get_stack()}"
