"""The consumer process: clicks from the stream to Postgres, conversions to credits, partitions ahead of time."""

import asyncio
import gc
import os
import signal
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from secrets import token_hex
from typing import NamedTuple

import structlog
import uvloop
from prometheus_client import start_http_server

from attribution.adapters.click_stream import StreamReader
from attribution.adapters.click_table import ClickTable, months_ahead
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.adapters.recomputation_table import RecomputationTable
from attribution.adapters.redis import open_redis
from attribution.adapters.rollups import Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.conversions.recomputer import CONNECTIONS, Recomputer, RecomputerPolicy
from attribution.errors import UnavailableError
from attribution.ingest.consumer import ConsumePolicy, Consumer, DeadLetterLimit
from attribution.ingest.roller import Roller, RollerPolicy
from attribution.ingest.watermark import Watermark
from attribution.settings import Settings

from .background import background
from .lifeline import end_with_parent

_log = structlog.get_logger(__name__)
_PARTITIONS_INTERVAL_S = 3600.0
_PARTITIONS_RETRY_S = 5.0
_STATEMENT_TIMEOUT_S = 120.0
_RECOMPUTER_POLICY = RecomputerPolicy(batch=1000, batches=10)
"""Conversions: new ones wait no longer than these take."""
_LANES = 2
"""Batches of a partition on their way at once: one is decoded while Postgres takes the other."""


class _Partition(NamedTuple):
    number: int
    stream: StreamReader
    consumer: Consumer


def consume(settings: Settings) -> None:
    """Role `worker`."""

    # Batches of rows are many objects without cycles.
    gc.set_threshold(200_000, 20, 20)

    async def run() -> None:
        end_with_parent(settings.shutdown_timeout_s)
        await run_consumer(settings)

    uvloop.run(run())


async def run_consumer(settings: Settings) -> None:
    """Until SIGTERM or SIGINT; the batches in hand are finished first."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, settings.host)
    async with AsyncExitStack() as stack:
        database = Database(settings, timeout_s=_STATEMENT_TIMEOUT_S)
        stack.push_async_callback(database.close)
        table = ClickTable(database)
        await stack.enter_async_context(background(_make_partitions(table, settings), "make partitions"))
        turn = asyncio.Lock()
        attributor = Attributor(CreditTable(database), _attributor_policy(settings), turn=turn)
        await stack.enter_async_context(background(attributor.run(), "attribute"))
        # Of its own: one that takes hours leaves clicks and orders theirs.
        recomputing = Database(settings, size=CONNECTIONS, timeout_s=_STATEMENT_TIMEOUT_S)
        stack.push_async_callback(recomputing.close)
        recomputer = Recomputer(RecomputationTable(recomputing), _RECOMPUTER_POLICY, turn=turn)
        await stack.enter_async_context(background(recomputer.run(), "recompute"))
        partitions = _partitions(settings, table, stack)
        roller = Roller(
            Rollups(database),
            VisitorSketches(database),
            RollerPolicy(),
            behind=lambda: attributor.behind or any(partition.consumer.behind for partition in partitions),
        )
        await stack.enter_async_context(background(roller.run(), "roll up"))
        await _consume(partitions, table, stack, stopping)


def _partitions(settings: Settings, table: ClickTable, stack: AsyncExitStack) -> list[_Partition]:
    name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
    processor = asyncio.Lock()
    partitions = []
    for number in range(settings.stream_partitions):
        redis = open_redis(settings)
        stack.push_async_callback(redis.aclose)
        stream = StreamReader(redis, number, name, settings.consume_claim_idle_ms)
        partitions.append(_Partition(number, stream, Consumer(stream, table, *_policies(settings), processor)))
    return partitions


async def _consume(
    partitions: list[_Partition], table: ClickTable, stack: AsyncExitStack, stopping: asyncio.Event
) -> None:
    async with asyncio.TaskGroup() as lanes:
        for number, stream, consumer in partitions:
            watermark = Watermark(number, stream, table)
            await stack.enter_async_context(background(watermark.run(), f"watermark {number}"))
            for lane in range(_LANES):
                lanes.create_task(consumer.run(stopping), name=f"consume {number}.{lane}")
    for partition in partitions:
        try:
            await partition.stream.leave()
        except UnavailableError as error:
            _log.info("consumer_left_its_name", error=str(error))


def _policies(settings: Settings) -> tuple[ConsumePolicy, DeadLetterLimit]:
    return ConsumePolicy(settings.consume_batch_entries), DeadLetterLimit(settings.dead_letter_share)


def _attributor_policy(settings: Settings) -> AttributorPolicy:
    return AttributorPolicy(settings.credit_batch_conversions, settings.credit_poll_ms / 1000)


async def _make_partitions(table: ClickTable, settings: Settings) -> None:
    while True:
        try:
            await table.ensure_partitions(months_ahead(datetime.now(UTC), settings.partitions_ahead_months))
        except UnavailableError as error:
            _log.warning("partitions_not_made", error=str(error))
            await asyncio.sleep(_PARTITIONS_RETRY_S)
        else:
            await asyncio.sleep(_PARTITIONS_INTERVAL_S)
