"""The journals of a server process, and those that dead ones left in the same data directory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from attribution.adapters.click_stream import StreamWriter
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.journal_progress import JournalProgress
from attribution.adapters.ledger_table import LedgerTable
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.adoption import Adopter
from attribution.conversions.inbox import Inbox, Replayer
from attribution.errors import UnavailableError
from attribution.journal import Journal, JournalDirectory, JournalPolicy, Position, claim_first_free
from attribution.redirect.recorder import ClickRecorder
from attribution.redirect.reporter import JournalReporter
from attribution.redirect.shipper import Shipper, ShipPolicy
from attribution.settings import JournalSync, Settings

from .background import background

_log = structlog.get_logger(__name__)
_CLICKS = "clicks"
_ORDERS = "orders"
_ADOPT_INTERVAL_S = 2.0
FINAL_SHIPMENT_S = 3.0


class Journals:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._root = settings.data_dir / "journals"
        self._policy = JournalPolicy(settings.journal_segment_bytes, settings.journal_memory_bytes)
        self._ship_policy = ShipPolicy(
            settings.ship_batch_clicks, settings.ship_interval_ms / 1000, settings.stream_budget_bytes
        )
        self._progress = JournalProgress(database)
        self._ledger = LedgerTable(database)

    @asynccontextmanager
    async def clicks(self) -> AsyncIterator[ClickRecorder]:
        directory = claim_first_free(self._root, _CLICKS)
        journal = Journal(directory, self._policy)
        async with AsyncExitStack() as stack:
            stack.callback(directory.release)
            stack.callback(journal.close)
            recorder = ClickRecorder(journal, self._settings.journal_sync)
            stack.callback(recorder.close)
            shipper = await stack.enter_async_context(self._shipper(directory, lambda: journal.end))
            reporter = self._reporter(directory, shipper)
            stack.push_async_callback(self._last_shipment, recorder, shipper, reporter)
            await stack.enter_async_context(background(reporter.run(lambda: recorder.tally.path), "report clicks"))
            await stack.enter_async_context(background(shipper.run(), "ship clicks"))
            adopter = Adopter(self._root, _CLICKS, _ADOPT_INTERVAL_S, self._finish_clicks)
            await stack.enter_async_context(background(adopter.run(), "adopt journals of clicks"))
            if self._settings.journal_sync is JournalSync.INTERVAL:
                syncing = recorder.sync_periodically(self._settings.journal_sync_interval_ms / 1000)
                await stack.enter_async_context(background(syncing, "sync the journal"))
            yield recorder

    @asynccontextmanager
    async def orders(self, intake: ConversionIntake) -> AsyncIterator[Inbox]:
        directory = claim_first_free(self._root, _ORDERS)
        journal = Journal(directory, self._policy)
        async with AsyncExitStack() as stack:
            stack.callback(directory.release)
            stack.callback(journal.close)
            stream = await stack.enter_async_context(self._stream(directory))
            inbox = Inbox(intake, journal)

            async def finish(left: JournalDirectory) -> None:
                await Replayer(left, intake).finish(stream.retire)

            await stack.enter_async_context(background(inbox.replay(stream.report_shipped), "replay orders"))
            adopter = Adopter(self._root, _ORDERS, _ADOPT_INTERVAL_S, finish)
            await stack.enter_async_context(background(adopter.run(), "adopt journals of orders"))
            yield inbox

    @asynccontextmanager
    async def _stream(self, directory: JournalDirectory) -> AsyncIterator[StreamWriter]:
        redis = open_redis(self._settings, single=True)
        try:
            yield StreamWriter(redis, _partition(directory, self._settings.stream_partitions))
        finally:
            await redis.aclose()

    @asynccontextmanager
    async def _shipper(self, directory: JournalDirectory, end: Callable[[], Position]) -> AsyncIterator[Shipper]:
        async with self._stream(directory) as stream:
            shipper = Shipper(directory, end, stream, self._progress, self._ship_policy)
            try:
                yield shipper
            finally:
                shipper.close()

    async def _finish_clicks(self, directory: JournalDirectory) -> None:
        last = directory.segments()[-1]
        end = Position(last, directory.size(last))
        async with self._shipper(directory, lambda: end) as shipper:
            reporter = self._reporter(directory, shipper)
            async with background(reporter.run(lambda: None), "report clicks of a dead process"):
                await shipper.finish(lambda: reporter.report(None))

    def _reporter(self, directory: JournalDirectory, shipper: Shipper) -> JournalReporter:
        partition = _partition(directory, self._settings.stream_partitions)
        return JournalReporter(directory, partition, shipper, self._progress, self._ledger)

    async def _last_shipment(self, recorder: ClickRecorder, shipper: Shipper, reporter: JournalReporter) -> None:
        """What does not leave now is on disk, and the next process of this data directory ships it."""
        recorder.flush()
        try:
            async with asyncio.timeout(FINAL_SHIPMENT_S):
                await shipper.drain()
                await reporter.report(None)
        except (UnavailableError, TimeoutError) as error:
            _log.warning("clicks_left_in_journal", error=str(error))


def _partition(directory: JournalDirectory, partitions: int) -> int:
    return directory.journal_id.int % partitions
