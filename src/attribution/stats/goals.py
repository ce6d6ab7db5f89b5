"""How far campaigns got with what they are for."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from attribution.adapters.goal_table import AimedCampaign, GoalTable
from attribution.domain.goals import GOAL_METRICS
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program

from .columns import ratio
from .metrics import METRICS
from .query import StatsQuery
from .reader import StatsReader

LESS_IS_BETTER: Final = frozenset({"cost_per_lead", "cpa"})
_STATS: Final[Mapping[str, tuple[str, ...]]] = {
    "posts": (),
    "visits": ("clicks",),
    "cost_per_lead": ("cost", "leads"),
}
"""The metrics of stats that a metric of a goal needs, where it is none itself."""
_FORMULAS: Final = {
    "posts": "posts of the campaign published in the period that are not disabled; without a date: made here in it",
    "visits": "clicks: " + METRICS["clicks"].formula,
    "cost_per_lead": "cost / leads",
}


class GoalReports:
    def __init__(self, table: GoalTable, stats: StatsReader) -> None:
        self._table = table
        self._stats = stats

    async def report(
        self, program: Program, campaign: AimedCampaign, start: datetime, end: datetime
    ) -> Mapping[str, Any]:
        """Of a campaign that has a goal. Raises `MissingRateError` for a cost that cannot be exchanged."""
        names = GOAL_METRICS[campaign.goal] if campaign.goal else ()
        wanted = dict.fromkeys(needed for name in names for needed in _STATS.get(name, (name,)))
        answer = await self._stats.query(
            program,
            StatsQuery(start, end, metrics=list(wanted), filters={Dimension.CAMPAIGN: [campaign.campaign_id]}),
        )
        posts = await self._table.posts(program.program_id, campaign.campaign_id, start, end)
        figures = {name: _figure(name, answer["totals"], posts) for name in names}
        return {
            "id": str(campaign.campaign_id),
            "name": campaign.name,
            "goal": campaign.goal,
            "starts_at": campaign.starts_at,
            "ends_at": campaign.ends_at,
            "from": answer["from"],
            "to": answer["to"],
            "as_of": answer["as_of"],
            "currency": program.currency,
            "metrics": {name: _beside(name, figure, campaign.targets.get(name)) for name, figure in figures.items()},
        }


def _figure(name: str, totals: Mapping[str, Any], posts: int) -> Any:
    match name:
        case "posts":
            return posts
        case "visits":
            return totals["clicks"]
        case "cost_per_lead":
            return ratio(Decimal(totals["cost"]), Decimal(str(totals["leads"])))
    return totals[name]


def _beside(name: str, figure: Any, target: Decimal | None) -> Mapping[str, Any]:
    less_is_better = name in LESS_IS_BETTER
    reached = share = None
    if target is not None and figure is not None:
        value = Decimal(str(figure))
        reached = value <= target if less_is_better else value >= target
        share = ratio(target, value) if less_is_better else ratio(value, target)
    return {
        "figure": figure,
        "target": None if target is None else f"{target:f}",
        "share": share,
        "reached": reached,
        "better": "lower" if less_is_better else "higher",
        "formula": _FORMULAS.get(name) or METRICS[name].formula,
    }
