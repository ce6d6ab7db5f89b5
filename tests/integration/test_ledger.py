"""The ledger: every click of a period is counted where it is, over real Valkey and Postgres."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.api import Api, assert_problem
from tests.support.pipeline import Pipeline, make_click, make_clicks, pipeline_over
from tests.support.waiting import eventually

from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_stream import StreamCensus, stream_key
from attribution.adapters.click_table import DeadLetter
from attribution.adapters.ledger_table import LedgerTable
from attribution.domain.clicks import Click, pack_click
from attribution.entrypoints.dead_letters import replay
from attribution.journal import Journal, JournalPolicy
from attribution.redirect.recorder import ClickRecorder
from attribution.settings import JournalSync
from attribution.stats.ledger import Ledger, LedgerReport

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
AWAY = "unix:///nowhere/valkey.sock"


class Worker:
    """One redirect worker's journal with all that tends it, and the ledger over it."""

    def __init__(self, pipeline: Pipeline, stack: AsyncExitStack) -> None:
        self.pipeline = pipeline
        self.directory = pipeline.directory()
        self.journal = Journal(self.directory, JournalPolicy(1_000_000, 2_000))
        stack.callback(self.journal.close)
        self.recorder = ClickRecorder(self.journal, JournalSync.NONE)
        stack.callback(self.recorder.close)
        self.shipper = pipeline.shipper(self.journal)
        self.reporter = pipeline.reporter(self.directory, self.shipper)
        self.ledger = Ledger(LedgerTable(pipeline.database), StreamCensus(pipeline.redis, 1))

    async def take(self, clicks: list[Click]) -> list[Click]:
        for click in clicks:
            await self.recorder.record(pack_click(click))
        return clicks

    async def report(self, *, killed: bool = False, start: datetime = DAY, end: datetime = NEXT_DAY) -> LedgerReport:
        await self.reporter.report(None if killed else self.recorder.tally.path)
        report = await self.ledger.report(start, end)
        line = report.totals
        assert line.accepted == line.lost + line.in_memory + line.journalled
        arrived = line.stored + line.dead_lettered
        assert line.journalled + line.uncounted == line.on_disk + line.in_stream + arrived + line.missing
        assert line.shipped == line.in_stream + arrived
        return report

    async def counts(self, *, killed: bool = False) -> dict[str, int]:
        """Those that are not 0."""
        report = await self.report(killed=killed)
        return {name: count for name, count in asdict(report.totals).items() if count}

    async def consume(self) -> None:
        async with self.pipeline.consuming():
            await eventually(self._nothing_left)

    async def _nothing_left(self) -> bool:
        return await self.pipeline.entries() == []


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture
async def worker(database_url: str, redis_url: str, tmp_path: Path, stack: AsyncExitStack) -> Worker:
    pipeline = await stack.enter_async_context(pipeline_over(database_url, redis_url, tmp_path))
    return Worker(pipeline, stack)


async def test_clicks_that_arrived_are_stored_and_the_period_is_complete(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    await worker.shipper.drain()
    await worker.consume()
    assert await worker.counts() == {"accepted": 25, "journalled": 25, "shipped": 25, "stored": 25}
    report = await worker.ledger.report(DAY, NEXT_DAY, recount=True)
    assert (report.complete, report.rows) == (True, 25)
    assert [(line.journal.partition, line.line) for line in report.journals] == [(0, report.totals)]
    assert report.partitions == {0: report.totals}


async def test_a_period_holds_the_clicks_of_its_time_whenever_they_were_taken(worker: Worker) -> None:
    await worker.take(make_clicks(3))
    assert (await worker.report(start=NEXT_DAY, end=NEXT_DAY + timedelta(days=1))).totals.accepted == 0
    assert (await worker.report(start=DAY, end=DAY + timedelta(hours=10))).totals.accepted == 0
    quarter = DAY + timedelta(hours=10)
    assert (await worker.report(start=quarter, end=quarter + timedelta(minutes=15))).totals.accepted == 3


async def test_without_a_consumer_they_are_in_the_stream(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    await worker.shipper.drain()
    assert await worker.counts() == {"accepted": 25, "journalled": 25, "shipped": 25, "in_stream": 25}
    assert not (await worker.report()).complete


async def test_without_redis_they_are_on_disk(database_url: str, tmp_path: Path, stack: AsyncExitStack) -> None:
    worker = Worker(await stack.enter_async_context(pipeline_over(database_url, AWAY, tmp_path)), stack)
    await worker.take(make_clicks(25))
    assert await worker.counts() == {"accepted": 25, "journalled": 25, "on_disk": 25}
    assert not (await worker.report()).stream_available


async def test_a_part_shipped_and_a_part_not_are_told_apart(worker: Worker) -> None:
    await worker.take(make_clicks(10))
    await worker.shipper.drain()
    await worker.take(make_clicks(5))
    expected = {"accepted": 15, "journalled": 15, "on_disk": 5, "shipped": 10, "in_stream": 10}
    assert await worker.counts() == expected


async def test_what_is_sent_and_stored_twice_counts_once(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    await worker.shipper.drain()
    (worker.directory.path / "shipped").unlink()
    await worker.pipeline.shipper(worker.journal).drain()
    await worker.consume()
    assert await worker.counts() == {"accepted": 25, "journalled": 25, "shipped": 25, "stored": 25}


async def test_an_undecodable_click_is_a_dead_letter(worker: Worker) -> None:
    clicks = await worker.take(make_clicks(2))
    await worker.recorder.record(b"\x09" + pack_click(clicks[0])[1:])
    await worker.shipper.drain()
    await worker.consume()
    assert await worker.counts() == {
        "accepted": 3, "journalled": 3, "shipped": 3, "stored": 2, "dead_lettered": 1,
    }  # fmt: skip


async def test_a_dead_letter_that_is_redelivered_counts_once_and_replayed_it_is_stored(worker: Worker) -> None:
    journal_id = worker.directory.journal_id
    click = make_click()
    letter = DeadLetter("malformed_click", "x", pack_click(click), journal_id, 1, 0, click.clicked_at_us)
    await worker.take([click])
    for _ in range(2):
        await worker.pipeline.table.store(ClickBatch(), [letter], [])
    assert (await worker.report()).totals.dead_lettered == 1
    await replay(worker.pipeline.settings, None)
    line = (await worker.report()).totals
    assert (line.stored, line.dead_lettered) == (1, 0)


async def test_a_damaged_record_at_the_tail_is_a_dead_letter(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    file = worker.directory.segment_path(1)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    await worker.shipper.drain()
    await worker.consume()
    assert await worker.counts() == {
        "accepted": 25, "journalled": 25, "shipped": 25, "stored": 24, "dead_lettered": 1,
    }  # fmt: skip


async def test_a_tail_that_the_disk_lost_is_missing(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    file = worker.directory.segment_path(1)
    os.truncate(file, file.stat().st_size * 3 // 5 + 20)
    end = worker.journal.end._replace(offset=file.stat().st_size)
    shipper = worker.pipeline.shipper_of(worker.directory, lambda: end)
    await shipper.drain()
    await worker.consume()
    worker.reporter = worker.pipeline.reporter(worker.directory, shipper)
    # The record that was cut in two is a dead letter.
    assert await worker.counts() == {
        "accepted": 25, "journalled": 25, "shipped": 16, "stored": 15, "dead_lettered": 1, "missing": 9,
    }  # fmt: skip


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "write", refuse)
    return monkeypatch


async def test_while_the_disk_is_full_they_wait_in_memory_and_then_are_lost(
    worker: Worker, full_disk: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    await worker.take(make_clicks(30))
    counts = await worker.counts()
    assert counts == {"accepted": counts["in_memory"], "in_memory": counts["in_memory"]}
    # A lost click is counted at the time of its loss.
    lately = await worker.report(start=now - timedelta(hours=1), end=now + timedelta(hours=1))
    lost = lately.totals.lost
    assert lost == 30 - counts["in_memory"] > 0
    full_disk.undo()
    await eventually(lambda: not worker.journal.has_pending)
    assert await worker.counts() == {"accepted": 30 - lost, "journalled": 30 - lost, "on_disk": 30 - lost}


@pytest.mark.usefixtures("full_disk")
async def test_what_a_killed_process_held_in_memory_is_lost(worker: Worker) -> None:
    await worker.take(make_clicks(5))
    assert await worker.counts() == {"accepted": 5, "in_memory": 5}
    assert await worker.counts(killed=True) == {"accepted": 5, "lost": 5}
    assert list(worker.directory.path.glob("*.tally")) == []


async def test_a_journal_taken_over_keeps_its_account(worker: Worker) -> None:
    await worker.take(make_clicks(25))
    async with worker.pipeline.consuming():
        await worker.pipeline.finish(worker.directory)
    report = await worker.ledger.report(DAY, NEXT_DAY)
    assert (report.totals.accepted, report.totals.stored) == (25, 25)
    assert report.complete


async def test_a_disk_that_is_gone_for_good_can_be_given_up(worker: Worker) -> None:
    await worker.take(make_clicks(3))
    await worker.report()
    assert await worker.ledger.retire(worker.directory.journal_id)
    report = await worker.ledger.report(DAY, NEXT_DAY)
    assert report.totals.missing == 3
    assert report.journals[0].journal.retired_at is not None


async def test_entries_of_a_partition_that_is_no_longer_counted_are_reported(worker: Worker) -> None:
    await worker.pipeline.redis.xadd(stream_key(3), {"frames": b"x"})
    assert (await worker.report()).stranded == {3: 1}


async def test_the_ledger_is_the_operator_s(api: Api) -> None:
    program = await api.make("programs", key="brand", name="Brand", currency="EUR", timezone="UTC")
    assert_problem(await api.ask("GET", "/v1/ledger", bearer=program["api_key"]), 403)
    answer = (await api.ask("GET", "/v1/ledger?from=2026-11-20&to=2026-11-21T05:45:00%2B05:45")).json()
    assert (answer["from"], answer["to"]) == ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    assert (answer["complete"], answer["stream_available"], answer["totals"]["accepted"]) == (False, False, 0)


@pytest.mark.parametrize("query", ["from=2026-11-20T10:01:00Z", "to=yesterday", "from=2026-11-21&to=2026-11-20"])
async def test_a_period_is_of_quarter_hours(query: str, api: Api) -> None:
    assert_problem(await api.ask("GET", f"/v1/ledger?{query}"), 422, "query", query.split("=", maxsplit=1)[0])
