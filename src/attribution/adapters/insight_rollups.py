"""Growth of insights by post, kept equal to its rows: in every snapshot, rollup + deltas = growth."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attribution.domain.ids import ProgramId
from attribution.domain.insights import METRICS
from attribution.domain.periods import Grain

from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = {
    name: sql.format(
        metrics=", ".join(METRICS),
        sums=", ".join(f"sum({metric})" for metric in METRICS),
        excess=", ".join(f"coalesce(sum({metric}), 0)::bigint" for metric in METRICS),
        added=", ".join(
            f"{metric} = coalesce(r.{metric} + excluded.{metric}, r.{metric}, excluded.{metric})"
            for metric in METRICS
        ),
        negated=", ".join(f"-{metric}" for metric in METRICS),
        grown=", ".join(f"sum(growth) FILTER (WHERE metric = '{metric}') AS {metric}" for metric in METRICS),
        noughts=", ".join("0" for _ in METRICS),
    )
    for name, sql in statements("insight_rollups").items()
}
GRAINS: Final = (Grain.YEAR, Grain.MONTH)


@dataclass(frozen=True, slots=True)
class InsightMismatch:
    """How much more than the insights the rollup has, by the names of `METRICS`."""

    grain: Grain
    bucket: datetime
    post_id: int
    sums: tuple[int, ...]


async def roll_up(connection: "Connection", limit: int) -> int:
    """Moves up to `limit` deltas; returns how many."""
    await connection.execute(_SQL["stage"])
    taken = int((await connection.execute(_SQL["take"], limit)).rsplit(" ", 1)[1])
    if taken:
        await connection.execute(_SQL["add"], list(GRAINS))
    return taken


async def rebuild(connection: "Connection", program_id: ProgramId) -> None:
    """In a transaction with one snapshot: what it sees of deltas is growth that it sees too."""
    await connection.execute(_SQL["stage"])
    for statement in ("drop_deltas", "drop", "take_rows"):
        await connection.execute(_SQL[statement], program_id)
    await connection.execute(_SQL["add"], list(GRAINS))


async def mismatches(connection: "Connection", program_id: ProgramId, zone: str, limit: int) -> list[InsightMismatch]:
    rows = await connection.fetch(_SQL["compare"], program_id, zone, list(GRAINS), limit)
    return [InsightMismatch(Grain(row[0]), row[1], row[2], tuple(row)[3:]) for row in rows]
