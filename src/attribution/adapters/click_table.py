"""Writes clicks: once each, in partitions by month."""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

import asyncpg

from attribution.domain.clicks import CLICK_ID, PROGRAM_ID, TIME, record_time_us, visitor_in
from attribution.domain.instants import from_us
from attribution.domain.quarters import count_by_quarter, quarter_of, quarter_start

from .click_batch import ClickBatch
from .click_rows import COLUMNS, DELTA_COLUMNS, copy_file, delta_rows
from .postgres import Database
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("clicks")
_PROGRESS = statements("journals")
_PARTITION = re.compile(r"clicks_(\d{4})_(\d{2})")
Month = tuple[int, int]
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Bytes that can't become a row, and why. `dead_letter_id` is given when it is stored."""

    reason: str
    detail: str
    data: bytes
    journal_id: UUID | None
    segment: int | None
    position: int | None = None
    """Where in its segment."""
    clicked_at_us: int | None = None
    """Of the click, or of a neighbour where the bytes do not say; None: it is counted in no quarter hour."""
    clicks: int = 1
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
class Source:
    """The clicks of one stream entry, for the ledger."""

    journal_id: UUID
    segment: int
    records: Sequence[bytes]
    quarters: Mapping[int, int]
    """Their number by quarter hour as the shipper counted, so that nobody counts again; empty if it did not."""


@dataclass(frozen=True, slots=True)
class CopyFiles:
    """Clicks, and what they add to the rollups, as COPY takes them."""

    rows: bytes
    deltas: bytes

    @classmethod
    async def of(cls, clicks: ClickBatch) -> Self:
        # In one order, so that writers of the same clicks, after a redelivery, never wait in a circle.
        return cls(copy_file(sorted(clicks.rows)), await _delta_file(clicks.records))


@dataclass(frozen=True, slots=True)
class Stored:
    new: int
    duplicate: int


class ClickTable:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._months: set[Month] = set()

    async def store(
        self,
        clicks: ClickBatch,
        dead_letters: Sequence[DeadLetter],
        committed: Sequence[Committed],
        sources: Sequence[Source] = (),
        files: CopyFiles | None = None,
    ) -> Stored:
        """One transaction: the clicks, what could not become one, how far the journals are done, the ledger.

        `files`: of these clicks, where they are made already. Raises `RejectedRowsError` when the database refuses
        a row's content, and then nothing is stored.
        """
        await self.ensure_partitions(_months(clicks))
        files = files or await CopyFiles.of(clicks)
        try:
            async with self._database.transaction() as connection:
                if clicks:
                    await _copy_new(connection, files.rows)
                    await _copy(connection, "click_deltas", files.deltas, DELTA_COLUMNS)
                await _account(connection, dead_letters, committed, _arrivals(clicks, sources))
            return Stored(len(clicks), 0)
        except _RepeatedClickError:
            async with self._database.transaction() as connection:
                new = await _merge(connection, files.rows)
                await _account(connection, dead_letters, committed, _arrivals_of(new, sources))
            return Stored(len(new), len(clicks) - len(new))

    async def reopen(self, clicks: ClickBatch) -> None:
        """Queues the conversions that these clicks can change.

        After their commit, in a transaction of its own: a conversion is either seen here, or is judged later and
        sees the clicks.
        """
        if not clicks:
            return
        async with self._database.connection() as connection:
            reach = await _reach(connection, clicks)
            if reach and (landed := [record for record in clicks.records if _can_change(record, reach)]):
                await connection.execute(_SQL["reopen"], *_landed_columns(landed))

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
            DeadLetter(
                r["reason"],
                r["detail"],
                r["data"],
                r["journal_id"],
                None,
                dead_letter_id=r["dead_letter_id"],
                created_at=r["created_at"],
            )
            for r in rows
        ]

    async def drop_dead_letters(self, ids: Sequence[int]) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["drop_dead_letters"], ids)

    async def drop_replayed(self, ids: Sequence[int]) -> None:
        """For those whose clicks are stored by now, where the ledger counts them."""
        async with self._database.connection() as connection:
            await connection.execute(_SQL["drop_replayed"], ids)


class _RepeatedClickError(Exception):
    pass


async def _copy_new(connection: "Connection", rows: bytes) -> None:
    """Nearly all clicks are new, and a plain COPY costs less than half of a merge."""
    try:
        await _copy(connection, "clicks", rows, COLUMNS)
    except asyncpg.UniqueViolationError:
        raise _RepeatedClickError from None


async def _copy(connection: "Connection", table: str, rows: bytes, columns: Sequence[str]) -> None:
    # Bytes are the name of a file to asyncpg, and the types do not know that it takes a buffer too.
    source: Any = memoryview(rows)
    await connection.copy_to_table(table, source=source, columns=columns, format="binary")


async def _delta_file(records: Sequence[bytes]) -> bytes:
    rows: list[bytes] = []
    for row in delta_rows(records):
        rows.append(row)
        if len(rows) % _ROWS_AT_ONCE == 0:
            # Another batch is on its way to the database meanwhile.
            await asyncio.sleep(0)
    return copy_file(rows)


async def _merge(connection: "Connection", rows: bytes) -> set[bytes]:
    """The ids of those that were not there."""
    await connection.execute(_SQL["stage"])
    await _copy(connection, "staged_clicks", rows, COLUMNS)
    return {row["click_id"].bytes for row in await connection.fetch(_SQL["merge"])}


Arrivals = Counter[tuple[UUID, int]]


def _arrivals(clicks: ClickBatch, sources: Sequence[Source]) -> Arrivals:
    """Of clicks that are all new."""
    arrivals: Arrivals = Counter()
    if sum(len(source.records) for source in sources) != len(clicks):
        return _arrivals_of({record[CLICK_ID] for record in clicks.records}, sources)
    for source in sources:
        counts = source.quarters
        if sum(counts.values()) != len(source.records):
            counts = count_by_quarter(map(record_time_us, source.records))
        for quarter, count in counts.items():
            arrivals[source.journal_id, quarter] += count
    return arrivals


def _arrivals_of(new: Collection[bytes], sources: Sequence[Source]) -> Arrivals:
    came = {record[CLICK_ID]: (source.journal_id, record) for source in sources for record in source.records}
    return Counter(
        (journal_id, quarter_of(record_time_us(record)))
        for click_id, (journal_id, record) in came.items()
        if click_id in new
    )


async def _account(
    connection: "Connection",
    dead_letters: Sequence[DeadLetter],
    committed: Sequence[Committed],
    arrivals: Arrivals,
) -> None:
    if dead_letters:
        columns = zip(*map(_letter_row, dead_letters), strict=True)
        await connection.execute(_SQL["add_dead_letters"], *columns)
    if arrivals:
        counted = sorted((quarter_start(quarter), journal_id, n) for (journal_id, quarter), n in arrivals.items())
        await connection.execute(_SQL["add_arrivals"], *zip(*counted, strict=True))
    if committed:
        ranges = zip(*((c.journal_id, c.segment, c.start, c.stop) for c in committed), strict=True)
        await connection.execute(_PROGRESS["add_committed"], *ranges)


def _letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    at = None if letter.clicked_at_us is None else quarter_start(quarter_of(letter.clicked_at_us))
    return (
        letter.reason,
        letter.detail,
        letter.data,
        letter.journal_id,
        letter.segment,
        letter.position,
        at,
        letter.clicks,
    )


class _Reach(NamedTuple):
    """Which clicks of a programme can change its conversions."""

    until: datetime
    """A later click than the last conversion changes none, but those that wait for it by its id."""
    awaited: bool


async def _reach(connection: "Connection", clicks: ClickBatch) -> dict[int, _Reach]:
    """By programme, and only those that have such clicks: for most batches none."""
    programs = {int.from_bytes(program, "big") for program in {record[PROGRAM_ID] for record in clicks.records}}
    first, last = (UUID(bytes=record[CLICK_ID]) for record in clicks.first_and_last())
    rows = await connection.fetch(_SQL["reach"], programs, first, last, _clicked_at(first.bytes))
    return {row["program_id"]: _Reach(row["until"], row["awaited"]) for row in rows}


def _can_change(record: bytes, reach: Mapping[int, _Reach]) -> bool:
    of_program = reach.get(int.from_bytes(record[PROGRAM_ID], "big"))
    return of_program is not None and (of_program.awaited or _clicked_at(record[CLICK_ID]) <= of_program.until)


def _landed_columns(records: Sequence[bytes]) -> tuple[Sequence[object], ...]:
    return (
        [int.from_bytes(record[PROGRAM_ID], "big") for record in records],
        [UUID(bytes=record[CLICK_ID]) for record in records],
        [_clicked_at(record[CLICK_ID]) for record in records],
        [visitor_in(record) for record in records],
    )


def _clicked_at(click_id: bytes) -> datetime:
    return from_us(int.from_bytes(click_id[:8], "big"))


def _months(clicks: ClickBatch) -> set[Month]:
    if not clicks:
        return set()
    ends = {_month_at(record[TIME]) for record in clicks.first_and_last()}
    return ends if len(ends) == 1 else {_month_at(record[TIME]) for record in clicks.records}


def _month_at(click_id: bytes) -> Month:
    clicked_at = _clicked_at(click_id)
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
