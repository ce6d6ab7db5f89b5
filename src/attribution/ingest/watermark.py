"""`as_of`: how far the clicks in Postgres are complete."""

import asyncio
from dataclasses import dataclass

import structlog

from attribution import metrics
from attribution.adapters.click_stream import StreamReader
from attribution.adapters.click_table import ClickTable
from attribution.errors import UnavailableError

_log = structlog.get_logger(__name__)
_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """When all entries up to `entry_id` are done, all that was taken before `complete_before_us` is in Postgres."""

    entry_id: tuple[int, int]
    complete_before_us: int


class Watermark:
    """Of one partition: the journals say what is shipped, the stream's first entry says what is done."""

    def __init__(self, partition: int, stream: StreamReader, table: ClickTable) -> None:
        self._partition = partition
        self._stream = stream
        self._table = table
        self._checkpoint: _Checkpoint | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.step()
            except UnavailableError as error:
                _log.debug("watermark_interrupted", error=str(error))
            await asyncio.sleep(_INTERVAL_S)

    async def step(self) -> None:
        if self._checkpoint is None:
            self._checkpoint = await self._new_checkpoint()
        if self._checkpoint is None:
            return
        first = await self._stream.first_entry_id()
        if first is None or first > self._checkpoint.entry_id:
            await self._table.report_watermark(self._partition, self._checkpoint.complete_before_us)
            metrics.COMPLETE_BEFORE.labels(self._partition).set(self._checkpoint.complete_before_us / 1e6)
            self._checkpoint = None

    async def _new_checkpoint(self) -> _Checkpoint | None:
        # In this order: what the journals report as shipped is in the stream when its last entry is read.
        shipped_through_us = await self._stream.shipped_through_us()
        if shipped_through_us is None:
            return None
        return _Checkpoint(await self._stream.last_entry_id(), shipped_through_us)
