"""Rows beside those of the period before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from attribution.adapters.stats_pages import StatsRow, Sums, values_of
from attribution.adapters.stats_question import NONE, Question
from attribution.adapters.stats_table import StatsFacts
from attribution.domain.measures import GRAINS, Dimension
from attribution.domain.periods import Span
from attribution.domain.series import Shift

from .metrics import ratio

_Key = tuple[Any, ...]


class PeriodBefore:
    """Reads what the rows of an answer were in the period before; a bucket of time is compared by its number."""

    def __init__(self, question: Question, before: Span) -> None:
        self._shift = Shift(Span(question.start, question.stop), before, question.zone)
        filters = {name: self._shifted(name, values) for name, values in question.filters.items()}
        self._question = replace(
            question,
            start=before.start,
            stop=before.stop,
            filters=filters,
            buckets=(),
            order=None,
            limit=None,
            offset=0,
        )

    async def sums(self, facts: StatsFacts, rows: Sequence[StatsRow]) -> list[Sums]:
        """Of each of these rows."""
        asked = self._question
        wanted = {name: self._shifted(name, values_of(name, rows)) for name in asked.group_by}
        found = await facts.rows(replace(asked, filters={**asked.filters, **wanted}))
        sums = {tuple(row.dimensions.values()): row.sums for row in found}
        return [sums.get(self._key(row), dict.fromkeys(asked.sums, 0)) for row in rows]

    async def totals(self, facts: StatsFacts) -> Sums:
        [total] = await facts.rows(replace(self._question, group_by=()))
        return total.sums

    def _key(self, row: StatsRow) -> _Key:
        return tuple(self._back(name, value) for name, value in row.dimensions.items())

    def _back(self, name: Dimension, value: Any) -> Any:
        """`NONE`, which no row has, for a bucket that the period before does not have."""
        return value if name not in GRAINS or value is None else self._shift.back(name, value) or NONE

    def _shifted(self, name: Dimension, values: Sequence[Any]) -> list[Any]:
        """As a filter has them."""
        if name not in GRAINS:
            return list(values)
        return [
            value if value == NONE else shifted
            for value in values
            if value == NONE or (shifted := self._shift.back(name, value)) is not None
        ]


def compared(measured: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """`change`: (now - before) / before of the values shown; null where there is no value, or it was 0."""
    change = {name: _change(value, before[name]) for name, value in measured.items()}
    return {**measured, "previous": before, "change": change}


def _change(now: float | str | None, before: float | str | None) -> str | None:
    if now is None or before is None:
        return None
    if isinstance(now, int) and isinstance(before, int):
        return ratio(now - before, before)
    was = Decimal(str(before))
    return ratio(Decimal(str(now)) - was, was)
