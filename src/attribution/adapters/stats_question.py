"""What is asked of the sums: a period, groups, filters, and which rows of the answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from attribution.domain.ids import ProgramId
from attribution.domain.measures import By, Dimension, Sum, Term

from .stats_sources import ADDED, Source

Rates = Mapping[tuple[str, date], Fraction]
"""Minor units of the programme's currency for one of another, by that currency and the day."""


@dataclass(frozen=True, slots=True)
class Order:
    """By a dimension, or by sums or sums over sums; nulls last in either direction."""

    dimension: Dimension | None = None
    numerator: tuple[Term, ...] = ()
    denominator: tuple[Term, ...] = ()
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """The last value of a dimension that is asked for, of ids or times in the order of the answer."""

    dimension: Dimension
    value: Any
    descending: bool


@dataclass(frozen=True, slots=True)
class Question:
    """`filters`: ids as integers, months to hours as the instants where they begin, all others text; None for null.

    `by`: the moment of credits. `is_judged_again`: they are those of `judged_credits`.
    `buckets`: of the dimensions of time asked, those that stand in the answer even where they are empty, for every
    group of the other dimensions. `limit` None: all rows.
    """

    program_id: ProgramId
    currency: str
    gross_margin: Decimal
    zone: ZoneInfo
    start: datetime
    stop: datetime
    group_by: Sequence[Dimension]
    filters: Mapping[Dimension, Sequence[Any]]
    sums: Collection[Sum]
    by: By = By.CONVERSION
    is_judged_again: bool = False
    buckets: Sequence[Mapping[Dimension, datetime]] = ()
    order: Order | None = None
    limit: int | None = None
    offset: int = 0
    bound: Bound | None = None

    @property
    def dimensions(self) -> list[Dimension]:
        """All that a row must tell."""
        return list(dict.fromkeys([*self.group_by, *self.filters]))

    @property
    def added(self) -> list[Sum]:
        """The sums asked for, without visitors."""
        return [name for name in ADDED if name in self.sums]

    def asks(self, source: Source) -> bool:
        return any(name in self.sums for name in source.sums)


def whole(question: Question) -> Question:
    """The same facts in one row."""
    return replace(question, group_by=(), buckets=(), order=None, limit=None, offset=0)
