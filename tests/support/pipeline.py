"""From journal to table by hand: each part of the pipeline over real servers, run by the test itself."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from attribution.adapters.click_stream import GROUP, StreamReader, StreamWriter, stream_key
from attribution.adapters.click_table import ClickTable
from attribution.adapters.journal_progress import JournalProgress
from attribution.adapters.ledger_table import LedgerTable
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import AgentClass, Channel, Click, pack_click
from attribution.domain.ids import InfluencerId, LinkId, ProgramId
from attribution.domain.instants import to_us
from attribution.ingest.consumer import ConsumePolicy, Consumer, DeadLetterLimit
from attribution.journal import Journal, JournalDirectory, JournalPolicy, Position
from attribution.redirect.reporter import JournalReporter
from attribution.redirect.shipper import Shipper, ShipPolicy
from attribution.settings import Settings

_numbers = count(1)
_NOW_US = to_us(datetime(2026, 11, 20, 10, tzinfo=UTC))
SHIP_POLICY = ShipPolicy(
    batch_clicks=10, interval_s=0.02, stream_budget_bytes=10_000_000, retry_s=0.05, tidy_interval_s=0.05
)
CONSUME_POLICY = ConsumePolicy(batch_entries=5, retry_s=0.05, retry_max_s=0.1)
LIMIT = DeadLetterLimit(share=0.5, at_least=100)


def make_click(**fields: Any) -> Click:
    number = next(_numbers)
    click = Click(
        make_click_id(_NOW_US + number, random.Random(number).randbytes(8)),  # noqa: S311
        ProgramId(1),
        LinkId(2),
        InfluencerId(3),
        None,
        None,
        Channel.TIKTOK,
        AgentClass.BROWSER,
        visitor_id="v" * 22,
    )
    return replace(click, **fields)


def make_clicks(number: int) -> list[Click]:
    return [make_click() for _ in range(number)]


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, f"does not end: {task.get_stack()}"


class Pipeline:
    def __init__(self, settings: Settings, root: Path, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.root = root
        self._stack = stack
        self.database = Database(settings, size=4)
        stack.push_async_callback(self.database.close)
        self.redis = self.open_redis()
        self.progress = JournalProgress(self.database)
        self.table = ClickTable(self.database)

    def open_redis(self, *, single: bool = False) -> Redis:
        redis = open_redis(self.settings, single=single)
        self._stack.push_async_callback(redis.aclose)
        return redis

    def directory(self, name: str = "clicks-0") -> JournalDirectory:
        directory = JournalDirectory.claim(self.root / name)
        assert directory is not None
        return directory

    def journal(self, directory: JournalDirectory, segment_bytes: int = 1_000_000) -> Journal:
        journal = Journal(directory, JournalPolicy(segment_bytes, 10_000_000))
        self._stack.callback(journal.close)
        return journal

    def shipper(self, journal: Journal, policy: ShipPolicy = SHIP_POLICY) -> Shipper:
        return self.shipper_of(journal.directory, lambda: journal.end, policy)

    def shipper_of(self, directory: JournalDirectory, end: Any, policy: ShipPolicy = SHIP_POLICY) -> Shipper:
        writer = StreamWriter(self.open_redis(single=True), 0)
        shipper = Shipper(directory, end, writer, self.progress, policy)
        self._stack.callback(shipper.close)
        return shipper

    async def finish(self, directory: JournalDirectory) -> None:
        """As the adopter does with a dead process's journal."""
        last = directory.segments()[-1]
        end = Position(last, directory.size(last))
        shipper = self.shipper_of(directory, lambda: end)
        await shipper.finish(lambda: self.reporter(directory, shipper).report(None))

    def reporter(self, directory: JournalDirectory, shipper: Shipper) -> JournalReporter:
        return JournalReporter(directory, 0, shipper, self.progress, LedgerTable(self.database), interval_s=0.05)

    def reader(self, name: str = "reader", claim_idle_ms: int = 200) -> StreamReader:
        return StreamReader(self.open_redis(), 0, name, claim_idle_ms)

    def consumer(self, reader: StreamReader | None = None, limit: DeadLetterLimit = LIMIT) -> Consumer:
        return Consumer(reader or self.reader(), self.table, CONSUME_POLICY, limit, asyncio.Lock())

    @asynccontextmanager
    async def consuming(self, reader: StreamReader | None = None) -> AsyncIterator[None]:
        """Ended in its tracks, as its last blocking read would cost each test a second."""
        async with in_background(self.consumer(reader).run(asyncio.Event())) as task:
            yield
            if task.done():
                task.result()

    async def stored(self) -> list[bytes]:
        """Click ids, in the order of their times."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT click_id FROM clicks ORDER BY clicked_at, click_id")
        return [row["click_id"].bytes for row in rows]

    async def dead_letters(self) -> list[tuple[str, bytes]]:
        return [(letter.reason, letter.data) for letter in await self.table.dead_letters(1000)]

    async def entries(self) -> list[dict[bytes, bytes]]:
        entries: Any = await self.redis.xrange(stream_key(0))
        return [fields for _, fields in entries]

    async def pending(self) -> int:
        groups: Any = await self.redis.xinfo_groups(stream_key(0))
        return sum(group["pending"] for group in groups if group["name"] == GROUP.encode())

    async def committed(self, journal_id: UUID) -> dict[int, int]:
        return dict(await self.progress.committed(journal_id))


@asynccontextmanager
async def pipeline_over(database_url: str, redis_url: str, root: Path) -> AsyncIterator[Pipeline]:
    settings = Settings(database_url=database_url, redis_url=redis_url, data_dir=root, database_timeout_s=2)
    async with AsyncExitStack() as stack:
        yield Pipeline(settings, root, stack)


def append(journal: Journal, clicks: list[Click]) -> None:
    """One commit for all."""
    for click in clicks:
        journal.append(pack_click(click))
    assert journal.commit()


def ids(clicks: list[Click]) -> list[bytes]:
    return [click.click_id for click in clicks]
