"""What a brand asks of its programme, and the answer in the contract's shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from attribution.adapters.stats_sql import Order, Question
from attribution.adapters.stats_table import StatsRow, StatsTable, Sums
from attribution.domain.measures import GRAINS, By, Dimension, Sum
from attribution.domain.programs import Program

from .metrics import METRICS, explained


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """`start` (inclusive) to `end` (exclusive). `sort`: a metric or dimension of the answer.

    `filters`: as `Question` has them.
    """

    start: datetime
    end: datetime
    group_by: Sequence[Dimension] = ()
    metrics: Sequence[str] = tuple(METRICS)
    filters: Mapping[Dimension, Sequence[Any]] = field(default_factory=dict)
    by: By = By.CONVERSION
    sort: str | None = None
    descending: bool = False
    limit: int = 100
    offset: int = 0


class Stats:
    def __init__(self, table: StatsTable) -> None:
        self._table = table

    async def query(self, program: Program, query: StatsQuery) -> Mapping[str, Any]:
        zone = ZoneInfo(program.timezone)
        question = _question(program, zone, query)
        totals = replace(question, group_by=(), order=None, limit=None, offset=0)
        async with self._table.snapshot(program.program_id) as facts:
            rows, more = _page(query, question, await facts.rows(question))
            [total] = await facts.rows(totals)
            others = await facts.other_currencies(question)
        end = query.offset + query.limit
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "timezone": program.timezone,
            "currency": program.currency,
            "model": "recorded",
            "by": query.by.value,
            "as_of": facts.as_of,
            "rows": [_labelled(row, zone) | _measured(row.sums, query.metrics, program) for row in rows],
            "totals": _measured(total.sums, query.metrics, program),
            "definitions": {name: METRICS[name].formula for name in query.metrics},
            "metrics": {name: explained(name) for name in query.metrics},
            "not_additive": [name for name in query.metrics if not METRICS[name].additive],
            "other_currencies": [
                {"currency": currency, "conversions": conversions} for currency, conversions in others
            ],
            "next_offset": end if more else None,
        }


def _question(program: Program, zone: ZoneInfo, query: StatsQuery) -> Question:
    metrics = [METRICS[name] for name in query.metrics]
    sums = {term.sum for metric in metrics for term in (*metric.numerator, *metric.denominator)}
    if Sum.UNIQUE_VISITORS in sums:
        sums.add(Sum.CLICKS)  # Visitors are counted of rows that stand in the answer.
    order = _order(query)
    # Visitors are counted after the sums, so what is sorted by them is read whole.
    whole = _by_visitors(query)
    return Question(
        program_id=program.program_id,
        currency=program.currency,
        gross_margin=program.gross_margin,
        zone=zone,
        start=query.start,
        stop=query.end,
        group_by=query.group_by,
        filters=query.filters,
        sums=sums,
        by=query.by,
        order=None if whole else order,
        limit=None if whole else query.limit + 1,
        offset=0 if whole else query.offset,
    )


def _by_visitors(query: StatsQuery) -> bool:
    metric = METRICS.get(query.sort or "")
    return metric is not None and any(
        term.sum is Sum.UNIQUE_VISITORS for term in (*metric.numerator, *metric.denominator)
    )


def _order(query: StatsQuery) -> Order | None:
    if query.sort is None:
        return None
    if query.sort in METRICS:
        metric = METRICS[query.sort]
        return Order(None, metric.numerator, metric.denominator, query.descending)
    return Order(Dimension(query.sort), descending=query.descending)


def _page(query: StatsQuery, question: Question, rows: Sequence[StatsRow]) -> tuple[Sequence[StatsRow], bool]:
    """And whether there are more."""
    if question.limit is None:
        rows = sorted(rows, key=lambda row: row.sums[Sum.UNIQUE_VISITORS], reverse=query.descending)[query.offset :]
    return rows[: query.limit], len(rows) > query.limit


def _measured(sums: Sums, metrics: Sequence[str], program: Program) -> dict[str, Any]:
    return {name: METRICS[name].value(sums, program.currency, program.gross_margin) for name in metrics}


_FORMATS = {Dimension.MONTH: "%Y-%m", Dimension.WEEK: "%Y-%m-%d", Dimension.DAY: "%Y-%m-%d"}


def _labelled(row: StatsRow, zone: ZoneInfo) -> dict[str, Any]:
    return {str(name): _label(name, value, zone) for name, value in row.dimensions.items()}


def _label(dimension: Dimension, value: Any, zone: ZoneInfo) -> str | None:
    if dimension not in GRAINS:
        return value if value is None else str(value)
    local: datetime = value.astimezone(zone)
    return local.strftime(_FORMATS[dimension]) if dimension in _FORMATS else local.isoformat()
