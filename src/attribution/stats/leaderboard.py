"""Who is best and worst at a metric, as far as the data can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.postgres import Row
from attribution.adapters.rankings import CLICKS_OF_AN_EVENT, Ranking, Spread, ranked
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_sources import CREDITS
from attribution.adapters.stats_table import StatsFacts, StatsTable
from attribution.domain.measures import Dimension, Sum
from attribution.domain.money import exponent
from attribution.domain.programs import Program

from .columns import as_count, ratio
from .metrics import METRICS, Metric, Unit, estimated, explained, is_told_by, shown_sums

LESS_IS_BETTER: Final = frozenset({"bot_clicks", "refunds", "commission", "discount", "cost", "cpc", "cpa"})


class End(StrEnum):
    BEST = "best"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class _Evidence:
    """By what a ratio's events are counted, how many are enough by default, and how it follows them.

    `clicks_tell`, `cost_tells`: of what else so much as goes with so many events is enough.
    """

    of: Sum
    minimum: int
    spread: Spread
    moving: tuple[Sum, ...] = ()
    clicks_tell: bool = False
    cost_tells: bool = False


_EVIDENCE: Final[Mapping[str, _Evidence]] = {
    "ctr": _Evidence(Sum.IMPRESSIONS, 1_000, Spread.PROPORTION),
    "engagement_rate": _Evidence(Sum.REACH, 1_000, Spread.PROPORTION),
    "conversion_rate": _Evidence(Sum.CLICKS, 100, Spread.PROPORTION),
    "aov": _Evidence(Sum.ORDERS, 10, Spread.NOTHING),
    "epc": _Evidence(Sum.CONVERSIONS, 10, Spread.NUMERATOR, (Sum.COMMISSION,), clicks_tell=True),
    "cpc": _Evidence(Sum.CLICKS, 100, Spread.DENOMINATOR),
    "cpa": _Evidence(Sum.CONVERSIONS, 10, Spread.DENOMINATOR, clicks_tell=True),
    "roas": _Evidence(Sum.ORDERS, 10, Spread.NUMERATOR, (Sum.NET,), clicks_tell=True, cost_tells=True),
    "roi": _Evidence(Sum.ORDERS, 10, Spread.NUMERATOR, (Sum.NET,), clicks_tell=True, cost_tells=True),
}
_METHODS: Final = {
    Spread.NOTHING: None,
    Spread.PROPORTION: "wilson",
    Spread.NUMERATOR: "byar",
    Spread.DENOMINATOR: "byar",
}
DEFINITION: Final = (
    "best are those with the greatest lower bound, worst those with the least upper bound (where less is better, the"
    " other way round) of the interval of 95 %: of ctr, engagement_rate and conversion_rate Wilson's, or, above 1,"
    " Byar's for the numerator; of epc, roas and roi Byar's for the number of conversions or orders, to which"
    " commission or revenue is taken to be in proportion (without any, as the mean of all that are compared); of cpc"
    " and cpa Byar's for the denominator; others have none. Enough data is `minimum` of `evidence`, of epc, cpa, roas"
    f" and roi also {CLICKS_OF_AN_EVENT} x `minimum` clicks, of roas and roi also a cost of `minimum` mean orders; a"
    " value over 0, as cpa without conversions, is none. Counts and sums of conversions that are better if they are"
    " more are 0 for who had clicks alone"
)


@dataclass(frozen=True, slots=True)
class LeaderboardQuery:
    """`minimum`: of what the metric's `evidence` counts; None: the metric's own."""

    start: datetime
    end: datetime
    by: Dimension
    metric: str
    order: End = End.BEST
    minimum: int | None = None
    filters: Mapping[Dimension, Sequence[Any]] = field(default_factory=dict)
    limit: int = 10


class Leaderboards:
    def __init__(self, table: StatsTable) -> None:
        self._table = table

    async def query(self, program: Program, query: LeaderboardQuery) -> Mapping[str, Any]:
        """Raises `MissingRateError` for a cost that cannot be exchanged."""
        metric, evidence = METRICS[query.metric], _EVIDENCE.get(query.metric)
        ranking = _ranking(query, metric, evidence)
        async with self._table.snapshot(program.program_id) as facts:
            question = _question(program, query, evidence)
            rows: Sequence[Row | Mapping[str, Any]]
            if Sum.UNIQUE_VISITORS in question.sums:
                rows = await _visited(facts, question, query)
            else:
                rows = await ranked(facts, question, ranking)
        zone = ZoneInfo(program.timezone)
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "currency": program.currency,
            "as_of": facts.as_of,
            "by": query.by.value,
            "metric": query.metric,
            "order": query.order.value,
            "better": "lower" if query.metric in LESS_IS_BETTER else "higher",
            "evidence": evidence and evidence.of.value,
            "minimum": ranking.minimum,
            "rows": [_row(row, query, metric, evidence, program) for row in rows if row[query.by] is not None],
            "ranked": rows[0]["ranked"],
            "too_little_data": rows[0]["found"] - rows[0]["ranked"],
            "estimated": estimated(visitors=facts.visitors_are_estimated),
            "definition": {**explained(query.metric), "ranking": DEFINITION},
        }


def _ranking(query: LeaderboardQuery, metric: Metric, evidence: _Evidence | None) -> Ranking:
    is_best = query.order is End.BEST
    less_is_better = query.metric in LESS_IS_BETTER
    minimum = evidence.minimum if evidence else 0
    return Ranking(
        dimension=query.by,
        numerator=metric.numerator,
        denominator=metric.denominator,
        evidence=evidence.of if evidence else None,
        spread=evidence.spread if evidence else Spread.NOTHING,
        moving=evidence.moving if evidence else (),
        clicks_tell=_clicks_tell(query, evidence),
        cost_tells=evidence is not None and evidence.cost_tells,
        by_upper=is_best is less_is_better,
        descending=is_best is not less_is_better,
        minimum=minimum if query.minimum is None or evidence is None else query.minimum,
        limit=query.limit,
    )


def _question(program: Program, query: LeaderboardQuery, evidence: _Evidence | None) -> Question:
    metric = METRICS[query.metric]
    sums = {term.sum for term in (*metric.numerator, *metric.denominator)}
    # Visitors are counted of rows that stand in the answer.
    if Sum.UNIQUE_VISITORS in sums or _clicks_tell(query, evidence):
        sums.add(Sum.CLICKS)
    return Question(
        program_id=program.program_id,
        currency=program.currency,
        gross_margin=program.gross_margin,
        zone=ZoneInfo(program.timezone),
        start=query.start,
        stop=query.end,
        group_by=(query.by,),
        filters=query.filters,
        sums=sums | ({evidence.of} if evidence else set()),
    )


def _clicks_tell(query: LeaderboardQuery, evidence: _Evidence | None) -> bool:
    """Whether who had clicks and no more stands in the answer: it must be asked for them, where they are known."""
    if not is_told_by("clicks", query.by):
        return False
    if evidence is not None:
        return evidence.clicks_tell
    of = {term.sum for term in METRICS[query.metric].numerator}
    return query.metric not in LESS_IS_BETTER and of <= set(CREDITS.sums)


async def _visited(facts: StatsFacts, question: Question, query: LeaderboardQuery) -> Sequence[Mapping[str, Any]]:
    """As `ranked` answers. Distinct visitors are not summed: those of all groups are counted, and ordered here."""
    groups, _ = await facts.page(question)
    counts = zip(groups.labels[query.by], groups.sums[Sum.UNIQUE_VISITORS], strict=True)
    named = sorted((visitors, name) for name, visitors in counts if name is not None)
    if query.order is End.BEST:
        named.reverse()
    numbers = {"found": len(named), "ranked": len(named)}
    first = [{query.by: name, Sum.UNIQUE_VISITORS: visitors} | numbers for visitors, name in named[: query.limit]]
    return first or [{query.by: None} | numbers]


def _row(
    row: Row | Mapping[str, Any],
    query: LeaderboardQuery,
    metric: Metric,
    evidence: _Evidence | None,
    program: Program,
) -> Mapping[str, Any]:
    sums = {term.sum: row[term.sum] for term in (*metric.numerator, *metric.denominator)}
    method = _METHODS[evidence.spread] if evidence else None
    if method == "wilson" and row["numerator"] > row["denominator"]:
        method = "byar"
    money = metric.unit is Unit.MONEY

    def figure(value: float | None) -> str | None:
        scale = -exponent(program.currency) if money else 0
        return None if value is None else ratio(Decimal(value).scaleb(scale), Decimal(1))

    return {
        query.by.value: str(row[query.by]),
        "value": metric.value(sums, program.currency, program.gross_margin),
        "interval": {"method": method, "lower": figure(row["lower"]), "upper": figure(row["upper"])}
        if method
        else None,
        "evidence": as_count(row[evidence.of]) if evidence else None,
        "sums": shown_sums(sums, program.currency),
    }
