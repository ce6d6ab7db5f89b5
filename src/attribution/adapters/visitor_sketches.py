"""Distinct visitors of more clicks than can be counted in time: a mergeable estimate for each bucket.

HyperLogLog with 4,096 registers: its standard error is 1.04 / sqrt(4096) = 1.6 %. Adding a visitor twice changes
nothing, so a quarter of an hour may be added again whenever clicks come late. Source: Flajolet and others,
"HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007; Apache DataSketches.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attribution.domain.ids import ProgramId
from attribution.domain.periods import TO_THE_DAY, Grain

from .postgres import Database
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("visitors")
_LOG2_REGISTERS = 12
STANDARD_ERROR: Final = 0.016
_GROWING = timedelta(minutes=30)
"""So old is a quarter of an hour when few clicks of it are still to come,"""
_CALM = timedelta(minutes=2)
"""and so long ago came the last of a backlog of older ones."""
NOTHING: Final[Mapping[str, int | str]] = {
    "influencer_id": 0, "campaign_id": 0, "channel": "", "link_id": 0, "post_id": 0, "country": "", "device": ""
}  # fmt: skip
"""What stands for none, and for what a kind does not tell apart, by the columns of a sketch's key."""
Cell = tuple[Any, ...]
"""Of a sketch: its kind, grain, bucket, then its columns in the order of `NOTHING`."""


@dataclass(frozen=True, slots=True)
class SketchKind:
    """Which dimensions the sketches tell apart, and the grains of their buckets."""

    name: str
    columns: tuple[str, ...]
    grains: tuple[Grain, ...]

    @property
    def sql(self) -> str:
        """Of the visitors that they are made of."""
        kept = ", ".join(f"coalesce(k.{name}, {NOTHING[name]!r}) AS {name}" for name in self.columns)
        cell = ", ".join([*self.grains, *self.columns])
        return _SQL["visitors"].format(kept=f", {kept}" if kept else "", cell=cell)


_TO_THE_DAY = (Grain.QUARTER, *TO_THE_DAY)
SKETCH_KINDS: Final = (
    SketchKind("program", (), _TO_THE_DAY),
    SketchKind("time", ("campaign_id", "channel"), (Grain.YEAR, Grain.QUARTER, Grain.MONTH, Grain.DAY)),
    SketchKind("audience", ("country", "device"), _TO_THE_DAY),
    SketchKind("influencer", ("influencer_id", "campaign_id", "channel"), _TO_THE_DAY),
    SketchKind(
        "link",
        ("link_id", "post_id", "influencer_id", "campaign_id", "channel"),
        (Grain.YEAR, Grain.QUARTER, Grain.MONTH),
    ),
)


def estimate(sketches: Iterable[bytes], visitors: Iterable[str]) -> int:
    """How many are in any of the sketches or among the visitors; whichever of them came first."""
    # A server that nobody asks for visitors does without the library and its 20 MB.
    from datasketches import hll_sketch, hll_union  # noqa: PLC0415

    union = hll_union(_LOG2_REGISTERS)
    for sketch in sorted(sketches):  # Within its error the estimate depends on their order.
        union.update(hll_sketch.deserialize(sketch))
    for visitor in visitors:
        union.update(visitor)
    return round(float(union.get_estimate()))


class VisitorSketches:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self, now: datetime, quarters: int = 96) -> int:
        """Adds up to so many quarters of an hour of one programme; returns how many."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(_SQL["lead"]):
                return 0
            taken = await connection.fetch(_SQL["take"], now - _GROWING, now - _CALM, quarters)
            if taken:
                await _add(connection, taken[0]["program_id"], [row["at"] for row in taken])
            return len(taken)


async def _add(connection: "Connection", program_id: ProgramId, quarters: list[datetime]) -> None:
    for kind in SKETCH_KINDS:
        visitors = await _visitors(connection, program_id, quarters, kind)
        if visitors:
            known = await connection.fetch(_SQL["sketches"], program_id, *_columns(visitors))
            sketches = {tuple(row.values())[:-1]: row["sketch"] for row in known}
            grown = [_with(sketches.get(cell), new) for cell, new in visitors.items()]
            await connection.execute(_SQL["write"], program_id, *_columns(visitors), *_columns(grown))


async def _visitors(
    connection: "Connection", program_id: ProgramId, quarters: list[datetime], kind: SketchKind
) -> Mapping[Cell, set[str]]:
    visitors: defaultdict[Cell, set[str]] = defaultdict(set)
    async for row in connection.cursor(kind.sql, program_id, quarters, prefetch=1_000):
        place = [row[name] if name in kind.columns else nothing for name, nothing in NOTHING.items()]
        for grain in kind.grains:
            visitors[kind.name, str(grain), row[grain], *place].update(row["visitors"])
    return visitors


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _with(sketch: bytes | None, visitors: Iterable[str]) -> tuple[bytes, int]:
    """And how many are in it."""
    from datasketches import hll_sketch, tgt_hll_type  # noqa: PLC0415

    grown = hll_sketch.deserialize(sketch) if sketch else hll_sketch(_LOG2_REGISTERS, tgt_hll_type.HLL_4)
    for visitor in visitors:
        grown.update(visitor)
    return bytes(grown.serialize_compact()), round(float(grown.get_estimate()))
