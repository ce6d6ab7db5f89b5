"""Sums of clicks, kept equal to their rows: in every snapshot, rollups + deltas = clicks.

Credits, insights and the values of customers move with them; owners of costs are compared and mended with them.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attribution.domain.ids import ProgramId
from attribution.domain.periods import TO_THE_DAY, TO_THE_HOUR, Grain

from . import cost_owners, credit_rollups, customer_values, insight_rollups
from .cost_owners import CostMismatch
from .credit_rollups import CreditMismatch
from .insight_rollups import InsightMismatch
from .postgres import LONG_S, Database
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("rollups")


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of sums by `dimensions`, for each bucket of each of the `grains`, the finest last."""

    table: str
    dimensions: tuple[str, ...]
    grains: tuple[Grain, ...]

    def sql(self, statement: str) -> str:
        return _SQL[statement].format(rollup=self.table, dimensions="".join(f", {name}" for name in self.dimensions))


# The smallest first: the first that has the dimensions of a question answers it. By link there are as many days as
# clicks, so days are read from the rows.
CLICK_ROLLUPS: Final = (
    Rollup("clicks_by_program", (), TO_THE_HOUR),
    Rollup("clicks_by_time", ("campaign_id", "channel"), TO_THE_HOUR),
    Rollup("clicks_by_influencer", ("influencer_id", "campaign_id", "channel"), TO_THE_DAY),
    Rollup("clicks_by_audience", ("country", "device", "campaign_id", "channel"), TO_THE_DAY),
    Rollup(
        "clicks_by_link",
        ("link_id", "influencer_id", "campaign_id", "channel", "post_id"),
        (Grain.YEAR, Grain.MONTH),
    ),
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """`clicks` and `bot_clicks`: how many more than the rows the rollup has."""

    rollup: str
    grain: Grain
    bucket: datetime
    dimensions: tuple[Any, ...]
    clicks: int
    bot_clicks: int


class Rollups:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, limit: int) -> int:
        """How many deltas are not rolled up yet, counted up to `limit`."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval(_SQL["waiting"], limit))

    async def roll_up(self, limit: int) -> int:
        """Moves up to `limit` deltas into the rollups; returns how many. None while another process does it."""
        async with self._leading() as connection:
            if connection is None:
                return 0
            await connection.execute(_SQL["stage"])
            tag = await connection.execute(_SQL["take"], limit)
            taken = int(tag.rsplit(" ", 1)[1])
            if taken:
                await _add(connection)
            taken += await credit_rollups.roll_up(connection, limit)
            taken += await customer_values.roll_up(connection, limit)
            # The last, as it holds posts until the end, and who tells insights of them waits.
            return taken + await insight_rollups.roll_up(connection, limit)

    async def outdated(self) -> list[ProgramId]:
        """Programmes whose rollups are of another time zone, or were never made."""
        async with self._database.connection() as connection:
            return [ProgramId(row["program_id"]) for row in await connection.fetch(_SQL["to_rebuild"])]

    async def rebuild(self, program_id: ProgramId) -> bool:
        """Anew from the rows, in the programme's time zone of now, while the service runs.

        Readers see the old rollups until all is done. False while another process rolls up.
        """
        async with self._leading(isolation="repeatable_read") as connection:
            if connection is None:
                return False
            await connection.execute(_SQL["prepare_rebuild"])
            zone = await connection.fetchval(_SQL["begin_rebuild"], program_id)
            # What this transaction sees of deltas are clicks that it sees too; later ones stay deltas.
            await connection.execute(_SQL["drop_deltas"], program_id)
            for rollup in CLICK_ROLLUPS:
                await connection.execute(rollup.sql("drop"), program_id, timeout=LONG_S)
                grains = (list(rollup.grains), rollup.grains[-1])
                await connection.execute(rollup.sql("fill"), program_id, *grains, zone, timeout=LONG_S)
            await connection.execute(_SQL["drop_sketches"], program_id)
            await connection.execute(_SQL["mark_all_unsketched"], program_id, timeout=LONG_S)
            await credit_rollups.rebuild(connection, program_id, zone)
            await customer_values.rebuild(connection, program_id)
            await insight_rollups.rebuild(connection, program_id, zone)
            await cost_owners.rebuild(connection, program_id)
            return True

    async def mismatches(self, program_id: ProgramId, limit: int) -> list[Mismatch]:
        """Where rollups and rows differ, of one state of the database. Reads all rows of the programme."""
        found: list[Mismatch] = []
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            zone = await connection.fetchval(_SQL["zone"], program_id)
            for rollup in CLICK_ROLLUPS if zone is not None else ():
                grains = (list(rollup.grains), rollup.grains[-1])
                rows = await connection.fetch(
                    rollup.sql("compare"), program_id, zone, *grains, limit - len(found), timeout=LONG_S
                )
                found += [
                    Mismatch(
                        rollup.table,
                        Grain(row["grain"]),
                        row["bucket"],
                        tuple(row[name] for name in rollup.dimensions),
                        row["clicks"],
                        row["bot_clicks"],
                    )
                    for row in rows
                ]
        return found

    async def credit_mismatches(self, program_id: ProgramId, limit: int) -> list[CreditMismatch]:
        """As `mismatches`, of credits."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            zone = await connection.fetchval(_SQL["zone"], program_id)
            return [] if zone is None else await credit_rollups.mismatches(connection, program_id, zone, limit)

    async def insight_mismatches(self, program_id: ProgramId, limit: int) -> list[InsightMismatch]:
        """As `mismatches`, of insights."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            zone = await connection.fetchval(_SQL["zone"], program_id)
            return [] if zone is None else await insight_rollups.mismatches(connection, program_id, zone, limit)

    async def customer_mismatches(self, program_id: ProgramId, limit: int) -> list[str]:
        """As `mismatches`, of customers, by their ids."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            return await customer_values.mismatches(connection, program_id, limit)

    async def cost_mismatches(self, program_id: ProgramId, limit: int) -> list[CostMismatch]:
        """As `mismatches`, of the owners that costs keep."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            return await cost_owners.mismatches(connection, program_id, limit)

    @asynccontextmanager
    async def _leading(self, **options: Any) -> "AsyncIterator[Connection | None]":
        async with self._database.transaction(**options) as connection:
            yield connection if await connection.fetchval(_SQL["lead"]) else None


async def _add(connection: "Connection") -> None:
    for rollup in CLICK_ROLLUPS:
        await connection.execute(rollup.sql("add"), list(rollup.grains), rollup.grains[-1])
    await connection.execute(_SQL["mark_unsketched"])


def rollup_for(columns: Collection[str], grains: Collection[Grain]) -> Rollup | None:
    """The smallest that has all columns and one of the grains; None: only the rows have them."""
    return next((r for r in CLICK_ROLLUPS if set(columns) <= set(r.dimensions) and set(grains) & set(r.grains)), None)
