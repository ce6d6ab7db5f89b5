"""Recomputations of a programme, and what the reference says that they give."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database
from attribution.adapters.recomputation_table import RecomputationTable
from attribution.conversions.recomputer import Recomputer, RecomputerPolicy

from .recorded import Key
from .reference import Judged, Version, World, judge_all
from .worlds import durations, instant

EVER = (instant(0), instant(4_000_000_000_000_000))


@dataclass(frozen=True)
class Asked:
    """What a recomputation puts in place of the rules; all None: nothing."""

    rule: Version | None = None
    model: str | None = None
    half_life: int | None = None
    position_weights: tuple[Fraction, Fraction, Fraction] | None = None
    windows: Mapping[str, int] | None = None
    min_gap: int | None = None

    def world(self, world: World) -> World:
        """With the rules by which it judges."""
        rules = [Version(0, {}), *world.rules] if self.rule is None else [replace(self.rule, effective_from=0)]
        return replace(world, rules=[self._changed(rule) for rule in rules])

    def _changed(self, rule: Version) -> Version:
        return replace(
            rule,
            model=self.model or rule.model,
            half_life=self.half_life or rule.half_life,
            position_weights=self.position_weights or rule.position_weights,
            windows={**rule.windows, **(self.windows or {})},
            min_gap=rule.min_gap if self.min_gap is None else self.min_gap,
        )

    def columns(self) -> dict[str, Any]:
        return {
            "rule_id": self.rule and self.rule.rule_id,
            "model": self.model,
            "half_life": self.half_life and f"PT{self.half_life / 1_000_000:f}S",
            "position_weights": self.position_weights and [f"{float(share):f}" for share in self.position_weights],
            "windows": durations(self.windows or {}),
            "min_click_to_conversion": None if self.min_gap is None else f"PT{self.min_gap // 1_000_000}S",
        }


async def ask(
    database: Database, program: int, asked: Asked, period: tuple[datetime, datetime] = EVER, *, dry_run: bool = False
) -> int:
    start, end = period
    row = await Objects(database, "recomputations").create(
        program, asked.columns() | {"start_at": start, "end_at": end, "dry_run": dry_run}
    )
    recomputation_id: int = row["id"]
    return recomputation_id


async def recompute(database: Database, table: RecomputationTable | None = None, batch: int = 3) -> None:
    """All that waits."""
    table = table or RecomputationTable(database)
    recomputer = Recomputer(table, RecomputerPolicy(batch))
    while await table.is_waiting():
        await recomputer.step()


async def state(database: Database, program: int, recomputation_id: int) -> dict[str, Any]:
    return dict(await Objects(database, "recomputations").read(program, recomputation_id))


Parts = dict[tuple[str, int | None], tuple[int, int]]
"""(via, influencer) -> weight and net."""


def parts(judged: Judged) -> Parts:
    sums: Parts = {}
    for target, part in judged.credits.items():
        weight, net = sums.get((target.via, target.influencer), (0, 0))
        sums[target.via, target.influencer] = (weight + part.weight, net + part.net)
    return sums


Difference = tuple[tuple[int, int], tuple[int, int]]
"""Weight and net before, and after."""


def differences(before: World, after: World) -> dict[tuple[Key, str, int | None], Difference]:
    """Of whom any credit differs, even where it only moved from one click to another."""
    was, now = judge_all(before), judge_all(after)
    found = {}
    for key in was:
        old, new = parts(was[key]), parts(now[key])
        for target, _ in was[key].credits.items() ^ now[key].credits.items():
            whose = (target.via, target.influencer)
            found[key, *whose] = (old.get(whose, (0, 0)), new.get(whose, (0, 0)))
    return found


async def recorded_differences(
    database: Database, program: int, recomputation_id: int
) -> dict[tuple[Key, str, int | None], Difference]:
    rows = await RecomputationTable(database).by_order(program, recomputation_id, 0, 1_000)  # type: ignore[arg-type]
    return {
        ((r["source"], r["type"], r["external_id"]), r["via"], r["influencer_id"]): (
            (r["weight_units_before"], r["net_minor_before"]),
            (r["weight_units_after"], r["net_minor_after"]),
        )
        for r in rows
    }
