"""Growth of insights, kept equal to its rows: in every snapshot, rollup + deltas = growth."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attribution.domain.ids import ProgramId
from attribution.domain.insights import METRICS
from attribution.domain.periods import TO_THE_HOUR, Grain

from .postgres import LONG_S
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("insight_rollups")
_FORMS: Final = {
    "metrics": ", ".join(METRICS),
    "sums": ", ".join(f"sum({metric})" for metric in METRICS),
    "excess": ", ".join(f"coalesce(sum({metric}), 0)::bigint AS {metric}_excess" for metric in METRICS),
    "differing": " OR ".join(f"sum({metric}) <> 0" for metric in METRICS),
    "added": ", ".join(
        f"{metric} = coalesce(r.{metric} + excluded.{metric}, r.{metric}, excluded.{metric})" for metric in METRICS
    ),
    "negated": ", ".join(f"-{metric}" for metric in METRICS),
    "grown": ", ".join(f"sum(growth) FILTER (WHERE metric = '{metric}') AS {metric}" for metric in METRICS),
}


@dataclass(frozen=True, slots=True)
class InsightRollup:
    """A table of growth by `dimensions`, for each bucket of each of the `grains`.

    `owners`: of the post, which may pass to others; a trigger on posts keeps them so.
    """

    table: str
    dimensions: tuple[str, ...]
    grains: tuple[Grain, ...]
    owners: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.dimensions + self.owners

    def sql(self, statement: str) -> str:
        listed, owners = ("".join(f", {name}" for name in names) for names in (self.dimensions, self.owners))
        posts = "JOIN posts USING (program_id, post_id)" if self.owners else ""
        return _SQL[statement].format(rollup=self.table, dimensions=listed, owners=owners, posts=posts, **_FORMS)


OWNERS: Final = ("influencer_id", "campaign_id", "channel")
# The smallest first.
INSIGHT_ROLLUPS: Final = (
    InsightRollup("insights_by_program", (), TO_THE_HOUR),
    InsightRollup("insights_by_post", ("post_id",), (Grain.YEAR, Grain.MONTH), OWNERS),
)


@dataclass(frozen=True, slots=True)
class InsightMismatch:
    """How much more than the insights the rollup has, by the names of `METRICS`."""

    rollup: str
    grain: Grain
    bucket: datetime
    dimensions: tuple[Any, ...]
    sums: tuple[int, ...]


async def roll_up(connection: "Connection", limit: int) -> int:
    """Moves up to `limit` deltas; returns how many."""
    await connection.execute(_SQL["stage"])
    taken = int((await connection.execute(_SQL["take"], limit)).rsplit(" ", 1)[1])
    if taken:
        await connection.execute(_SQL["hold_posts"])
    for rollup in INSIGHT_ROLLUPS if taken else ():
        await connection.execute(rollup.sql("add"), list(rollup.grains))
    return taken


async def rebuild(connection: "Connection", program_id: ProgramId, zone: str) -> None:
    """In a transaction with one snapshot: what it sees of deltas is growth that it sees too."""
    await connection.execute(_SQL["drop_deltas"], program_id)
    await connection.execute(_SQL["hold_all_posts"], program_id)
    for rollup in INSIGHT_ROLLUPS:
        await connection.execute(rollup.sql("drop"), program_id, timeout=LONG_S)
        await connection.execute(rollup.sql("fill"), program_id, list(rollup.grains), zone, timeout=LONG_S)


async def mismatches(connection: "Connection", program_id: ProgramId, zone: str, limit: int) -> list[InsightMismatch]:
    found: list[InsightMismatch] = []
    for rollup in INSIGHT_ROLLUPS:
        rows = await connection.fetch(
            rollup.sql("compare"), program_id, zone, list(rollup.grains), limit - len(found), timeout=LONG_S
        )
        found += [
            InsightMismatch(
                rollup.table,
                Grain(row["grain"]),
                row["bucket"],
                tuple(row[name] for name in rollup.dimensions),
                tuple(row[f"{metric}_excess"] for metric in METRICS),
            )
            for row in rows
        ]
    return found


def insight_rollup_for(columns: Collection[str], grains: Collection[Grain]) -> InsightRollup | None:
    """The smallest that has all columns and one of the grains; None: only the growth itself has them."""
    fitting = (r for r in INSIGHT_ROLLUPS if set(columns) <= set(r.columns) and set(grains) & set(r.grains))
    return next(fitting, None)
