"""Orders while Postgres is away: accepted in bounded time, fsynced, and in the database when it is back."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio
from tests.support.databases import fresh_database, migrate_template
from tests.support.pipeline import in_background
from tests.support.processes import pause, resume
from tests.support.waiting import eventually

from attribution.adapters.conversion_intake import ConversionIntake, Message
from attribution.adapters.postgres import Database
from attribution.adoption import Adopter
from attribution.conversions.inbox import Inbox, Replayer
from attribution.domain.click_id import ClickTokens
from attribution.domain.conversions import Acceptance, ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program
from attribution.domain.refunds import RefundMessage
from attribution.embedded.postgres import EmbeddedPostgres
from attribution.errors import UnavailableError
from attribution.journal import Journal, JournalDirectory, JournalPolicy
from attribution.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
POLICY = JournalPolicy(segment_bytes=1_000_000, memory_bytes=1_000_000)
STORED = [Acceptance.STORED]


def make_order(order_id: str, minor: int = 1000, later_s: int = 0) -> ConversionMessage:
    return ConversionMessage(
        source="default",
        type="purchase",
        external_id=order_id,
        updated_at=NOON + timedelta(seconds=later_s),
        occurred_at=NOON,
        status=ConversionStatus.CONFIRMED,
        currency="EUR",
        gross_minor=minor,
    )


class Office:
    """Two processes' worth of parts: an inbox, and what adopts the journals of dead ones."""

    def __init__(self, database: Database, program: Program, root: Path) -> None:
        self.database = database
        self.program = program
        self.root = root
        self.intake = ConversionIntake(database, ClickTokens({1: b"k" * 32}))
        self.reports: list[UUID] = []

    def directory(self, name: str = "orders-0") -> JournalDirectory:
        directory = JournalDirectory.claim(self.root / name)
        assert directory is not None
        return directory

    def inbox(self, directory: JournalDirectory | None = None) -> Inbox:
        return Inbox(self.intake, Journal(directory or self.directory(), POLICY))

    async def report(self, journal_id: UUID, _: int) -> None:
        self.reports.append(journal_id)

    async def adopt(self, left: JournalDirectory) -> None:
        await Replayer(left, self.intake).finish(self._forget)

    async def _forget(self, journal_id: UUID) -> None:
        self.reports.append(journal_id)

    async def post(self, inbox: Inbox, *messages: Message) -> list[Acceptance]:
        return await inbox.accept(self.program, messages)

    async def orders(self) -> dict[str, int]:
        rows = await self._fetch("SELECT external_id, gross_minor FROM conversions ORDER BY conversion_id")
        return {row[0]: row[1] for row in rows}

    async def events(self) -> list[str]:
        rows = await self._fetch("SELECT external_id FROM conversion_events ORDER BY event_id")
        return [row[0] for row in rows]

    async def _fetch(self, statement: str) -> Sequence[Any]:
        async with self.database.connection() as connection:
            return await connection.fetch(statement)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path_factory.mktemp("own-postgres")) as server:
        await migrate_template(server, tmp_path_factory.mktemp("migrate"))
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def office(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(Settings(database_url=await fresh_database(postgres), database_pool_size=2))
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT program_id FROM programs WHERE key = 'default'")
        program_id = (
            row["program_id"]
            if row
            else await connection.fetchval(
                "INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)"
                " VALUES ('default', 'D', 'EUR', 'UTC', 'click_id', 1) RETURNING program_id"
            )
        )
    yield Office(database, _program(program_id), tmp_path)
    await database.close()


def _program(program_id: int) -> Program:
    return Program(ProgramId(program_id), "default", "EUR", "UTC", "click_id")


@asynccontextmanager
async def killed(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    await postgres.kill()
    try:
        yield
    finally:
        await postgres.start()


@contextmanager
def paused(postgres: EmbeddedPostgres) -> "Iterator[None]":
    pause(postgres.pid)
    try:
        yield
    finally:
        resume(postgres.pid)


async def test_with_the_database_there_nothing_goes_to_the_journal(office: Office) -> None:
    inbox = office.inbox()
    assert await office.post(inbox, make_order("1"), make_order("1")) == [Acceptance.STORED, Acceptance.DUPLICATE]
    assert await office.orders() == {"1": 1000}
    assert inbox._journal.directory.size_bytes() == 0


async def test_orders_of_a_killed_database_are_kept_and_replayed_in_their_order(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    inbox = office.inbox()
    async with killed(postgres):
        for number in range(5):
            assert await office.post(inbox, make_order(str(number))) == STORED
    async with in_background(inbox.replay(office.report)):
        await eventually(lambda: _orders_are(office, 5), timeout=20)
        await eventually(lambda: inbox._journal.directory.size_bytes() == 0)
    assert await office.events() == ["0", "1", "2", "3", "4"]


async def _orders_are(office: Office, count: int) -> bool:
    try:
        return len(await office.orders()) == count
    except UnavailableError:
        return False


async def test_a_database_that_hangs_delays_an_order_by_a_bounded_time(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    inbox = office.inbox()
    await office.post(inbox, make_order("before"))
    with paused(postgres):
        began = time.monotonic()
        answers = await asyncio.gather(*(office.post(inbox, make_order(str(n))) for n in range(20)))
        seconds = time.monotonic() - began
    assert answers == [STORED] * 20
    assert seconds < 4
    async with in_background(inbox.replay(office.report)):
        await eventually(lambda: _orders_are(office, 21), timeout=30)


async def test_an_order_is_fsynced_before_it_is_answered(
    office: Office, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = office.inbox()
    synced: list[int] = []
    fdatasync = os.fdatasync

    def sync(file: int) -> None:
        fdatasync(file)
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fdatasync", sync)
    async with killed(postgres):
        await office.post(inbox, make_order("1"))
        assert synced == [inbox._journal.end.offset]


async def test_without_database_and_disk_an_order_is_refused_and_not_half_kept(
    office: Office, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    inbox = office.inbox()
    async with killed(postgres):
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", full)
            with pytest.raises(UnavailableError):
                await inbox._keep(office.program.program_id, [make_order("refused")])
        assert await office.post(inbox, make_order("kept")) == STORED
    async with in_background(inbox.replay(office.report)):
        await eventually(lambda: _orders_are(office, 1), timeout=20)
    assert await office.orders() == {"kept": 1000}


async def test_replays_and_repeats_double_nothing_and_older_never_replaces_newer(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    inbox = office.inbox()
    newer, older = make_order("1", 2000, later_s=5), make_order("1", 1000)
    await office.post(inbox, newer)
    async with killed(postgres):
        await office.post(inbox, newer)
        await office.post(inbox, older, make_order("2"), make_order("2"))
    for _ in range(2):
        assert await _replayed(office, inbox)
    assert await office.orders() == {"1": 2000, "2": 1000}
    assert sorted(await office.events()) == ["1", "1", "2"]


async def _replayed(office: Office, inbox: Inbox) -> bool:
    replayer = Replayer(inbox._journal.directory, office.intake)
    await eventually(lambda: replayer.step(inbox._journal.end), timeout=20)
    return True


async def test_a_refund_is_kept_before_its_order_and_both_are_replayed(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    """Its currency is not known while the database is away, so nothing is refused."""
    inbox = office.inbox()
    refund = RefundMessage("default", "1", "r1", NOON, "2.505")
    async with killed(postgres):
        assert await inbox.currencies(office.program, {refund.key}) == {}
        assert await office.post(inbox, refund) == STORED
        assert await office.post(inbox, make_order("1")) == STORED
    for _ in range(2):
        assert await _replayed(office, inbox)
    assert [tuple(row) for row in await office._fetch("SELECT gross_minor, refunded_minor FROM conversions")] == [
        (1000, 251)
    ]
    assert await inbox.currencies(office.program, {refund.key}) == {refund.key: "EUR"}


async def test_a_dead_process_s_orders_are_adopted(office: Office, postgres: EmbeddedPostgres) -> None:
    directory = office.directory()
    async with killed(postgres):
        await office.post(office.inbox(directory), make_order("1"), make_order("2"))
    directory.release()
    async with in_background(Adopter(office.root, "orders", 0.05, office.adopt).run()):
        await eventually(lambda: _orders_are(office, 2), timeout=20)
        await eventually(lambda: directory.segments() == [])
    assert office.reports == [directory.journal_id]


async def test_what_a_dead_process_left_in_our_own_journal_is_emptied_too(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    directory = office.directory()
    async with killed(postgres):
        await office.post(office.inbox(directory), make_order("1"))
    directory.release()
    again = office.directory()
    async with in_background(office.inbox(again).replay(office.report)):
        await eventually(lambda: _orders_are(office, 1), timeout=20)
        await eventually(lambda: again.segments() == [2])


async def test_damage_costs_no_other_order(office: Office, postgres: EmbeddedPostgres) -> None:
    inbox = office.inbox()
    async with killed(postgres):
        for number in range(3):
            await office.post(inbox, make_order(str(number)))
    file = inbox._journal.directory.segment_path(1)
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)
    async with in_background(inbox.replay(office.report)):
        await eventually(lambda: _orders_are(office, 2), timeout=20)


async def test_an_order_that_the_database_refuses_for_ever_holds_up_no_other(
    office: Office, postgres: EmbeddedPostgres
) -> None:
    inbox = office.inbox()
    stranger = replace(office.program, program_id=ProgramId(987654))
    async with killed(postgres):
        await inbox.accept(stranger, [make_order("of no programme")])
        await office.post(inbox, make_order("1"))
    async with in_background(inbox.replay(office.report)):
        await eventually(lambda: _orders_are(office, 1), timeout=60)
        await eventually(lambda: inbox._journal.directory.size_bytes() == 0, timeout=60)
    kept = inbox._journal.directory.path / "rejected"
    assert b"of no programme" in kept.read_bytes()
