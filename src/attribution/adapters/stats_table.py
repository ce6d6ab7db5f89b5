"""Reads sums of facts: from rollups, and from rows where those do not reach."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from attribution.domain.fx import minor_rate
from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH
from attribution.domain.measures import IDS, By, Dimension, Sum
from attribution.domain.models import Model
from attribution.domain.periods import Span
from attribution.errors import MissingRateError

from .fx_rate_table import rate_book
from .judged_credits import FOREVER, Judge, judge_again
from .postgres import Database, Row
from .snapshot import Snapshot, snapshot
from .statements import statements
from .stats_composer import Statement, sum_type
from .stats_facts import wanted_rates_statement
from .stats_pages import (
    Groups,
    Key,
    by_source,
    first_readings,
    has_many_objects,
    leading_reading,
    narrowed,
    on_page,
    portions,
    roster_page,
    united,
)
from .stats_question import Bound, Question, Rates, whole
from .stats_sources import COSTS, MONEY
from .stats_sql import page_statement, page_with_totals_statement, roster_statement, summed_statement
from .stats_visitors import (
    SketchPlan,
    is_sketched_statement,
    other_visitors_statement,
    sketch_plan,
    sketched_visitors_statement,
    visitors_statement,
)
from .visitor_sketches import estimate

_SQL = statements("stats")
EXACT_VISITORS_CLICKS: Final = 200_000
"""Over periods of so many clicks of humans, visitors are counted one by one."""
_AT_ONCE: Final = 10
"""Groups whose sketches are united before others have their turn: a millisecond or two."""


class Compose(Protocol):
    def __call__(self, question: Question, *, rolled_up: bool, rates: Rates) -> Statement: ...


class StatsTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def snapshot(self, program_id: ProgramId, *, judging: bool = False) -> AsyncIterator["StatsFacts"]:
        """One state of the database, so that all that is read of it belongs together.

        `judging`: for who will `judge_again`, which writes what it finds to a table of its own.
        """
        async with snapshot(self._database, readonly=not judging) as state:
            as_of, zone, *_ = await state.connection.fetchrow(_SQL["begin"], program_id) or (None, None)
            yield StatsFacts(state, as_of or EPOCH, zone)


class StatsFacts:
    def __init__(self, state: Snapshot, as_of: datetime, rolled_up_in: str | None) -> None:
        self._state = state
        self._rolled_up_in = rolled_up_in
        self.as_of = as_of
        """All that was accepted before it is in the sums."""
        self.visitors_are_estimated = False
        self._clicks: dict[Span, int] = {}
        self._sketched: dict[Span, bool] = {}
        self._ahead: list[tuple[Statement, list[Row]]] = []

    async def judge_again(self, judge: Judge, model: Model, question: Question, start: datetime) -> None:
        """All conversions that can count for the question, from `start`: for questions that are `is_judged_again`.

        Counted by its touch, a conversion may be any time after the period.
        """
        stop = question.stop if question.by is By.CONVERSION else FOREVER
        await judge_again(self._state.connection, judge, model, question.program_id, start, stop)

    async def groups(self, question: Question) -> Groups:
        """Raises `MissingRateError` for a conversion or a cost in a currency that has no rate on its day."""
        rates = await self._rates(question)
        if has_many_objects(question) and question.limit is None and question.order is None:
            groups = united(await self._pages(by_source(question), rates), question.group_by[0])
        else:
            groups = await self._page(question, rates)
        if Sum.UNIQUE_VISITORS in question.sums:
            await self._count_visitors(question, groups)
        return groups

    async def page(self, question: Question) -> tuple[Groups, Groups]:
        """And the totals over all groups whatever the page, as the only one. Raises as `groups` does."""
        rates = await self._rates(question)
        on_it, groups, total = await self._summed(question, rates)
        if Sum.UNIQUE_VISITORS in question.sums:
            if not question.filters:
                self._clicks[Span(question.start, question.stop)] = int(total.sums[Sum.CLICKS][0])
            await self._count_visitors(on_it or narrowed(question, groups), groups)
            if groups.size and not question.group_by:
                return groups, replace(total, sums=groups.sums)
            await self._count_visitors(whole(question), total)
        return groups, total

    async def _summed(self, question: Question, rates: Rates) -> tuple[Question | None, Groups, Groups]:
        """And the question that reads the groups of the page and few others, where it is known."""
        if (found := await self._page_by_roster(question, rates)) is not None:
            return found
        if (on_it := await self._read_first(question, rates)) is not None:
            groups, total = await self._pages([on_it, whole(question)], rates)
            return None, groups, total
        return None, *await self._page_with_totals(question, rates)

    async def _page_by_roster(
        self, question: Question, rates: Rates
    ) -> tuple[Question | None, Groups, Groups] | None:
        """None: it is no such page, or some of the first on the list have no facts, and others follow."""
        page = roster_page(question)
        if page is None:
            return None
        rows = await self._fetch(roster_statement(question, page.kind, page.last, descending=page.descending))
        if not rows:
            return None
        [[last]] = rows
        bounded = replace(question, bound=Bound(page.kind, last, page.descending))
        # Without an offset few rows are read in vain, and to unite them here takes less than to group them there.
        asked = [bounded] if question.offset else by_source(bounded)
        ahead = [] if question.offset else self._visitors_ahead(bounded)
        *parts, total = await self._pages([*asked, whole(question)], rates, ahead)
        groups = united(parts, page.kind, descending=page.descending)
        return (bounded if ahead else None, groups, total) if groups.size == question.limit else None

    def _visitors_ahead(self, question: Question) -> list[Statement]:
        """What will most likely be asked of visitors once the clicks are known, where it is one sketch a group."""
        plan = sketch_plan(question) if self._is_rolled_up(question) else None
        if Sum.UNIQUE_VISITORS not in question.sums or plan is None:
            return []
        if plan.cover.edges or plan.has_several(question):
            return []
        total = whole(replace(question, bound=None))
        return [
            is_sketched_statement(question),
            sketched_visitors_statement(question, plan, beside=False),
            *(sketched_visitors_statement(total, p, beside=False) for p in [sketch_plan(total)] if p),
        ]

    async def _read_first(self, question: Question, rates: Rates) -> Question | None:
        """For the groups of the page; None: no part of the facts tells them."""
        for first in first_readings(question):
            leading = leading_reading(first)
            bounded = on_page(first, leading, await self._page(leading, rates)) if leading else None
            groups = await self._page(bounded or first, rates)
            found = on_page(question, first, groups)
            if found is not None:
                return found
        return None

    async def over(self, question: Question, wrap: Callable[[Statement], Statement]) -> list[Row]:
        """Of a statement made round the one that sums; it has no visitors. Raises as `groups` does."""
        return await self._fetch(wrap(self._composed(summed_statement, question, await self._rates(question))))

    def _composed(self, compose: Compose, question: Question, rates: Rates) -> Statement:
        return compose(question, rolled_up=self._is_rolled_up(question), rates=rates)

    async def _page(self, question: Question, rates: Rates) -> Groups:
        return _groups(await self._fetch(self._composed(page_statement, question, rates)), question)

    async def _pages(
        self, questions: Sequence[Question], rates: Rates, ahead: Sequence[Statement] = ()
    ) -> list[Groups]:
        """`ahead`: statements of which the rows are kept for who will ask for them."""
        wanted = [self._composed(page_statement, asked, rates) for asked in questions]
        found = await self._state.fetch_all([*wanted, *ahead])
        self._ahead = list(zip(ahead, found[len(wanted) :], strict=True))
        return list(map(_groups, found, questions))

    async def _page_with_totals(self, question: Question, rates: Rates) -> tuple[Groups, Groups]:
        found = await self._fetch(self._composed(page_with_totals_statement, question, rates))
        groups = _groups([row for row in found if not row["is_total"]], question)
        return groups, _groups([row for row in found if row["is_total"]], whole(question))

    def _is_rolled_up(self, question: Question) -> bool:
        return self._rolled_up_in == question.zone.key

    async def _rates(self, question: Question) -> Rates:
        """All that the question's money needs."""
        if not set(question.sums) & {*MONEY, *COSTS.sums}:
            return {}
        rows = await self._fetch(wanted_rates_statement(question))
        if not rows:
            return {}
        quote = question.currency
        missing = {(row["day"], row["base"]) for row in rows if row["is_missing"]}
        wanted = [(row["base"], row["day"]) for row in rows if not row["is_missing"]]
        book = await rate_book(self._state.connection, question.program_id, [day for _, day in wanted])
        missing.update((day, base) for base, day in wanted if not book.knows(day, base, quote))
        if missing:
            raise MissingRateError.of(missing, quote)
        return {(base, day): minor_rate(base, quote, book.rate(day, base, quote)) for base, day in sorted(wanted)}

    async def _count_visitors(self, question: Question, groups: Groups) -> None:
        is_large = self._is_rolled_up(question) and await self._is_large(question)
        plan = sketch_plan(question) if is_large else None
        if plan is None:
            visitors = await self._exact_visitors(question)
        else:
            visitors = await self._estimated_visitors(question, plan)
            self.visitors_are_estimated = True
        groups.sums[Sum.UNIQUE_VISITORS] = [visitors.get(key, 0) for key in groups.keys]

    async def _is_large(self, question: Question) -> bool:
        """Whether more clicks than are counted one by one lie in the period, whatever the filters."""
        period = replace(whole(question), filters={}, sums={Sum.CLICKS})
        span = Span(question.start, question.stop)
        if span not in self._clicks:
            [row] = await self._fetch(summed_statement(period, rolled_up=True, rates={}))
            self._clicks[span] = row[Sum.CLICKS]
        return self._clicks[span] > EXACT_VISITORS_CLICKS

    async def _exact_visitors(self, question: Question) -> dict[Key, int]:
        return _by_group(await self._fetch(visitors_statement(question)), question, "unique_visitors")

    async def _estimated_visitors(self, question: Question, plan: SketchPlan) -> dict[Key, int]:
        beside = {} if await self._is_sketched(question, plan) else await self._other_visitors(question, plan)
        parts = portions(question) if plan.has_several(question) else [question]
        counted: dict[Key, int] = {}

        async def count(rows: Sequence[Row]) -> None:
            known = _by_group(rows, question, "visitors")
            for number, (group, sketches) in enumerate(_by_group(rows, question, "sketches").items()):
                if sketches or group in beside:
                    counted[group] = estimate(sketches or (), beside.get(group, ()))
                else:
                    counted[group] = known[group] or 0
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)  # The event loop reads what comes, and answers others.

        await self._read_sketches(
            [sketched_visitors_statement(part, plan, beside=bool(beside)) for part in parts], count
        )
        return counted | {group: estimate((), beside[group]) for group in beside.keys() - counted.keys()}

    async def _read_sketches(
        self, statements: Sequence[Statement], count: Callable[[Sequence[Row]], Awaitable[None]]
    ) -> None:
        if len(statements) == 1:
            await count(await self._fetch(statements[0]))
        else:
            await self._state.fetch_each(statements, lambda _, rows: count(rows))

    async def _other_visitors(self, question: Question, plan: SketchPlan) -> dict[Key, list[str]]:
        rows = await self._fetch(other_visitors_statement(question, plan))
        return _by_group([row for row in rows if row["visitors"]], question, "visitors")

    async def _is_sketched(self, question: Question, plan: SketchPlan) -> bool:
        span = Span(question.start, question.stop)
        if span not in self._sketched:
            [row] = await self._fetch(is_sketched_statement(question))
            self._sketched[span] = row["whole"]
        return self._sketched[span] and not plan.cover.edges

    async def _fetch(self, statement: Statement) -> list[Row]:
        for known, rows in self._ahead:
            if known == statement:
                return rows
        return await self._state.fetch(statement)


def _groups(rows: Sequence[Row], question: Question) -> Groups:
    names = (*question.group_by, *question.added)
    columns = dict(zip(names, list(zip(*rows, strict=True))[-len(names) :] or [()] * len(names), strict=True))
    sums: dict[Sum, Sequence[Decimal | int]] = {name: columns[name] for name in question.added}
    sums |= {name: _numbers(sums[name]) for name in sums if sum_type(name) == "numeric"}
    return Groups(len(rows), {name: _labels(name, columns[name]) for name in question.group_by}, sums)


def _numbers(texts: Sequence[Any]) -> Sequence[Decimal | int]:
    """Integers where all are whole, as mostly: they are less work."""
    try:
        return list(map(int, texts))
    except ValueError:
        return list(map(Decimal, texts))


def _by_group(rows: Sequence[Row], question: Question, value: str) -> dict[Key, Any]:
    """The labels are the first columns."""
    columns = zip(*rows, strict=True)
    labels = [_labels(name, column) for name, column in zip(question.group_by, columns, strict=False)]
    keys = zip(*labels, strict=True) if labels else [()]
    return dict(zip(keys, (row[value] for row in rows), strict=True)) if rows else {}


def _labels(dimension: Dimension, column: Sequence[Any]) -> Sequence[Any]:
    return [None if value is None else str(value) for value in column] if dimension in IDS else column
