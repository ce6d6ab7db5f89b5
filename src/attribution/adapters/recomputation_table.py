"""Recomputations: their progress and what they change, committed together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from attribution.domain.ids import ConversionId, InfluencerId, ProgramId, RecomputationId

from .credit_table import Binding, CreditSession
from .postgres import Database, Row
from .statements import statements

_SQL = statements("recomputations")
_BEGIN_EPOCH = statements("credits")["begin_epoch"]


@dataclass(frozen=True, slots=True)
class Recomputation:
    """One to go on with: of conversions from `reached_at`, after `reached_id` of that moment, to before `end_at`."""

    program_id: ProgramId
    recomputation_id: RecomputationId
    end_at: datetime
    reached_at: datetime
    reached_id: ConversionId
    dry_run: bool
    is_new: bool
    created_at: datetime

    @property
    def binding(self) -> Binding:
        return Binding(self.recomputation_id, self.created_at)


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one influencer's part, or nobody's, of a conversion."""

    conversion_id: ConversionId
    via: str
    influencer_id: InfluencerId | None
    currency: str
    weight_before: Decimal
    net_minor_before: int
    weight_after: Decimal
    net_minor_after: int


class RecomputationTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_waiting(self) -> bool:
        """Whether there is any to go on with."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_SQL["waiting"]))

    @asynccontextmanager
    async def lead(self) -> AsyncIterator["RecomputationSession | None"]:
        """The only writer of credits for a while; None while another process recomputes."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_SQL["lead"]):
                yield None
                return
            try:
                await connection.execute(_SQL["await_turn"])
                # A lane may have outlived its leader.
                epoch = await connection.fetchval(_BEGIN_EPOCH)
                yield RecomputationSession(connection, self._database, epoch)
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

    async def hold(self, recomputation: Recomputation) -> bool:
        """In the batch's transaction. False where it was cancelled."""
        key = (recomputation.program_id, recomputation.recomputation_id)
        if await self._connection.fetchrow(_SQL["hold"], *key) is None:
            return False
        if recomputation.is_new:
            await self._connection.execute(_SQL["begin"], *key)
        return True

    async def batch(self, recomputation: Recomputation, limit: int) -> list[tuple[ConversionId, datetime]]:
        """The next conversions and their moments."""
        rows = await self._connection.fetch(
            _SQL["batch"],
            recomputation.program_id,
            recomputation.reached_at,
            recomputation.end_at,
            recomputation.reached_id,
            limit,
        )
        return [(row["conversion_id"], row["occurred_at"]) for row in rows]

    async def reach(
        self,
        recomputation: Recomputation,
        batch: Sequence[tuple[ConversionId, datetime]],
        differences: Sequence[Difference],
    ) -> None:
        """Progress, with all that came of it."""
        key = (recomputation.program_id, recomputation.recomputation_id)
        if differences:
            await self._connection.execute(_SQL["differ"], *key, *_columns(differences))
        reached_id, reached_at = batch[-1]
        changed = len({difference.conversion_id for difference in differences})
        await self._connection.execute(_SQL["reach"], *key, len(batch), changed, reached_at, reached_id)

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
        is_new=row["status"] == "queued",
        created_at=row["created_at"],
    )


def _columns(differences: Sequence[Difference]) -> list[list[Any]]:
    return [
        [d.conversion_id for d in differences],
        [d.via for d in differences],
        [d.influencer_id for d in differences],
        [d.currency for d in differences],
        [d.weight_before for d in differences],
        [d.net_minor_before for d in differences],
        [d.weight_after for d in differences],
        [d.net_minor_after for d in differences],
    ]
