"""Orders and compares summed rows inside Postgres, so that only the few that are shown leave it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from attribution.domain.measures import Dimension, Sum, Term

from .postgres import Row
from .statements import statements
from .stats_composer import Statement
from .stats_question import Question
from .stats_table import StatsFacts

_SQL = statements("rankings")
Z_95: Final = 1.959964
"""Of the normal distribution, two-sided 95 %."""
CLICKS_OF_AN_EVENT: Final = 10
"""So many clicks tell as much of who sells as one event does, though nothing came of them."""


class Spread(Enum):
    """What of a metric is uncertain, as it rests on so many events."""

    NOTHING = "nothing"
    PROPORTION = "proportion"
    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"


@dataclass(frozen=True, slots=True)
class Ranking:
    """`evidence`: what the events are counted by. `moving`: of the numerator, what grows with them.

    `clicks_tell`, `cost_tells`: who has had the clicks, or a denominator that is the worth, of `minimum` events has
    enough data too.
    """

    dimension: Dimension
    numerator: Sequence[Term]
    denominator: Sequence[Term]
    evidence: Sum | None
    spread: Spread
    moving: Sequence[Sum]
    clicks_tell: bool
    cost_tells: bool
    by_upper: bool
    descending: bool
    minimum: int
    limit: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`buckets`: the earlier ones and `last`. `least_worth`: an event's is never less, in units of the value."""

    dimension: Dimension
    grain: Dimension
    buckets: Sequence[datetime]
    value: Sum | None
    """None: orders by click."""
    events: Sum
    least_worth: float
    limit_sigmas: float
    active: int
    minimum: int
    expected: int
    limit: int

    @property
    def last(self) -> datetime:
        return self.buckets[-1]


class _Values:
    """The parameters of a statement round another one."""

    def __init__(self, inner: Statement) -> None:
        self.all = list(inner.values)

    def add(self, value: Any, kind: str) -> str:
        self.all.append(value)
        return f"${len(self.all)}::{kind}"


async def ranked(facts: StatsFacts, question: Question, ranking: Ranking) -> list[Row]:
    """`found`, `ranked`, then a row's sums, numerator, denominator, lower, upper; one row of nulls for none."""
    return await facts.over(question, lambda summed: _leaderboard(summed, ranking, question))


async def changed(facts: StatsFacts, question: Question, comparison: Comparison) -> list[Row]:
    """`found`, `compared`, then value, centre, sigma, score, lower, upper; one row of nulls for none."""
    return await facts.over(question, lambda summed: _changes(summed, comparison))


def _leaderboard(summed: Statement, ranking: Ranking, question: Question) -> Statement:
    values = _Values(summed)
    margin = values.add(float(question.gross_margin), "float8")
    lower, upper = _bounds(ranking)
    moving = [term for term in ranking.numerator if term.sum in ranking.moving]
    sql = _SQL["leaderboard"].format(
        summed=summed.sql,
        dimension=ranking.dimension,
        numerator=_total(ranking.numerator, margin),
        denominator=_total(ranking.denominator, margin) if ranking.denominator else "1",
        evidence=f"{ranking.evidence}::float8" if ranking.evidence else "1::float8",
        moving=_total(moving, margin) if moving else "0::float8",
        enough=_enough(ranking, values.add(ranking.minimum, "float8")),
        lower=lower,
        upper=upper,
        z=Z_95,
        bound="upper" if ranking.by_upper else "lower",
        direction="DESC" if ranking.descending else "ASC",
        limit=values.add(ranking.limit, "bigint"),
    )
    # Where no metric asks for it, the margin must still be used.
    return Statement(sql.removesuffix(";") + f" WHERE {margin} IS NOT NULL", values.all)


def _enough(ranking: Ranking, minimum: str) -> str:
    ways = [f"evidence >= {minimum}"]
    if ranking.clicks_tell:
        ways.append(f"{Sum.CLICKS} >= {CLICKS_OF_AN_EVENT} * {minimum}")
    if ranking.cost_tells:
        ways.append(f"denominator >= worth * {minimum}")
    return " OR ".join(ways)


def _bounds(ranking: Ranking) -> tuple[str, str]:
    match ranking.spread:
        case Spread.NOTHING:
            return "numerator / denominator", "numerator / denominator"
        case Spread.PROPORTION:
            return _SQL["wilson_lower"].format(z=Z_95), _SQL["wilson_upper"].format(z=Z_95)
        case Spread.NUMERATOR:
            bound = "(numerator - moving + own_worth * {}) / denominator"
            return bound.format("least_count"), bound.format("greatest_count")
        case Spread.DENOMINATOR:
            return "numerator / greatest_count", "numerator / nullif(least_count, 0)"


def _total(terms: Sequence[Term], margin: str) -> str:
    return (
        "("
        + " + ".join(
            f"{term.sign} * {term.sum}::float8{f' * {margin}' if term.times_margin else ''}" for term in terms
        )
        + ")"
    )


def _changes(summed: Statement, asked: Comparison) -> Statement:
    values = _Values(summed)
    limit = values.add(asked.limit, "bigint")
    common = {
        "summed": summed.sql,
        "dimension": asked.dimension,
        "grain": asked.grain,
        "last": values.add(asked.last, "timestamptz"),
        "active": values.add(asked.active, "bigint"),
        "minimum": values.add(asked.minimum, "float8"),
        "outside": _SQL["outside"].format(limit_sigmas=asked.limit_sigmas, dimension=asked.dimension, limit=limit),
    }
    if asked.value is None:
        sql = _SQL["rate_changes"].format(**common, expected=asked.expected)
    else:
        sql = _SQL["changes"].format(
            **common,
            value=asked.value,
            count=asked.events,
            least_worth=asked.least_worth,
            buckets=values.add(list(asked.buckets), "timestamptz[]"),
        )
    return Statement(sql.removesuffix(";"), values.all)
