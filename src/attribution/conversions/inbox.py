"""Orders are taken in while the database is away: fsynced in a journal, and put into the database when it is back."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import structlog

from attribution import metrics
from attribution.adapters.conversion_intake import ConversionIntake, Key, Message
from attribution.domain.conversions import Acceptance, ConversionMessage
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program
from attribution.domain.refunds import RefundMessage
from attribution.errors import (
    ConflictError,
    DatabaseUnavailableError,
    RejectedRowsError,
    UnavailableError,
)
from attribution.journal import Corrupt, Journal, JournalDirectory, JournalReader, Position, split_frames

_log = structlog.get_logger(__name__)
_DATABASE_PATIENCE_S = 2.0
"""An order system waits five seconds for its answer."""
_RETRY_S = 1.0
_REPORT_S = 0.4
_BATCH_RECORDS = 100
_BEGINNING = Position(0, 0)
Report = Callable[[UUID, int], Awaitable[object]]
"""Called with an instant (microseconds) before which all of a journal is in the database."""


class Inbox:
    """A message that was accepted is durable: in the database, or in the journal until it is there."""

    def __init__(self, intake: ConversionIntake, journal: Journal) -> None:
        self._intake = intake
        self._journal = journal
        self._writing = asyncio.Lock()
        self._late: set[asyncio.Task[Any]] = set()

    async def accept(self, program: Program, messages: Sequence[Message]) -> list[Acceptance]:
        """`stored` for all that the journal keeps, as what else they are shows only in the database.

        Raises `UnavailableError` when neither database nor journal takes them.
        """
        storing = asyncio.create_task(self._intake.accept(program.program_id, messages), name="store orders")
        await asyncio.wait({storing}, timeout=_DATABASE_PATIENCE_S)
        if storing.done() and not isinstance(storing.exception(), DatabaseUnavailableError):
            acceptances = storing.result()
        else:
            self._leave(storing)
            await self._keep(program.program_id, messages)
            acceptances = [Acceptance.STORED] * len(messages)
        for acceptance in acceptances:
            metrics.CONVERSIONS_ACCEPTED.labels(acceptance.value).inc()
        return acceptances

    async def currencies(self, program: Program, keys: Collection[Key]) -> Mapping[Key, str]:
        """Of the conversions that are known to be here: of none while the database is away."""
        reading = asyncio.create_task(self._intake.currencies(program.program_id, keys), name="read currencies")
        await asyncio.wait({reading}, timeout=_DATABASE_PATIENCE_S)
        if reading.done() and not isinstance(reading.exception(), DatabaseUnavailableError):
            return reading.result()
        self._leave(reading)
        return {}

    def _leave(self, task: "asyncio.Task[Any]") -> None:
        """To end in its own time: a driver takes many seconds to give up a database that hangs."""
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        task.cancel()

    async def _keep(self, program_id: ProgramId, messages: Sequence[Message]) -> None:
        async with self._writing:
            self._journal.append(encode(program_id, messages))
            try:
                await asyncio.to_thread(self._commit)
            except OSError as error:
                raise UnavailableError(f"the journal refuses: {error}") from error
        metrics.CONVERSIONS_JOURNALLED.inc(len(messages))

    def _commit(self) -> None:
        if not self._journal.commit():
            self._journal.discard_pending()
            raise OSError("the disk is full or broken")
        self._journal.sync()

    async def replay(self, report: Report) -> None:
        """Until cancelled: moves what the journal holds into the database whenever that is there."""
        replayer = Replayer(self._journal.directory, self._intake)
        while True:
            began_us = time.time_ns() // 1000
            if await replayer.step(self._journal.end):
                async with self._writing:
                    await self._retire(replayer)
                await _attempt(report(self._journal.directory.journal_id, began_us))
            await asyncio.sleep(_RETRY_S if self._journal.end.offset else _REPORT_S)

    async def _retire(self, replayer: "Replayer") -> None:
        """Also what a dead process left in the segments before ours."""
        if await replayer.step(self._journal.end):
            if self._journal.end.offset:
                self._journal.rotate()
            replayer.remove_before(self._journal.end.segment)


class Replayer:
    def __init__(self, directory: JournalDirectory, intake: ConversionIntake) -> None:
        self._directory = directory
        self._intake = intake
        self._reader = JournalReader(directory, _BATCH_RECORDS)
        self._position = _BEGINNING

    async def step(self, end: Position) -> bool:
        """Whether all up to `end` is in the database now. A repeat changes nothing there."""
        try:
            while (batch := self._reader.read(self._position, end)) is not None:
                for record in split_frames(batch.frames):
                    await self._replay(record)
                self._position = batch.end
        except DatabaseUnavailableError as error:
            _log.info("orders_wait_in_journal", error=str(error))
            return False
        return True

    async def _replay(self, record: bytes | Corrupt) -> None:
        if isinstance(record, Corrupt):
            self._set_aside(record.data, "no frame with a right checksum")
            return
        try:
            program_id, messages = decode(record)
            await self._intake.accept(program_id, messages)
        except (RejectedRowsError, ConflictError, ValueError, TypeError, KeyError) as error:
            self._set_aside(record, str(error))

    def _set_aside(self, data: bytes, reason: str) -> None:
        """For an operator to look at: it was accepted, so it is kept, and it holds up no other."""
        path = self._directory.path / "rejected"
        with path.open("ab") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        metrics.CONVERSIONS_CORRUPT.inc()
        _log.error("orders_set_aside", bytes=len(data), reason=reason, file=str(path))

    def remove_before(self, segment: int) -> None:
        self._reader.close()
        for old in self._directory.segments():
            if old < segment:
                self._directory.remove(old)

    async def finish(self, retire: Callable[[UUID], Awaitable[None]]) -> None:
        """For the journal of a dead process: until it is empty."""
        segments = self._directory.segments()
        end = Position(segments[-1], self._directory.size(segments[-1]))
        while not await self.step(end):
            await asyncio.sleep(_RETRY_S)
        await _attempt(retire(self._directory.journal_id))
        self.remove_before(end.segment + 1)


async def _attempt(call: Awaitable[object]) -> None:
    try:
        await call
    except UnavailableError as error:
        _log.debug("orders_not_reported", error=str(error))


def encode(program_id: ProgramId, messages: Sequence[Message]) -> bytes:
    return orjson.dumps([program_id, [message.encode().decode() for message in messages]])


def decode(record: bytes) -> tuple[ProgramId, list[Message]]:
    program_id, messages = orjson.loads(record)
    return ProgramId(program_id), [_decode_message(message.encode()) for message in messages]


def _decode_message(data: bytes) -> Message:
    """Of the two, only a refund has an id of its own."""
    return RefundMessage.decode(data) if "refund_id" in orjson.loads(data) else ConversionMessage.decode(data)
