"""Recomputations: their progress and what they change, committed together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from attribution.domain.ids import ConversionId, InfluencerId, ProgramId, RecomputationId
from attribution.domain.instants import to_us

from .credit_table import Binding, CreditSession
from .postgres import Database, Row
from .statements import statements
from .stored_conversions import StoredConversion

_SQL = statements("recomputations")
_BEGIN_EPOCH = statements("credits")["begin_epoch"]
_DIFFERENCE: Final = (
    "program_id", "recomputation_id", "conversion_id", "via", "influencer_id", "currency",
    "weight_units_before", "net_minor_before", "net_value_before", "commission_before",
    "weight_units_after", "net_minor_after", "net_value_after", "commission_after",
)  # fmt: skip

Mark = tuple[datetime, ConversionId]
"""All conversions up to this one, in the order of moment and id, are done."""


@dataclass(frozen=True, slots=True)
class Recomputation:
    """One to go on with: of conversions from `reached_at`, after `reached_id` of that moment, to before `end_at`."""

    program_id: ProgramId
    recomputation_id: RecomputationId
    end_at: datetime
    reached_at: datetime
    reached_id: ConversionId
    dry_run: bool
    created_at: datetime

    @property
    def mark(self) -> Mark:
        return self.reached_at, self.reached_id

    @property
    def binding(self) -> Binding:
        return Binding(self.recomputation_id, self.created_at)


class Part(NamedTuple):
    """Of a conversion, what one influencer has of it. `net_value`, `commission`: in the programme's minor units."""

    weight_units: int = 0
    net_minor: int = 0
    net_value: int = 0
    commission: int = 0


class Difference(NamedTuple):
    """Of one influencer's part, or nobody's, of a conversion: the same before and after where credit moved within."""

    conversion_id: ConversionId
    via: str
    influencer_id: InfluencerId | None
    currency: str
    before: Part
    after: Part


class RecomputationTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_waiting(self) -> bool:
        """Whether there is any to go on with."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_SQL["waiting"]))

    @asynccontextmanager
    async def lead(self) -> AsyncIterator["RecomputationSession | None"]:
        """The only one that recomputes for a while; None while another process does."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_SQL["lead"]):
                yield None
                return
            try:
                yield RecomputationSession(connection, self._database)
            finally:
                await connection.execute("SELECT pg_advisory_unlock_all()")

    async def cancel(self, program_id: ProgramId, recomputation_id: int) -> bool:
        """Whether it was still to be done. What it has applied stays."""
        async with self._database.connection() as connection:
            return str(await connection.execute(_SQL["cancel"], program_id, recomputation_id)) != "UPDATE 0"

    async def fail(self, recomputation: Recomputation, error: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(_SQL["fail"], recomputation.program_id, recomputation.recomputation_id, error)

    async def by_order(self, program_id: ProgramId, recomputation_id: int, after: int, limit: int) -> Sequence[Row]:
        """Differences of the next `limit` conversions after one."""
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["differences_by_order"], program_id, recomputation_id, after, limit)

    async def by_influencer(
        self, program_id: ProgramId, recomputation_id: int, offset: int, limit: int
    ) -> Sequence[Row]:
        """Sums of the differences, a row for each influencer and currency."""
        async with self._database.connection() as connection:
            return await connection.fetch(
                _SQL["differences_by_influencer"], program_id, recomputation_id, offset, limit
            )


class RecomputationSession(CreditSession):
    async def next(self) -> Recomputation | None:
        """The oldest."""
        row = await self._connection.fetchrow(_SQL["next"])
        return None if row is None else _recomputation(row)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """As the only writer of credits, once nobody else is."""
        await self._connection.execute(_SQL["await_turn"])
        # A lane may have outlived its leader.
        self._epoch = await self._connection.fetchval(_BEGIN_EPOCH)
        yield

    async def hold(self, recomputation: Recomputation) -> bool:
        """In the batch's transaction: nobody cancels it until its end. False where somebody did."""
        key = (recomputation.program_id, recomputation.recomputation_id)
        status = await self._connection.fetchval(_SQL["hold"], *key)
        if status == "queued":
            await self._connection.execute(_SQL["begin"], *key)
        return status is not None

    @asynccontextmanager
    async def recording(self, recomputation: Recomputation) -> AsyncIterator[bool]:
        """A transaction that writes no credits. False where it was cancelled."""
        async with self._connection.transaction():
            yield await self.hold(recomputation)

    async def batch(self, recomputation: Recomputation, after: Mark, limit: int) -> list[StoredConversion]:
        """The next conversions, bound to it; what they name is written by attributors.

        `new_customer`: where the shop does not say, as its orders tell.
        """
        rows = await self._connection.fetch(
            _SQL["batch"], recomputation.program_id, after[0], recomputation.end_at, after[1], limit
        )
        at_us, recomputation_id = to_us(recomputation.created_at), recomputation.recomputation_id
        return [StoredConversion.bound(row, at_us, recomputation_id) for row in rows]

    async def reach(
        self, recomputation: Recomputation, mark: Mark, conversions: int, differences: Sequence[Difference]
    ) -> None:
        """Progress, with all that came of it."""
        key = (recomputation.program_id, recomputation.recomputation_id)
        if differences:
            await self._differ(key, differences)
        changed = len({difference.conversion_id for difference in differences})
        await self._connection.execute(_SQL["reach"], *key, conversions, changed, *mark)

    async def _differ(self, key: tuple[ProgramId, RecomputationId], differences: Sequence[Difference]) -> None:
        records = [(*key, *difference[:4], *difference.before, *difference.after) for difference in differences]
        try:
            async with self._connection.transaction():
                await self._connection.copy_records_to_table(
                    "recomputation_differences", records=records, columns=_DIFFERENCE
                )
        except asyncpg.UniqueViolationError:
            # Of a conversion whose moment was moved while this goes on.
            await self._connection.execute(_SQL["stage"])
            await self._connection.copy_records_to_table("staged_differences", records=records, columns=_DIFFERENCE)
            await self._connection.execute(_SQL["differ"])

    async def finish(self, recomputation: Recomputation) -> None:
        await self._connection.execute(_SQL["finish"], recomputation.program_id, recomputation.recomputation_id)


def _recomputation(row: Row) -> Recomputation:
    return Recomputation(
        program_id=ProgramId(row["program_id"]),
        recomputation_id=RecomputationId(row["recomputation_id"]),
        end_at=row["end_at"],
        reached_at=row["reached_at"] or row["start_at"],
        reached_id=ConversionId(row["reached_id"] or 0),
        dry_run=row["dry_run"],
        created_at=row["created_at"],
    )
