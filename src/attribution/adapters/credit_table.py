"""Appends the credits; one attributor at a time does."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from attribution.domain.attribution import Credit
from attribution.domain.codes import code_key
from attribution.domain.ids import ConversionId, ProgramId, RecomputationId
from attribution.errors import DatabaseUnavailableError

from .credit_entries import COLUMNS, differences, entry
from .credit_facts import CreditFacts, columns_of
from .postgres import Database
from .statements import statements
from .stored_conversions import ConversionKey, Judged, Outcome, StoredConversion, array_of, arrays_of

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("credits")


@dataclass(frozen=True, slots=True)
class Binding:
    """Of conversions to a recomputation: from now on its terms judge them, and what was known at its instant."""

    recomputation_id: RecomputationId
    at: datetime


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of the queue, and the conversions they ask to be judged, with the customer of each."""

    queue_rows: Sequence[tuple[ProgramId, int]]
    conversions: Mapping[ConversionKey, str | None]


class CreditTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def lead(self) -> AsyncIterator["CreditSession | None"]:
        """None while another attributor leads."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_SQL["lead"]):
                yield None
                return
            try:
                yield CreditSession(connection, self._database)
            finally:
                await connection.execute("SELECT pg_advisory_unlock_all()")

    async def settled(self, at: datetime) -> datetime:
        """The earlier of `at` and now: no credit recorded by then is still to be seen."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["await_writers"])
            now: datetime = await connection.fetchval(_SQL["now"])
        return min(at, now)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["CreditFacts"]:
        """All reads see one state of the database."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            yield CreditFacts(connection)


class CreditSession(CreditFacts):
    """The leading attributor's: takes work from the queue and writes what came of it."""

    visitors_are_named = True

    def __init__(self, connection: "Connection", database: Database, epoch: int | None = None) -> None:
        super().__init__(connection)
        self._database = database
        self._epoch = epoch

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Self]:
        """A further connection to write with.

        It holds no lock of the leader's, so its transactions are fenced: they end with `DatabaseUnavailableError`
        once a later leader has taken work.
        """
        async with self._database.connection() as connection:
            yield type(self)(connection, self._database, self._epoch)

    async def take(self, limit: int) -> Work:
        """The oldest rows; nothing is locked, as there is one leader. Lanes of leaders before it write no more."""
        rows = await self._connection.fetch(_SQL["queued"], limit)
        if rows:
            self._epoch = await self._connection.fetchval(_SQL["begin_epoch"])
        wanted = {(r["program_id"], r["conversion_id"]): r["owner"] for r in rows if r["conversion_id"] is not None}
        customers = [(r["program_id"], r["customer_id"], r["since"]) for r in rows if r["customer_id"] is not None]
        if customers:
            found = await self._connection.fetch(_SQL["of_customers"], *columns_of(customers, 3))
            wanted |= {(row["program_id"], row["conversion_id"]): row["customer_id"] for row in found}
        return Work([(row["program_id"], row["queue_id"]) for row in rows], dict(sorted(wanted.items())))

    async def name_visitors(self, conversions: Sequence[StoredConversion]) -> None:
        new = [(c.key, visitor) for c in conversions for visitor in c.visitors - c.named]
        old = [(c.key, visitor) for c in conversions for visitor in c.named - c.visitors]
        arrived = [(c.key, c.click_id) for c in conversions if c.has_arrived]
        if new or old or arrived:
            columns = (*_named(new), *_named(old), *_named(arrived))
            await self._connection.execute(_SQL["name_visitors"], *columns)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Shuts new rules, windows and codes out until its end, so that what it binds is bound to all it saw."""
        async with self._connection.transaction(isolation="repeatable_read"):
            await self._connection.execute(_SQL["shut_out_versions"])
            if self._epoch is not None and await self._connection.fetchval(_SQL["epoch"]) != self._epoch:
                raise DatabaseUnavailableError("another attributor leads by now")
            yield

    async def write(self, judged: Sequence[Judged]) -> None:
        """Appends what differs from the credits so far; what is the same leaves no entry."""
        before = await self.credits_recorded([j.conversion.key for j in judged if j.conversion.is_judged])
        await self.append(judged, before)

    async def append(
        self,
        judged: Sequence[Judged],
        before: Mapping[ConversionId, Sequence[Credit]],
        binding: Binding | None = None,
    ) -> None:
        """`binding`: that of a recomputation; without one, first credit binds."""
        at: datetime = await self._connection.fetchval(_SQL["now"])
        recomputation_id = binding.recomputation_id if binding else None
        entries = [
            (*entry(j.conversion.key, at, credit), recomputation_id)
            for j in judged
            for credit in differences(before.get(j.conversion.conversion_id, ()), j.valuation.credits)
        ]
        if entries:
            columns = (*COLUMNS, "recomputation_id")
            await self._connection.copy_records_to_table("credit_entries", records=entries, columns=columns)
        numbers: dict[Outcome, int] = {}
        of_each = [numbers.setdefault(j.outcome, len(numbers) + 1) for j in judged]
        await self._connection.execute(
            _SQL["judged"], *arrays_of(j.conversion.key for j in judged), array_of(of_each),
            *columns_of([outcome.row() for outcome in numbers], 9), recomputation_id,
            binding.at if binding else None, at,
        )  # fmt: skip
        codes = {
            (j.conversion.program_id, code_key(text), j.conversion.conversion_id)
            for j in judged
            if not j.attribution.credited
            for text in j.conversion.facts.discount_codes
        }
        if codes:
            await self._connection.execute(_SQL["await_codes"], *columns_of(sorted(codes), 3))

    async def done(self, work: Work) -> None:
        await self._connection.execute(_SQL["done"], *arrays_of(work.queue_rows))


def _named(pairs: Sequence[tuple[ConversionKey, Any]]) -> tuple[str, str, list[Any]]:
    return (*arrays_of(key for key, _ in pairs), [name for _, name in pairs])
