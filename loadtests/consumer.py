"""Clicks a second from the stream into Postgres, beside plain COPY of the same rows, and one worker's redirects.

The consumer (or the client of COPY) has the server core, Postgres the load core. Each round fills the stream, lets
the real consumer process drain it, and copies the same rows into the emptied table, with its indexes: all in one
transaction, and in transactions of as many as the consumer's. The consumer writes more than the rows: what its counts
for the rollups and their rolling up cost is measured alone. A ratio is the median of the rounds' ratios.
"""

import asyncio
import base64
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Literal
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from attribution.adapters.click_rows import DELTA_COLUMNS, copy_file, delta_rows
from attribution.adapters.click_stream import StreamWriter, held_key, stream_key
from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import NO_COUNTRY, AgentClass, Channel, Device, pack_agent, pack_link, pack_record
from attribution.ingest.roller import RollerPolicy
from attribution.journal import Batch, Position, frame, records_by_heads
from attribution.settings import Settings

from .processes import LOAD_CORE, SERVER_CORE, cpu_seconds, own_cpu_seconds
from .report import Table
from .service import Backend, backend, consumer, make_links, server, warm
from .wrk import tap

CLICKS, LINKS, VISITORS = 500_000, 100_000, 200_000
ENTRY_CLICKS = 500
ROUNDS = 5
BATCH_ENTRIES = Settings().consume_batch_entries
BATCH_CLICKS = BATCH_ENTRIES * ENTRY_CLICKS
CONSUMER, CONSUMERS, COPY, COPY_TEXT, COPY_BATCHES, DELTAS, ROLL_UP = (
    "1 consumer", "2 consumers", "COPY binary", "COPY text", f"COPY binary, {BATCH_CLICKS:,} rows a transaction",
    "of it: counts for the rollups", "of it: rolling them up",
)  # fmt: skip
_JOURNAL = UUID(int=1)
_WAITING = 1
"""A partition that nobody consumes: the stream waits there until it is whole."""
_FIRST_US = 1_794_000_000_000_000
_CLICK_EVERY_US = 20
_REFERRERS = (b"", b"l.instagram.com", b"www.instagram.com", b"t.co", b"www.youtube.com", b"www.tiktok.com")
_DEVICES = (Device.MOBILE,) * 14 + (Device.TABLET,) + (Device.DESKTOP,) * 4
_COUNTRIES = (b"DE",) * 9 + (b"US",) * 3 + (b"AT", b"CH", b"FR", b"GB", b"ES", b"IT", b"NL", NO_COUNTRY)
_EMPTY_TABLES = "TRUNCATE clicks, click_deltas, journal_progress, journal_arrivals, dead_letters, credit_queue"


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    client_cpu_s: float
    postgres_cpu_s: float

    @property
    def rate(self) -> float:
        return CLICKS / self.seconds


async def run(directory: Path, seconds: int) -> list[Table]:
    async with backend(directory) as servers, Redis.from_url(servers.redis_url) as redis:
        await make_links(servers, LINKS)
        os.sched_setaffinity(servers.postgres.pid, {LOAD_CORE})
        await _make_partition(servers)
        bench = Bench(servers, redis, _entries())
        rounds = [await bench.round(first=number == 0) for number in range(ROUNDS)]
        redirects = await _redirects(servers, seconds)
    return [_copy_table(rounds), _keep_up_table(median(r[CONSUMER].rate for r in rounds), redirects)]


async def _make_partition(servers: Backend) -> None:
    """As the consumer does ahead of time."""
    database = Database(Settings(database_url=servers.database_url))
    try:
        await ClickTable(database).ensure_partitions([(2026, 11)])
    finally:
        await database.close()


class Bench:
    """The same clicks again and again, each time into an empty table."""

    def __init__(self, servers: Backend, redis: Redis, entries: list[Batch]) -> None:
        self._servers = servers
        self._redis = redis
        self._entries = entries
        self._file = servers.directory / "clicks.binary"
        self._batches: list[bytes] = []
        self._text_file = servers.directory / "clicks.text"

    async def round(self, *, first: bool) -> dict[str, Run]:
        runs = {CONSUMER: await self._drained(1)}
        if first:
            await self._save_rows()
        runs[COPY] = await self._copied(partial(self._copy, self._file, "binary"))
        runs[COPY_TEXT] = await self._copied(partial(self._copy, self._text_file, "text"))
        runs[COPY_BATCHES] = await self._copied(self._copy_in_batches)
        runs[DELTAS] = await self._copied(self._copy_deltas)
        runs[ROLL_UP] = await self._rolled_up()
        runs[CONSUMERS] = await self._drained(2)
        return runs

    async def _drained(self, consumers: int) -> Run:
        await self._servers.execute(_EMPTY_TABLES)
        await self._redis.delete(stream_key(0))
        with ExitStack() as stack:
            running = [stack.enter_context(consumer(self._servers, core=SERVER_CORE)) for _ in range(consumers)]
            while await self._groups() < consumers:
                await asyncio.sleep(0.05)
            await self._fill()
            clock = Clock(self._servers.postgres.pid, [process.pid for process in running])
            # The whole stream appears at once; the consumers make their group anew.
            await self._redis.rename(stream_key(_WAITING), stream_key(0))
            await self._redis.rename(held_key(_WAITING), held_key(0))
            while await self._redis.xlen(stream_key(0)):
                await asyncio.sleep(0.01)
            run = clock.run()
        stored = await self._servers.value("SELECT count(*) FROM clicks")
        if stored != CLICKS:
            raise RuntimeError(f"{stored} of {CLICKS} clicks arrived")
        return run

    async def _groups(self) -> int:
        """Consumers that have asked for entries."""
        if not await self._redis.exists(stream_key(0)):
            return 0
        return sum(group["consumers"] for group in await self._redis.xinfo_groups(stream_key(0)))

    async def _fill(self) -> None:
        writer = StreamWriter(self._redis, _WAITING)
        for first in range(0, len(self._entries), 50):
            await writer.append(_JOURNAL, self._entries[first : first + 50])

    async def _save_rows(self) -> None:
        connection = await asyncpg.connect(self._servers.database_url)
        query = "SELECT * FROM clicks ORDER BY program_id, clicked_at, click_id"
        try:
            await connection.copy_from_query(query, output=self._file, format="binary")
            await connection.copy_from_query(query, output=self._text_file, format="text")
            self._batches = list(_batches_of(self._file.read_bytes(), BATCH_CLICKS))
        finally:
            await connection.close()

    async def _copied(self, copy: Callable[[asyncpg.Connection], Awaitable[None]]) -> Run:
        await self._servers.execute(_EMPTY_TABLES)
        connection = await asyncpg.connect(self._servers.database_url)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {SERVER_CORE})
        try:
            clock = Clock(self._servers.postgres.pid, [os.getpid()])
            await copy(connection)
            return clock.run()
        finally:
            os.sched_setaffinity(0, before)
            await connection.close()

    async def _copy(self, file: Path, form: Literal["binary", "text"], connection: asyncpg.Connection) -> None:
        await connection.copy_to_table("clicks", source=file, format=form)

    async def _copy_in_batches(self, connection: asyncpg.Connection) -> None:
        for rows in self._batches:
            await connection.copy_to_table("clicks", source=BytesIO(rows), format="binary")

    async def _copy_deltas(self, connection: asyncpg.Connection) -> None:
        for first in range(0, len(self._entries), BATCH_ENTRIES):
            frames = b"".join(entry.frames for entry in self._entries[first : first + BATCH_ENTRIES])
            rows = copy_file(delta_rows(list(records_by_heads(frames))))
            await connection.copy_to_table(
                "click_deltas", source=BytesIO(rows), columns=DELTA_COLUMNS, format="binary"
            )

    async def _rolled_up(self) -> Run:
        database = Database(Settings(database_url=self._servers.database_url), timeout_s=120)
        try:
            clock = Clock(self._servers.postgres.pid, [os.getpid()])
            rollups, policy = Rollups(database), RollerPolicy()
            while await rollups.roll_up(policy.at_once):
                pass
            return clock.run()
        finally:
            await database.close()


def _batches_of(file: bytes, size: int) -> Iterator[bytes]:
    """A binary COPY file cut into several."""
    header, offset, count = file[:19], 19, 0
    start = offset
    while file[offset : offset + 2] != b"\xff\xff":
        fields = int.from_bytes(file[offset : offset + 2], "big")
        offset += 2
        for _ in range(fields):
            offset += 4 + max(0, int.from_bytes(file[offset : offset + 4], "big", signed=True))
        count += 1
        if count % size == 0:
            yield header + file[start:offset] + b"\xff\xff"
            start = offset
    yield header + file[start:offset] + b"\xff\xff"


class Clock:
    """Seconds on the wall and of the CPU since it was made."""

    def __init__(self, postgres: int, clients: list[int]) -> None:
        self._postgres, self._clients = postgres, clients
        self._cpu = self._now()
        self._began = time.perf_counter()

    def _now(self) -> tuple[float, float]:
        return sum(map(own_cpu_seconds, self._clients)), cpu_seconds(self._postgres)

    def run(self) -> Run:
        seconds = time.perf_counter() - self._began
        client, postgres = (now - before for now, before in zip(self._now(), self._cpu, strict=True))
        return Run(seconds, client, postgres)


def _entries() -> list[Batch]:
    """As the shipper cuts them, all of one journal."""
    frames, entries, offset = list(_frames()), [], 0
    for first in range(0, CLICKS, ENTRY_CLICKS):
        data = b"".join(frames[first : first + ENTRY_CLICKS])
        entries.append(Batch(Position(1, offset), data, ENTRY_CLICKS))
        offset += len(data)
    return entries


def _frames() -> Iterator[bytes]:
    rng = random.Random(1)
    links = [pack_link(1, 1 + n, 1 + n % 5000, None, None, Channel.INSTAGRAM) for n in range(LINKS)]
    visitors = [base64.urlsafe_b64encode(rng.randbytes(16)).rstrip(b"=") for _ in range(VISITORS)]
    agents = [pack_agent(AgentClass.BROWSER, device) for device in _DEVICES]
    agents.append(pack_agent(AgentClass.SOCIAL_PREVIEW, Device.OTHER))
    for number in range(CLICKS):
        click_id = make_click_id(_FIRST_US + number * _CLICK_EVERY_US, rng.randbytes(8))
        visitor = rng.choice(visitors) if rng.random() < 0.7 else b""
        address = b"%d.%d.%d.0" % (rng.randrange(1, 224), rng.randrange(256), rng.randrange(256))
        sub = b"%x" % rng.getrandbits(64) if rng.random() < 0.2 else b""
        texts = (visitor, address, rng.choice(_REFERRERS), sub, b"", b"", b"", b"")
        yield frame(pack_record(click_id, rng.choice(links), rng.choice(agents), rng.choice(_COUNTRIES), texts))


async def _redirects(servers: Backend, seconds: int) -> float:
    with server(servers) as (port, _):
        await asyncio.to_thread(warm, port, LINKS)
        loads = [
            await asyncio.to_thread(tap, port, links=LINKS, pattern="random", seconds=seconds) for _ in range(ROUNDS)
        ]
    return median(load.rate for load in loads)


def _copy_table(rounds: list[dict[str, Run]]) -> Table:
    return Table(
        f"{CLICKS:,} clicks into Postgres, client on one core and Postgres on the other, median of {ROUNDS}",
        ("how", "rows/s", "of COPY binary", "of COPY text", "client us/row", "Postgres us/row"),
        [_row(name, rounds) for name in rounds[0]],
    )


def _row(name: str, rounds: list[dict[str, Run]]) -> tuple[str, ...]:
    runs = [by_name[name] for by_name in rounds]
    return (
        name,
        f"{median(run.rate for run in runs):,.0f}",
        f"{median(by_name[name].rate / by_name[COPY].rate for by_name in rounds):.2f}",
        f"{median(by_name[name].rate / by_name[COPY_TEXT].rate for by_name in rounds):.2f}",
        f"{median(run.client_cpu_s for run in runs) / CLICKS * 1e6:.1f}",
        f"{median(run.postgres_cpu_s for run in runs) / CLICKS * 1e6:.1f}",
    )


def _keep_up_table(rows_rate: float, redirects_rate: float) -> Table:
    return Table(
        "Does a consumer on a core of its own keep up with a redirect worker on a core of its own",
        ("clicks/s stored", "redirects/s of one worker", "share kept"),
        [(f"{rows_rate:,.0f}", f"{redirects_rate:,.0f}", f"{rows_rate / redirects_rate:.1f}")],
    )
