"""A consumer that was stopped for an hour: Redis keeps its budget, the rest waits on disk, and all of it arrives.

The clicks of the hour go through the real recorder, journal and shipper, as fast as these take them.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from attribution.adapters.click_stream import stream_key
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import AgentClass, Channel, Device, pack_agent, pack_link, pack_record
from attribution.entrypoints.journals import Journals
from attribution.redirect.recorder import ClickRecorder
from attribution.settings import Settings

from .report import Table
from .service import Backend, backend, consumer

RATE, STOPPED_S = 1_000, 3_600
BUDGET_BYTES = 256 * 1024 * 1024
_GROUP = 500
_SAMPLE_S = 0.25
_SETTLED_S = 5.0
_LINK = pack_link(1, 1, 1, None, None, Channel.INSTAGRAM)
_AGENT = pack_agent(AgentClass.BROWSER, Device.MOBILE)
_TEXTS = (b"visitor_0123456789abcd", b"198.51.100.0", b"l.instagram.com", b"", b"", b"", b"", b"")


@dataclass
class Peaks:
    """Most bytes seen at once."""

    redis: int = 0
    stream: int = 0
    disk: int = 0


class _Nobody:
    def answer(self, response: bytes) -> None:
        """Nobody waits for the redirect of a fast-forwarded click."""


def records(clicks: int, rate: int) -> Iterator[bytes]:
    """Taps of `clicks / rate` seconds that end now."""
    step_us = 1_000_000 // rate
    first_us = time.time_ns() // 1000 - clicks * step_us
    for number in range(clicks):
        click_id = make_click_id(first_us + number * step_us, os.urandom(8))
        yield pack_record(click_id, _LINK, _AGENT, b"DE", _TEXTS)


async def record_all(recorder: ClickRecorder, clicks: int, rate: int = RATE) -> None:
    nobody = _Nobody()
    for number, record in enumerate(records(clicks, rate)):
        recorder.record_for(record, nobody, b"")
        if number % _GROUP == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    recorder.flush()


class Watch:
    """Samples the peaks until the block ends."""

    def __init__(self, settings: Settings) -> None:
        self.peaks = Peaks()
        self.disk = 0
        self._redis = open_redis(settings)
        self._journals = settings.data_dir / "journals"

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._redis.aclose()

    async def _run(self) -> None:
        while True:
            info = await self._redis.info("memory")
            stream = await self._redis.memory_usage(stream_key(0), samples=5) or 0
            self.disk = _size(self._journals)
            peaks = self.peaks
            peaks.redis = max(peaks.redis, info["used_memory"])
            peaks.stream, peaks.disk = max(peaks.stream, stream), max(peaks.disk, self.disk)
            await asyncio.sleep(_SAMPLE_S)


def _size(journals: Path) -> int:
    total = 0
    for file in journals.glob("clicks-*/*.journal"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


async def run(directory: Path, seconds: int) -> list[Table]:  # noqa: ARG001 - an hour's clicks whatever the time
    clicks = RATE * STOPPED_S
    async with backend(directory) as servers:
        settings = Settings(
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            data_dir=directory / "data",
            stream_budget_bytes=BUDGET_BYTES,
        )
        database = Database(settings)
        empty = await _stored_bytes(servers)
        async with Watch(settings) as watch, Journals(settings, database).clicks() as recorder:
            await record_all(recorder, clicks)
            await asyncio.sleep(_SETTLED_S)
            full = watch.disk
            began = time.monotonic()
            with consumer(servers, core=None):
                while (stored := await _arrived(servers)) < clicks:
                    await asyncio.sleep(_SAMPLE_S)
                drain_s = time.monotonic() - began
                while watch.disk > settings.journal_segment_bytes:
                    await asyncio.sleep(_SAMPLE_S)
                tidy_s = time.monotonic() - began
        await database.close()
        rows = await servers.value("SELECT count(*) FROM clicks")
        per_row = (await _stored_bytes(servers) - empty) / rows
    peaks = watch.peaks
    return [
        Table(
            f"Back-pressure: consumer stopped for {STOPPED_S:,} s at {RATE:,} clicks/s, then started",
            ("clicks", "rows", "budget of the stream MB", "stream's peak MB", "Redis' peak MB", "disk's peak MB",
             "drain s", "clicks/s", "journals deleted after s"),
            [(f"{clicks:,}", f"{rows:,}", _mb(BUDGET_BYTES), _mb(peaks.stream), _mb(peaks.redis), _mb(peaks.disk),
              f"{drain_s:.0f}", f"{stored / drain_s:,.0f}", f"{tidy_s:.0f}")],
        ),
        Table(
            "Bytes of a click (visitor, address and referrer's host; no subs)",
            ("journal", "stream", "Postgres, with indexes"),
            [(f"{full / clicks:.0f}", f"{_stream_bytes(peaks, full, clicks)}", f"{per_row:.0f}")],
        ),
    ]  # fmt: skip


def _stream_bytes(peaks: Peaks, journal_bytes: int, clicks: int) -> str:
    """Redis holds as many clicks as its budget takes, in the frames of the journal."""
    return f"{peaks.stream / min(clicks, peaks.stream / (journal_bytes / clicks)):.0f}"


async def _arrived(servers: Backend) -> int:
    return int(await servers.value("SELECT coalesce(sum(stored), 0) FROM journal_arrivals"))


async def _stored_bytes(servers: Backend) -> int:
    return int(
        await servers.value(
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
            " WHERE inhparent = 'clicks'::regclass"
        )
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}"
