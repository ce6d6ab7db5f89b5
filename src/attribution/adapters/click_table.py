"""Writes clicks: once each, in partitions by month."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from attribution.domain.clicks import Click
from attribution.domain.ids import ClickId, ProgramId
from attribution.domain.instants import from_us

from .postgres import Database
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("clicks")
_PROGRESS = statements("journals")
_COLUMNS = (
    "program_id", "clicked_at", "click_id", "link_id", "influencer_id", "campaign_id", "post_id", "channel",
    "is_bot", "agent_class", "visitor_id", "ip", "referrer_host", "sub1", "sub2", "sub3", "sub4", "sub5",
)  # fmt: skip
_PARTITION = re.compile(r"clicks_(\d{4})_(\d{2})")
Month = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes that can't become a row, and why. `dead_letter_id` is given when it is stored."""

    reason: str
    detail: str
    data: bytes
    journal_id: UUID | None
    segment: int | None
    dead_letter_id: int = 0
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """Bytes of a journal that this batch answers for."""

    journal_id: UUID
    segment: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Stored:
    new: int
    duplicate: int


class ClickTable:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._months: set[Month] = set()

    async def store(
        self, clicks: Sequence[Click], dead_letters: Sequence[DeadLetter], committed: Sequence[Committed]
    ) -> Stored:
        """One transaction: the clicks, what could not become one, and how far the journals are done.

        Raises `RejectedRowsError` when the database refuses a row's content, and then nothing is stored.
        """
        await self.ensure_partitions({month_of(click) for click in clicks})
        # In one order, so that writers of the same clicks, after a redelivery, never wait in a circle.
        rows = [_row(click) for click in sorted(clicks, key=_key)]
        try:
            async with self._database.transaction() as connection:
                await _copy_new(connection, rows)
                await _account(connection, dead_letters, committed)
            return Stored(len(rows), 0)
        except _RepeatedClickError:
            async with self._database.transaction() as connection:
                new = await _merge(connection, rows)
                await _account(connection, dead_letters, committed)
            return Stored(new, len(rows) - new)

    async def reopen(self, clicks: Sequence[Click]) -> None:
        """Queues the conversions that these clicks can change.

        After their commit, in a transaction of its own: a conversion is either seen here, or is judged later and
        sees the clicks.
        """
        columns = list(
            zip(
                *((c.program_id, UUID(bytes=c.click_id), from_us(c.clicked_at_us), c.visitor_id) for c in clicks),
                strict=True,
            )
        )
        async with self._database.connection() as connection:
            await connection.execute(_SQL["reopen"], *columns)

    async def ensure_partitions(self, months: Iterable[Month]) -> None:
        missing = sorted(set(months) - self._months)
        if not missing:
            return
        async with self._database.connection() as connection:
            self._months = {_month(row["relname"]) for row in await connection.fetch(_SQL["partitions"])}
            for month in missing:
                if month not in self._months:
                    await _create_partition(connection, month)
                    self._months.add(month)

    async def report_watermark(self, partition: int, complete_before_us: int) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["report_watermark"], partition, from_us(complete_before_us))

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The oldest first."""
        return await self._dead_letters("dead_letters", limit)

    async def dead_letters_by_id(self, ids: Sequence[int]) -> list[DeadLetter]:
        return await self._dead_letters("dead_letters_by_id", ids)

    async def _dead_letters(self, statement: str, argument: Any) -> list[DeadLetter]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL[statement], argument)
        return [
            DeadLetter(r["reason"], r["detail"], r["data"], None, None, r["dead_letter_id"], r["created_at"])
            for r in rows
        ]

    async def drop_dead_letters(self, ids: Sequence[int]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["drop_dead_letters"], ids)


class _RepeatedClickError(Exception):
    pass


async def _copy_new(connection: "Connection", rows: Sequence[tuple[Any, ...]]) -> None:
    """Nearly all clicks are new, and a plain COPY costs less than half of a merge."""
    try:
        if rows:
            await connection.copy_records_to_table("clicks", records=rows, columns=_COLUMNS)
    except asyncpg.UniqueViolationError:
        raise _RepeatedClickError from None


async def _merge(connection: "Connection", rows: Sequence[tuple[Any, ...]]) -> int:
    await connection.execute(_SQL["stage"])
    await connection.copy_records_to_table("staged_clicks", records=rows, columns=_COLUMNS)
    tag = await connection.execute(_SQL["merge"])
    return int(tag.rsplit(" ", 1)[1])


async def _account(
    connection: "Connection", dead_letters: Sequence[DeadLetter], committed: Sequence[Committed]
) -> None:
    if dead_letters:
        columns = zip(*((d.reason, d.detail, d.data, d.journal_id, d.segment) for d in dead_letters), strict=True)
        await connection.execute(_SQL["add_dead_letters"], *columns)
    if committed:
        ranges = zip(*((c.journal_id, c.segment, c.start, c.stop) for c in committed), strict=True)
        await connection.execute(_PROGRESS["add_committed"], *ranges)


def _key(click: Click) -> tuple[ProgramId, ClickId]:
    return (click.program_id, click.click_id)


def _row(click: Click) -> tuple[Any, ...]:
    return (
        click.program_id,
        from_us(click.clicked_at_us),
        UUID(bytes=click.click_id),
        click.link_id,
        click.influencer_id,
        click.campaign_id,
        click.post_id,
        click.channel and click.channel.value,
        click.agent_class.is_bot,
        click.agent_class.value,
        click.visitor_id,
        click.ip,
        click.referrer_host,
        *click.subs,
    )


def month_of(click: Click) -> Month:
    clicked_at = from_us(click.clicked_at_us)
    return (clicked_at.year, clicked_at.month)


def months_ahead(now: datetime, count: int) -> list[Month]:
    """This month and the `count` after it."""
    first = now.year * 12 + now.month - 1
    return [divmod_month(first + ahead) for ahead in range(count + 1)]


def divmod_month(index: int) -> Month:
    year, month = divmod(index, 12)
    return (year, month + 1)


def _month(name: str) -> Month:
    match = _PARTITION.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else (0, 0)


async def _create_partition(connection: "Connection", month: Month) -> None:
    """Made on the side and then attached, which does not lock out those who read and write the others."""
    year, number = month
    name = f"clicks_{year:04d}_{number:02d}"
    start, stop = (_bound(divmod_month(year * 12 + number - 1 + ahead)) for ahead in (0, 1))
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('attribution.partitions'))")
        if await connection.fetchval("SELECT to_regclass($1)", name) is None:
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute(f"CREATE TABLE {name} (LIKE clicks INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            await connection.execute(
                f"ALTER TABLE clicks ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({stop})"
            )


def _bound(month: Month) -> str:
    """The first instant of a month; after the calendar's last there is none."""
    year, number = month
    return f"'{datetime(year, number, 1, tzinfo=UTC).isoformat()}'" if year <= MAXYEAR else "MAXVALUE"
