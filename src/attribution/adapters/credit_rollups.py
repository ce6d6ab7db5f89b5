"""Sums of credits, kept equal to their entries: in every snapshot, rollups + deltas = entries."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from attribution.domain.ids import ProgramId
from attribution.domain.measures import By
from attribution.domain.periods import TO_THE_DAY, TO_THE_HOUR, Grain

from .postgres import LONG_S
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("credit_rollups")
SUMS: Final = ("counted", "gross_value", "net_value", "discount_value", "commission")


@dataclass(frozen=True, slots=True)
class CreditRollup:
    """A table of sums by `dimensions`, for each bucket of each of the `grains`, by both moments of a credit."""

    table: str
    dimensions: tuple[str, ...]
    grains: tuple[Grain, ...]

    def sql(self, statement: str) -> str:
        return _SQL[statement].format(rollup=self.table, dimensions="".join(f", {name}" for name in self.dimensions))


_ALWAYS = ("type", "new_customer")
_BY_INFLUENCER = ("influencer_id", "campaign_id", "channel", *_ALWAYS)
# The smallest first: the first that has the dimensions of a question answers it.
CREDIT_ROLLUPS: Final = (
    CreditRollup("credits_by_program", _ALWAYS, TO_THE_HOUR),
    CreditRollup("credits_by_time", ("campaign_id", "channel", *_ALWAYS), TO_THE_DAY),
    CreditRollup("credits_by_code", ("code", *_ALWAYS), TO_THE_DAY),
    CreditRollup("credits_by_influencer", _BY_INFLUENCER, TO_THE_DAY),
    CreditRollup("credits_by_audience", ("country", "device", "campaign_id", "channel", *_ALWAYS), TO_THE_DAY),
    CreditRollup("credits_by_link", ("link_id", "post_id", "code", *_BY_INFLUENCER), (Grain.YEAR, Grain.MONTH)),
)


@dataclass(frozen=True, slots=True)
class CreditMismatch:
    """How much more than the entries the rollup has, by the names of `SUMS`."""

    rollup: str
    basis: By
    grain: Grain
    bucket: datetime
    dimensions: tuple[Any, ...]
    sums: tuple[Decimal | int, ...]


async def roll_up(connection: "Connection", limit: int) -> int:
    """Moves up to `limit` deltas; returns how many."""
    await connection.execute(_SQL["stage"])
    taken = int((await connection.execute(_SQL["take"], limit)).rsplit(" ", 1)[1])
    for rollup in CREDIT_ROLLUPS if taken else ():
        await connection.execute(rollup.sql("add"), list(rollup.grains))
    return taken


async def rebuild(connection: "Connection", program_id: ProgramId, zone: str) -> None:
    """In a transaction with one snapshot: what it sees of deltas are entries that it sees too."""
    await connection.execute(_SQL["drop_deltas"], program_id)
    for rollup in CREDIT_ROLLUPS:
        await connection.execute(rollup.sql("drop"), program_id, timeout=LONG_S)
        await connection.execute(rollup.sql("fill"), program_id, list(rollup.grains), zone, timeout=LONG_S)


async def mismatches(connection: "Connection", program_id: ProgramId, zone: str, limit: int) -> list[CreditMismatch]:
    found: list[CreditMismatch] = []
    for rollup in CREDIT_ROLLUPS:
        rows = await connection.fetch(
            rollup.sql("compare"), program_id, zone, list(rollup.grains), limit - len(found), timeout=LONG_S
        )
        found += [
            CreditMismatch(
                rollup.table,
                By(row["basis"]),
                Grain(row["grain"]),
                row["bucket"],
                tuple(row[name] for name in rollup.dimensions),
                tuple(row[name] for name in SUMS),
            )
            for row in rows
        ]
    return found


def credit_rollup_for(columns: Collection[str], grains: Collection[Grain]) -> CreditRollup | None:
    """The smallest that has all columns and one of the grains; None: only the entries have them."""
    fitting = (r for r in CREDIT_ROLLUPS if set(columns) <= set(r.dimensions) and set(grains) & set(r.grains))
    return next(fitting, None)
