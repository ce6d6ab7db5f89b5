"""What a brand asks of its programme, and the answer in the contract's shape."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.judged_credits import Judge
from attribution.adapters.stats_pages import Groups
from attribution.adapters.stats_question import Order, Question
from attribution.adapters.stats_sources import CREDITS
from attribution.adapters.stats_table import StatsFacts, StatsTable
from attribution.domain.measures import GRAINS, By, Dimension, Sum
from attribution.domain.models import Model
from attribution.domain.periods import Span
from attribution.domain.programs import Program
from attribution.domain.series import BUCKETS_MAX, buckets_of, has_too_many, period_before
from attribution.errors import FieldError, InvalidInputError

from .columns import rows_of
from .comparison import PeriodBefore, Table, compared
from .metrics import METRICS, Columns, estimated, explained, measured

RECORDED: Final = "recorded"
"""As the answer's model: each credit as its rule gave it."""


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """`start` (inclusive) to `end` (exclusive). `sort`: a metric or dimension of the answer.

    `filters`: as `Question` has them. `fill`: empty buckets of time too; None: where it is grouped by time alone.
    """

    start: datetime
    end: datetime
    group_by: Sequence[Dimension] = ()
    metrics: Sequence[str] = tuple(METRICS)
    filters: Mapping[Dimension, Sequence[Any]] = field(default_factory=dict)
    by: By = By.CONVERSION
    model: Model | None = None
    """None: credits as they are recorded."""
    fill: bool | None = None
    compare: bool = False
    """With the period before."""
    sort: str | None = None
    descending: bool = False
    limit: int = 100
    offset: int = 0


class Stats:
    def __init__(self, table: StatsTable, judge: Judge) -> None:
        self._table = table
        self._judge = judge
        # Each holds a connection for as long as the conversions of its period need.
        self._judging = asyncio.Semaphore(1)

    async def query(self, program: Program, query: StatsQuery) -> Mapping[str, Any]:
        """Raises `InvalidInputError`, and `MissingRateError` for a cost that cannot be exchanged."""
        question = _question(program, query)
        before = _before(question) if query.compare else None
        async with self._facts(query, question, before) as facts:
            found, total = await facts.page(question)
            groups, more = _page(query, question, found)
            zone = question.zone
            table: Table = _shown(groups, zone) | _measured(query, program, groups.sums)
            totals: Table = _measured(query, program, total.sums)
            if before is not None:
                earlier = PeriodBefore(question, before)
                table = compared(table, _measured(query, program, await earlier.sums(facts, groups)))
                totals = compared(totals, _measured(query, program, await earlier.totals(facts)))
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "previous_period": before and {"from": before.start.astimezone(zone), "to": before.stop.astimezone(zone)},
            "timezone": program.timezone,
            "currency": program.currency,
            "model": query.model or RECORDED,
            "by": query.by.value,
            "as_of": facts.as_of,
            "rows": rows_of(table),
            "totals": rows_of(totals)[0],
            "definitions": {name: METRICS[name].formula for name in query.metrics},
            "metrics": {name: explained(name) for name in query.metrics},
            "estimated": estimated(visitors=facts.visitors_are_estimated),
            "not_additive": [name for name in query.metrics if not METRICS[name].additive],
            "next_offset": query.offset + query.limit if more else None,
        }

    @asynccontextmanager
    async def _facts(self, query: StatsQuery, question: Question, before: Span | None) -> AsyncIterator[StatsFacts]:
        program_id = question.program_id
        if query.model is None or not question.asks(CREDITS):
            async with self._table.snapshot(program_id) as facts:
                yield facts
            return
        async with self._judging, self._table.snapshot(program_id, judging=True) as facts:
            await facts.judge_again(self._judge, query.model, question, before.start if before else question.start)
            yield facts


def _question(program: Program, query: StatsQuery) -> Question:
    metrics = [METRICS[name] for name in query.metrics]
    sums = {term.sum for metric in metrics for term in (*metric.numerator, *metric.denominator)}
    if Sum.UNIQUE_VISITORS in sums:
        sums.add(Sum.CLICKS)  # Visitors are counted of rows that stand in the answer.
    zone = ZoneInfo(program.timezone)
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
        is_judged_again=query.model is not None,
        buckets=_buckets(query, zone),
        order=None if whole else _order(query),
        limit=None if whole else query.limit + 1,
        offset=0 if whole else query.offset,
    )


def _buckets(query: StatsQuery, zone: ZoneInfo) -> Sequence[Mapping[Dimension, datetime]]:
    times = [name for name in query.group_by if name in GRAINS]
    only_times = len(times) == len(query.group_by)
    if not times or not (only_times if query.fill is None else query.fill):
        return ()
    period = Span(query.start, query.end)
    if has_too_many(period, times):
        if query.fill is None:
            return ()
        raise InvalidInputError(
            FieldError(
                ("query", "group_by"),
                f"has more than {BUCKETS_MAX} buckets of time to fill: ask for a shorter period, or `fill=false`",
            )
        )
    return buckets_of(period, zone, times, query.filters)


def _before(question: Question) -> Span:
    period = Span(question.start, question.stop)
    times = [name for name in question.dimensions if name in GRAINS]
    try:
        if times and has_too_many(period, times):
            raise InvalidInputError(
                FieldError(("query", "compare"), f"is for at most {BUCKETS_MAX} buckets of time: shorten the period")
            )
        return period_before(period, question.zone)
    except (ValueError, OverflowError):
        raise InvalidInputError(FieldError(("query", "compare"), "there is no time before this period")) from None


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


def _page(query: StatsQuery, question: Question, groups: Groups) -> tuple[Groups, bool]:
    """And whether there are more."""
    if question.limit is not None:
        return groups.first(query.limit), groups.size > query.limit
    visitors = groups.sums[Sum.UNIQUE_VISITORS]
    places = sorted(range(groups.size), key=visitors.__getitem__, reverse=query.descending)[query.offset :]
    return groups.picked(places[: query.limit]), len(places) > query.limit


def _measured(query: StatsQuery, program: Program, sums: Columns) -> dict[str, Sequence[Any]]:
    return measured(query.metrics, sums, program.currency, program.gross_margin)


_LENGTHS = {Dimension.MONTH: len("2026-11"), Dimension.WEEK: len("2026-11-20"), Dimension.DAY: len("2026-11-20")}


def _shown(groups: Groups, zone: ZoneInfo) -> dict[str, Sequence[Any]]:
    """The labels, by the column. There are few moments among many groups."""
    shown: dict[str, Sequence[Any]] = {}
    for name, column in groups.labels.items():
        if name in GRAINS:
            moments = {at: None if at is None else _moment(name, at, zone) for at in set(column)}
            shown[name.value] = [moments[at] for at in column]
        else:
            shown[name.value] = column
    return shown


def _moment(dimension: Dimension, at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat()[: _LENGTHS.get(dimension)]
