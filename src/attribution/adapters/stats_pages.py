"""Which groups can stand on a page: where a part of the facts tells, the others are read for those groups alone.

A group that this part lacks comes later than all that fill the page, or, where they are ordered by a dimension, has a
value beyond the last of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from attribution.domain.measures import GRAINS, IDS, Dimension, Sum, Term

from .stats_question import Bound, Order, Question
from .stats_sources import INSIGHTS, SOURCES, Source

_MANY = 100
_PORTION = 200
Sums = dict[Sum, Decimal | int]
Key = tuple[Any, ...]
"""Of a group: its labels."""


@dataclass(frozen=True, slots=True)
class Groups:
    """So many groups by the column. `labels`: months to hours the instants where they begin, all others text."""

    size: int
    labels: dict[Dimension, Sequence[Any]]
    sums: dict[Sum, Sequence[Decimal | int]]

    @property
    def keys(self) -> list[Key]:
        return list(zip(*self.labels.values(), strict=True)) if self.labels else [()] * self.size

    @property
    def last(self) -> Sums:
        """Those of the last group."""
        return {name: column[-1] for name, column in self.sums.items()}

    def sums_of(self, keys: Sequence[Key]) -> dict[Sum, Sequence[Decimal | int]]:
        """Of the groups of these keys; 0 where there is none."""
        known = self.keys
        if known == keys:
            return self.sums
        place = {key: number for number, key in enumerate(known)}
        places = [place.get(key) for key in keys]
        return {name: [0 if at is None else column[at] for at in places] for name, column in self.sums.items()}

    def first(self, size: int) -> "Groups":
        return Groups(
            min(size, self.size),
            {name: column[:size] for name, column in self.labels.items()},
            {name: column[:size] for name, column in self.sums.items()},
        )

    def picked(self, places: Sequence[int]) -> "Groups":
        return Groups(
            len(places),
            {name: [column[place] for place in places] for name, column in self.labels.items()},
            {name: [column[place] for place in places] for name, column in self.sums.items()},
        )


def first_readings(question: Question) -> list[Question]:
    """The parts of the facts that may tell, the first to be asked first; none where there is no such part.

    Ordered by a dimension, the last group of the page tells, and is the only one that is read.
    """
    asked = [source for source in SOURCES if question.asks(source)]
    if question.limit is None or question.buckets or not question.group_by or len(asked) == 1:
        return []
    end = question.offset + question.limit
    limit, offset = (end, 0) if _by_sums(question) else (1, end - 1)
    return [
        replace(question, sums=sums, limit=limit, offset=offset)
        for sums in _ordering(question, asked)
        if not all(sums & set(source.sums) for source in asked)
    ]


@dataclass(frozen=True, slots=True)
class RosterPage:
    """Of one kind of object, in the order of ids. If each has facts, it ends at the `last` of those that exist."""

    kind: Dimension
    last: int
    descending: bool


def roster_page(question: Question) -> RosterPage | None:
    """None: the answer has other groups or another order, or filters, which few objects pass."""
    if question.limit is None or question.filters or question.buckets or len(question.group_by) != 1:
        return None
    if _by_sums(question):
        return None
    dimension, descending = _leading(question)
    return RosterPage(dimension, question.offset + question.limit, descending) if dimension in IDS else None


def by_source(question: Question) -> list[Question]:
    """The question of each source's sums alone, what takes longest first."""
    asked = [set(source.sums) & set(question.sums) for source in reversed(SOURCES)]
    return [replace(question, sums=sums, order=None, limit=None, offset=0) for sums in asked if sums]


def united(parts: Sequence[Groups], kind: Dimension, *, descending: bool = False) -> Groups:
    """Groups by one kind of object, of which each part has sums of its own, in the order of their ids."""
    found = {key for part in parts for key in part.keys}
    keys = sorted(found, key=lambda key: int(key[0]), reverse=descending)
    sums = {name: column for part in parts for name, column in part.sums_of(keys).items()}
    return Groups(len(keys), {kind: [label for [label] in keys]}, sums)


def leading_reading(first: Question) -> Question | None:
    """That bounds a first reading by several dimensions: by the leading one alone, of which there are fewer values.

    As many of them as the page has groups hold all its groups.
    """
    if _by_sums(first) or len(first.group_by) == 1:
        return None
    dimension, _ = _leading(first)
    return replace(first, group_by=(dimension,))


def _by_sums(question: Question) -> bool:
    return question.order is not None and question.order.dimension is None


def _ordering(question: Question, asked: Sequence[Source]) -> list[set[Sum]]:
    order = question.order
    if order is not None and order.dimension is None:
        return [{term.sum for term in (*order.numerator, *order.denominator)}]
    dimension, _ = _leading(question)
    if dimension not in IDS and dimension not in GRAINS:
        return []
    telling = [source for source in asked if dimension in source.columns or dimension in source.times][:1]
    if dimension is Dimension.POST and question.asks(INSIGHTS):
        telling.insert(0, INSIGHTS)  # They are kept by post, clicks by the links of one.
    return [set(source.sums) & set(question.sums) for source in dict.fromkeys(telling)]


def _leading(question: Question) -> tuple[Dimension, bool]:
    """The dimension that the answer is ordered by first, and whether descending."""
    order = question.order
    if order is None or order.dimension is None:
        return question.group_by[0], False
    return order.dimension, order.descending


def on_page(question: Question, first: Question, groups: Groups) -> Question | None:
    """For the groups of the page, and perhaps a few more. `groups`: of the first reading; None: they do not tell."""
    if groups.size != first.limit:
        return None
    order = question.order
    if order is not None and order.dimension is None:
        return narrowed(question, groups) if _is_ahead(order, groups.last, question.gross_margin) else None
    dimension, descending = _leading(question)
    last = values_of(dimension, groups)[-1]
    return None if last is None else replace(question, bound=Bound(dimension, last, descending))


def _is_ahead(order: Order, sums: Sums, gross_margin: Decimal) -> bool:
    """Of a group without any of these sums, whose ratio is null and comes last, or whose value is 0."""
    if order.denominator:
        return _added(order.denominator, sums, gross_margin) != 0
    value = _added(order.numerator, sums, gross_margin)
    return value > 0 if order.descending else value < 0


def _added(terms: Sequence[Term], sums: Sums, gross_margin: Decimal) -> Decimal | int:
    return sum(term.sign * sums[term.sum] * (gross_margin if term.times_margin else 1) for term in terms)


def narrowed(question: Question, groups: Groups) -> Question:
    """To these groups, and perhaps a few more."""
    wanted = {name: values_of(name, groups) for name in question.group_by}
    return replace(question, filters={**question.filters, **wanted})


def has_many_objects(question: Question) -> bool:
    """Whether it is of many objects of one kind, and of these alone."""
    return len(question.group_by) == 1 and not question.buckets and bool(_objects(question, question.group_by[0]))


def portions(question: Question) -> list[Question]:
    """By the groups that it is narrowed to, so that some can be read while others are worked on."""
    for name in question.group_by:
        if objects := _objects(question, name):
            parts = [objects[first : first + _PORTION] for first in range(0, len(objects), _PORTION)]
            return [replace(question, filters={**question.filters, name: part}) for part in parts]
    return [question]


def _objects(question: Question, name: Dimension) -> Sequence[Any]:
    """None if they are few, or one is no object."""
    values = question.filters.get(name, ())
    return values if name in IDS and len(values) > _MANY and None not in values else ()


def values_of(name: Dimension, groups: Groups) -> list[Any]:
    """As a filter has them."""
    values = dict.fromkeys(groups.labels[name])
    return [int(value) if name in IDS and value is not None else value for value in values]
