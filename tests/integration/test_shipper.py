"""From the journal to the stream, and what may be deleted: real Valkey and Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.pipeline import (
    SHIP_POLICY,
    Pipeline,
    append,
    ids,
    in_background,
    make_clicks,
    pipeline_over,
)
from tests.support.waiting import eventually

from attribution import metrics
from attribution.adapters.click_stream import StreamWriter, stream_key
from attribution.adapters.journal_progress import JournalProgress
from attribution.adoption import Adopter
from attribution.domain.clicks import Click, unpack_click
from attribution.embedded.valkey import EmbeddedValkey
from attribution.errors import UnavailableError
from attribution.journal import Corrupt, Journal, JournalDirectory, Position, split_frames
from attribution.redirect.shipper import Mark, Shipper

AWAY = "unix:///nowhere/valkey.sock"


@pytest_asyncio.fixture
async def pipeline(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with pipeline_over(database_url, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def journal(pipeline: Pipeline) -> Journal:
    return pipeline.journal(pipeline.directory())


async def shipped(pipeline: Pipeline) -> list[bytes]:
    """Click ids in the order of the stream."""
    return [
        unpack_click(record).click_id
        for entry in await pipeline.entries()
        for record in split_frames(entry[b"frames"])
        if not isinstance(record, Corrupt)
    ]


async def reports(pipeline: Pipeline) -> list[bytes]:
    keys: Any = await pipeline.redis.hkeys("attribution:shipped")
    return list(keys)


@asynccontextmanager
async def shipping(shipper: Shipper) -> AsyncIterator[None]:
    async with in_background(shipper.run()) as task:
        yield
        assert not task.done(), task


async def test_clicks_leave_in_their_order_in_batches_that_say_where_they_stood(
    pipeline: Pipeline, journal: Journal
) -> None:
    clicks = make_clicks(25)
    append(journal, clicks)
    await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks)
    entries = await pipeline.entries()
    assert [len(list(split_frames(entry[b"frames"]))) for entry in entries] == [10, 10, 5]
    assert {entry[b"journal"] for entry in entries} == {journal.directory.journal_id.bytes}
    stops = [int(entry[b"offset"]) + len(entry[b"frames"]) for entry in entries]
    assert [int(entry[b"offset"]) for entry in entries] == [0, *stops[:2]]
    assert stops[-1] == journal.end.offset


async def test_a_few_clicks_leave_within_the_interval(pipeline: Pipeline, journal: Journal) -> None:
    async with shipping(pipeline.shipper(journal)):
        append(journal, make_clicks(1))
        await eventually(lambda: shipped(pipeline))


async def test_a_new_owner_goes_on_behind_the_mark(pipeline: Pipeline) -> None:
    directory = pipeline.directory()
    clicks = make_clicks(4)
    for pair in (clicks[:2], clicks[2:]):
        journal = pipeline.journal(directory)
        append(journal, pair)
        await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks)


async def test_a_restart_without_clicks_hides_no_later_click(pipeline: Pipeline) -> None:
    """Numbers of segments are not used again, so a mark never means other bytes than those it was set after."""
    directory = pipeline.directory()
    clicks = make_clicks(3)
    async with pipeline.consuming():
        for click in clicks:
            journal = pipeline.journal(directory)
            append(journal, [click])
            await pipeline.shipper(journal).drain()
            await eventually(lambda: _stored_is(pipeline, clicks[: clicks.index(click) + 1]))  # noqa: B023
            idle = pipeline.journal(directory)
            async with shipping(pipeline.shipper(idle)):
                await eventually(lambda: len(directory.segments()) == 1)


async def _stored_is(pipeline: Pipeline, clicks: list[Click]) -> bool:
    return await pipeline.stored() == ids(clicks)


@pytest.mark.parametrize("damaged", [b"", b"1 2", b"\xff" * 121, b"x" * 200])
async def test_a_damaged_mark_costs_only_repeats(damaged: bytes, pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(2)
    append(journal, clicks)
    await pipeline.shipper(journal).drain()
    (journal.directory.path / "shipped").write_bytes(damaged)
    await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks) * 2


async def test_a_disk_too_full_for_the_mark_stops_no_shipment(
    pipeline: Pipeline, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "shipped":
            raise OSError("no space left")
        return opened(path, *arguments, **options)

    clicks = make_clicks(2)
    append(journal, clicks)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks)


def test_a_mark_says_what_was_written_last(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "shipped", uuid4())
    assert mark.read() is None
    mark.write(Position(10, 123456), "a" * 73)
    mark.write(Position(11, 5), "b")
    assert mark.read() == (Position(11, 5), "b")
    assert Mark(tmp_path / "shipped", uuid4()).read() is None


async def test_what_was_shipped_before_a_crash_and_not_marked_is_shipped_again(
    pipeline: Pipeline, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks = make_clicks(2)
    append(journal, clicks)
    with monkeypatch.context() as crashed:
        crashed.setattr(Mark, "write", lambda *_: None)
        await pipeline.shipper(journal).drain()
    await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks) * 2


async def test_while_the_stream_is_away_clicks_wait_in_the_journal(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    clicks = make_clicks(3)
    async with pipeline_over(database_url, AWAY, tmp_path) as cut_off:
        journal = cut_off.journal(cut_off.directory())
        append(journal, clicks)
        errors = metrics.SHIP_ERRORS._value.get()
        async with shipping(cut_off.shipper(journal)):
            await eventually(lambda: metrics.SHIP_ERRORS._value.get() > errors)
        with pytest.raises(UnavailableError):
            await cut_off.shipper(journal).drain()
    async with pipeline_over(database_url, redis_url, tmp_path) as pipeline:
        await pipeline.shipper_of(journal.directory, lambda: journal.end).drain()
        assert await shipped(pipeline) == ids(clicks)


async def test_a_stream_server_that_restarts_empty_gets_again_what_is_not_committed(
    database_url: str, tmp_path: Path
) -> None:
    first, second = make_clicks(5), make_clicks(5)
    server = EmbeddedValkey(tmp_path / "valkey")
    async with server, pipeline_over(database_url, server.url, tmp_path) as pipeline:
        journal = pipeline.journal(pipeline.directory())
        async with shipping(pipeline.shipper(journal)):
            append(journal, first)
            async with pipeline.consuming():
                await eventually(lambda: _stored_is(pipeline, first))
                await eventually(lambda: _shipped_is(pipeline, []))
            append(journal, second)
            await eventually(lambda: _shipped_is(pipeline, second))
            await server.kill()
            _forget(tmp_path / "valkey")
            await server.start()
            await eventually(lambda: _shipped_is(pipeline, second))
        async with pipeline.consuming():
            await eventually(lambda: _stored_is(pipeline, first + second))


async def _shipped_is(pipeline: Pipeline, clicks: list[Click]) -> bool:
    return await shipped(pipeline) == ids(clicks)


def _forget(directory: Path) -> None:
    for file in directory.glob("appendonlydir/*"):
        file.unlink()


async def test_a_flushed_stream_server_gets_again_what_is_not_committed(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(3)
    async with shipping(pipeline.shipper(journal)):
        append(journal, clicks)
        await eventually(lambda: _shipped_is(pipeline, clicks))
        await pipeline.redis.flushall()
        await eventually(lambda: _shipped_is(pipeline, clicks))


async def test_a_flush_while_no_shipper_lived_is_noticed_too(pipeline: Pipeline, journal: Journal) -> None:
    clicks = make_clicks(3)
    append(journal, clicks)
    await pipeline.shipper(journal).drain()
    await pipeline.redis.flushall()
    await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks)


async def test_segments_are_deleted_when_all_of_them_is_committed_and_never_before(pipeline: Pipeline) -> None:
    directory = pipeline.directory()
    journal = pipeline.journal(directory, segment_bytes=500)
    clicks = make_clicks(20)
    for click in clicks:
        append(journal, [click])
    kept = directory.segments()
    assert len(kept) > 3
    async with shipping(pipeline.shipper(journal)):
        await eventually(lambda: _shipped_is(pipeline, clicks))
        tidied = await _tidied(pipeline)
        assert (tidied, directory.segments()) == (True, kept)
        async with pipeline.consuming():
            await eventually(lambda: _stored_is(pipeline, clicks))
        await eventually(lambda: directory.segments() == kept[-1:])
        await eventually(lambda: _progress_is_only_of(pipeline, journal))


async def _tidied(pipeline: Pipeline) -> bool:
    """Two more reports have been made, so the shipper has looked for what it may delete."""
    await eventually(lambda: reports(pipeline))
    seen = {await pipeline.redis.hget("attribution:shipped", (await reports(pipeline))[0].decode())}

    async def more() -> bool:
        seen.add(await pipeline.redis.hget("attribution:shipped", (await reports(pipeline))[0].decode()))
        return len(seen) > 5

    await eventually(more)
    return True


async def _progress_is_only_of(pipeline: Pipeline, journal: Journal) -> bool:
    return set(await pipeline.committed(journal.directory.journal_id)) <= {journal.end.segment}


async def test_above_the_stream_s_budget_clicks_wait_on_disk_and_go_on_when_there_is_room(
    pipeline: Pipeline, journal: Journal
) -> None:
    clicks = make_clicks(2000)
    append(journal, clicks)
    budget = replace(SHIP_POLICY, stream_budget_bytes=40_000)
    async with shipping(pipeline.shipper(journal, budget)):
        await eventually(lambda: pipeline.redis.exists(stream_key(0)))
        writer = StreamWriter(pipeline.redis, 0)
        await eventually(lambda: _over(writer, 40_000))
        assert 0 < len(await shipped(pipeline)) < len(clicks)
        async with pipeline.consuming():
            await eventually(lambda: _stored_is(pipeline, clicks), timeout=20)


async def _over(writer: StreamWriter, size: int) -> bool:
    return await writer.used_bytes() > size


async def test_damage_is_shipped_as_it_is_and_takes_no_click_with_it(pipeline: Pipeline) -> None:
    directory = pipeline.directory()
    journal = pipeline.journal(directory)
    clicks = make_clicks(25)
    append(journal, clicks)
    file = directory.segment_path(1)
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    await pipeline.shipper(journal).drain()
    assert await shipped(pipeline) == ids(clicks[1:])
    assert b"".join([entry[b"frames"] for entry in await pipeline.entries()]) == data


async def test_a_drained_journal_retires_its_report(pipeline: Pipeline, journal: Journal) -> None:
    shipper = pipeline.shipper(journal)
    async with shipping(shipper):
        await eventually(lambda: reports(pipeline))
    await shipper.drain()
    assert await reports(pipeline) == []


async def test_a_dead_process_s_journal_is_shipped_committed_and_deleted(pipeline: Pipeline) -> None:
    dead = pipeline.directory()
    left = make_clicks(15)
    append(pipeline.journal(dead), left)
    dead.release()
    adopter = Adopter(pipeline.root, "clicks", 0.02, pipeline.finish)
    async with in_background(adopter.run()), pipeline.consuming():
        await eventually(lambda: _stored_is(pipeline, left))
        await eventually(lambda: not list(dead.path.glob("*.journal")))
        await eventually(lambda: _nothing(pipeline))


async def _nothing(pipeline: Pipeline) -> bool:
    return not await reports(pipeline)


async def test_a_disk_that_refuses_one_journal_does_not_end_the_adopter(pipeline: Pipeline) -> None:
    left = {name: make_clicks(1) for name in ("clicks-0", "clicks-1")}
    for name, clicks in left.items():
        dead = pipeline.directory(name)
        append(pipeline.journal(dead), clicks)
        dead.release()
    (pipeline.root / "clicks-0" / "id").unlink()
    obstacle = pipeline.root / "clicks-0" / "id.draft"
    obstacle.mkdir()
    async with in_background(Adopter(pipeline.root, "clicks", 0.02, pipeline.finish).run()), pipeline.consuming():
        await eventually(lambda: _stored_is(pipeline, left["clicks-1"]))
        obstacle.rmdir()
        await eventually(lambda: _stored_is(pipeline, left["clicks-0"] + left["clicks-1"]))


async def test_a_finished_journal_waits_for_its_next_name(pipeline: Pipeline) -> None:
    """A worker that starts over a full disk finds a journal with a name."""
    directory = pipeline.directory()
    append(pipeline.journal(directory), make_clicks(1))
    obstacle = directory.path / "id.draft"
    obstacle.mkdir()
    async with pipeline.consuming(), in_background(pipeline.finish(directory)) as finishing:
        await eventually(pipeline.stored)
        assert not finishing.done()
        assert directory.segments() == [1]
        obstacle.rmdir()
        await eventually(finishing.done)
    assert directory.segments() == []
    assert (directory.path / "id").read_text() != str(directory.journal_id)


async def test_a_journal_whose_id_was_renewed_before_its_end_is_sent_again(pipeline: Pipeline) -> None:
    """Whoever finished it was killed before it deleted the segment: nothing is committed under the new id."""
    directory = pipeline.directory()
    journal, clicks = pipeline.journal(directory), make_clicks(2)
    append(journal, clicks)
    async with pipeline.consuming():
        await pipeline.shipper(journal).drain()
        await eventually(lambda: _stored_is(pipeline, clicks))
        directory.renew_id()
        directory.release()
        left = pipeline.directory()
        await asyncio.wait_for(pipeline.finish(left), timeout=20)
    assert left.segments() == []
    assert await pipeline.stored() == ids(clicks)


async def test_an_end_of_which_the_answer_is_lost_is_an_end(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut from Postgres after it forgot the journal's progress: nothing says any more that all is committed."""
    directory = pipeline.directory()
    append(pipeline.journal(directory), make_clicks(2))
    forget, cuts = JournalProgress.forget, iter([True])

    async def cut_short(progress: JournalProgress, journal_id: UUID, segments: list[int]) -> None:
        await forget(progress, journal_id, segments)
        if next(cuts, False):
            raise UnavailableError("the connection was closed in the middle of operation")

    monkeypatch.setattr(JournalProgress, "forget", cut_short)
    async with pipeline.consuming():
        await asyncio.wait_for(pipeline.finish(directory), timeout=20)
    assert directory.segments() == []
    assert await pipeline.committed(directory.journal_id) == {}


async def test_a_living_process_s_journal_is_left_alone(pipeline: Pipeline) -> None:
    held = pipeline.directory("clicks-0")
    append(pipeline.journal(held), make_clicks(1))
    free = pipeline.directory("clicks-1")
    append(pipeline.journal(free), make_clicks(1))
    free.release()
    finished: list[str] = []

    async def finish(directory: JournalDirectory) -> None:
        finished.append(directory.path.name)
        for segment in directory.segments():
            directory.remove(segment)

    async with in_background(Adopter(pipeline.root, "clicks", 0.01, finish).run()):
        await eventually(lambda: finished)
    assert finished == ["clicks-1"]


async def test_the_next_owner_of_an_adopted_journal_is_not_taken_for_the_dead_one(pipeline: Pipeline) -> None:
    directory = pipeline.directory()
    dead = directory.journal_id
    first, second = make_clicks(2), make_clicks(2)
    append(pipeline.journal(directory), first)
    async with pipeline.consuming():
        await pipeline.finish(directory)
        directory.release()
        again = pipeline.directory()
        assert again.journal_id != dead
        journal = pipeline.journal(again)
        append(journal, second)
        await pipeline.shipper(journal).drain()
        await eventually(lambda: _stored_is(pipeline, first + second))


async def test_a_journal_that_was_killed_without_a_click_is_retired_too(pipeline: Pipeline) -> None:
    directory = pipeline.directory()
    journal = pipeline.journal(directory)
    async with shipping(pipeline.shipper(journal)):
        await eventually(lambda: reports(pipeline))
    await pipeline.finish(directory)
    assert await reports(pipeline) == []
    assert directory.segments() == []
