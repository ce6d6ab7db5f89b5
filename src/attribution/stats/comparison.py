"""Groups beside those of the period before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from attribution.adapters.stats_pages import Groups, Key, values_of
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_table import StatsFacts
from attribution.domain.measures import GRAINS, Dimension
from attribution.domain.periods import Span
from attribution.domain.series import Shift

from .columns import rows_of
from .differences import changes
from .metrics import Columns

_NOWHERE: Final = object()
"""In place of a bucket that the period before does not have: no group's label."""
Table = Mapping[str, Sequence[Any]]
"""An answer's rows by the column."""


class PeriodBefore:
    """Reads what the groups of an answer were in the period before; a bucket of time is compared by its number."""

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

    async def sums(self, facts: StatsFacts, groups: Groups) -> Columns:
        """Of each of these groups."""
        asked = self._question
        wanted = {name: self._shifted(name, values_of(name, groups)) for name in asked.group_by}
        found = await facts.groups(replace(asked, filters={**asked.filters, **wanted}))
        return found.sums_of([self._key(asked.group_by, key) for key in groups.keys])

    async def totals(self, facts: StatsFacts) -> Columns:
        return (await facts.groups(replace(self._question, group_by=()))).sums

    def _key(self, group_by: Sequence[Dimension], key: Key) -> Key:
        return tuple(map(self._back, group_by, key))

    def _back(self, name: Dimension, value: Any) -> Any:
        return value if name not in GRAINS or value is None else self._shift.back(name, value) or _NOWHERE

    def _shifted(self, name: Dimension, values: Sequence[Any]) -> list[Any]:
        """As a filter has them."""
        if name not in GRAINS:
            return list(values)
        return [
            value if value is None else shifted
            for value in values
            if value is None or (shifted := self._shift.back(name, value)) is not None
        ]


def compared(now: Table, before: Table) -> Table:
    """`change`: (now - before) / |before| of the metrics shown; null where there is no value, or it was 0."""
    change = {name: changes(now[name], column) for name, column in before.items()}
    return {**now, "previous": rows_of(before), "change": rows_of(change)}
