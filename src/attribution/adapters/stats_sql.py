"""Composes the statements of a question from the fragments in `sql/stats.sql`; values are always parameters."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.domain.ids import ProgramId
from attribution.domain.measures import Dimension, Sum, Term
from attribution.domain.periods import Cover, Grain, cover

from .rollups import Rollup, rollup_for
from .statements import statements

_SQL = statements("stats")
NONE: Final = "none"
"""As a filter's value: rows where the dimension is null."""
GRAINS: Final[Mapping[Dimension, Grain]] = {
    Dimension.MONTH: Grain.MONTH,
    Dimension.WEEK: Grain.WEEK,
    Dimension.DAY: Grain.DAY,
    Dimension.HOUR: Grain.HOUR,
}
IDS: Final = (Dimension.INFLUENCER, Dimension.CAMPAIGN, Dimension.POST, Dimension.LINK)
_PLACES: Final[Mapping[Dimension, str]] = {
    **{dimension: f"{dimension}_id" for dimension in IDS},
    Dimension.CHANNEL: "channel",
    Dimension.CONTENT_TYPE: "post_id",
}
_AUDIENCE = (
    Dimension.COUNTRY, Dimension.DEVICE,
    Dimension.SUB1, Dimension.SUB2, Dimension.SUB3, Dimension.SUB4, Dimension.SUB5,
)  # fmt: skip
_CLICK_COLUMNS: Final[Mapping[Dimension, str]] = {**_PLACES, **{dimension: str(dimension) for dimension in _AUDIENCE}}
_CREDIT_COLUMNS: Final[Mapping[Dimension, str]] = {
    **{dimension: f"e.{column}" for dimension, column in _PLACES.items()},
    **{dimension: f"k.{dimension}" for dimension in _AUDIENCE},
    Dimension.CODE: "e.code",
    Dimension.CONVERSION_TYPE: "c.type",
}
_POSTS = "LEFT JOIN posts p ON p.program_id = {program} AND p.post_id = f.post_id"
_TOUCHES = (
    "LEFT JOIN clicks k"
    " ON k.program_id = e.program_id AND k.clicked_at = clicked_at(e.click_id) AND k.click_id = e.click_id"
)
_CLICK_SUMS = (Sum.CLICKS, Sum.BOT_CLICKS)
_CREDIT_SUMS = (Sum.CONVERSIONS, Sum.ORDERS, Sum.GROSS, Sum.NET, Sum.DISCOUNT)


@dataclass(frozen=True, slots=True)
class Order:
    """By a dimension, or by sums or sums over sums; nulls last in either direction."""

    dimension: Dimension | None = None
    numerator: tuple[Term, ...] = ()
    denominator: tuple[Term, ...] = ()
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """`filters`: ids as integers, months to hours as the instants where they begin, all others text; `NONE` for null.

    `limit` None: all rows.
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
    order: Order | None = None
    limit: int | None = None
    offset: int = 0

    @property
    def dimensions(self) -> list[Dimension]:
        """All that a row must tell."""
        return list(dict.fromkeys([*self.group_by, *self.filters]))


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    values: Sequence[Any]


@dataclass(slots=True)
class _Composer:
    question: Question
    rolled_up: bool
    """Whether the rollups may be used: they are of the question's time zone."""
    values: list[Any] = field(default_factory=list)
    known: dict[tuple[str, str], int] = field(default_factory=dict)

    def value(self, value: Any, kind: str) -> str:
        """The parameter of a value; the same for the same value, as each must be used."""
        known = self.known.setdefault((repr(value), kind), len(self.values) + 1)
        if known > len(self.values):
            self.values.append(value)
        return f"${known}::{kind}"

    def summed(self) -> str:
        parts = [
            self._part(sums, facts)
            for sums, facts in ((_CLICK_SUMS, self._clicks), (_CREDIT_SUMS, self._credits))
            if set(sums) & set(self.question.sums)
        ]
        names = self.question.group_by
        order = [*self._order(), *(_by_dimension(name) for name in names)]
        return (
            _SQL["summed"]
            .format(
                parts=" UNION ALL ".join(parts) or self._nothing(),
                labels="".join(f"{name}, " for name in names),
                sums=", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _ADDED),
                grouped=_grouped(names),
                ordered=f"ORDER BY {', '.join(order)}" if order else "",
                limit=self.value(self.question.limit, "bigint"),
                offset=self.value(self.question.offset, "bigint"),
            )
            .removesuffix(";")
        )

    def visitors(self) -> str:
        return self._fill("visitors", _CLICK_COLUMNS)

    def _part(self, sums: Sequence[Sum], facts: Callable[[], str]) -> str:
        """The same columns from every source."""
        names = [*self.question.group_by, *(name if name in sums else f"0 AS {name}" for name in _ADDED)]
        return f"SELECT {', '.join(names)} FROM ({facts()}) s"  # noqa: S608  # names of closed enums

    def _nothing(self) -> str:
        return f"SELECT {', '.join(f'NULL AS {n}' for n in [*self.question.group_by, *_ADDED])} WHERE false"

    def _clicks(self) -> str:
        asked = self.question
        columns = _columns(_CLICK_COLUMNS, asked.dimensions)
        usable = _grains(asked.dimensions)
        rollup = rollup_for(columns, usable) if self.rolled_up else None
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self._fill("clicks", _CLICK_COLUMNS, facts=self._click_facts(rollup, found, columns))

    def _click_facts(self, rollup: Rollup | None, found: Cover, columns: Sequence[str]) -> str:
        more = "".join(f", {column}" for column in columns)
        program = self.value(self.question.program_id, "bigint")
        parts = [
            _SQL["click_rows"].format(
                columns=more,
                program=program,
                start=self.value(span.start, "timestamptz"),
                stop=self.value(span.stop, "timestamptz"),
            )
            for span in found.edges
        ]
        if rollup is not None and found.pieces:
            grains = self.value([piece.grain for piece in found.pieces], "text[]")
            starts = self.value([piece.start for piece in found.pieces], "timestamptz[]")
            stops = self.value([piece.stop for piece in found.pieces], "timestamptz[]")
            pieces = f"unnest({grains}, {starts}, {stops}) AS piece (grain, start, stop)"
            rolled_up = _SQL["clicks_rolled_up"]
            parts.append(rolled_up.format(pieces=pieces, rollup=rollup.table, columns=more, program=program))
        return " UNION ALL ".join(parts) or _SQL["no_clicks"].format(columns=more)

    def _credits(self) -> str:
        touches = any(dimension in _AUDIENCE for dimension in self.question.dimensions)
        return self._fill("credits", _CREDIT_COLUMNS, touches=_TOUCHES if touches else "")

    def _fill(self, statement: str, columns: Mapping[Dimension, str], **parts: str) -> str:
        asked = self.question
        wanted = dict.fromkeys(columns[name] for name in asked.dimensions if name in columns)
        groups = "".join(f"{self._expression(name, columns)} AS {name}, " for name in asked.group_by)
        template = _SQL[statement].removesuffix(";")
        filled = parts | {
            "columns": "".join(f", {column} AS {_plain(column)}" for column in wanted),
            "groups": groups,
            "grouped": _grouped(asked.group_by),
            "posts": self._posts(),
            "filters": " AND ".join(self._filter(name, columns) for name in asked.filters) or "true",
        }
        if "{program}" in template:
            filled["program"] = self.value(asked.program_id, "bigint")
            filled["start"] = self.value(asked.start, "timestamptz")
            filled["stop"] = self.value(asked.stop, "timestamptz")
        if "{currency}" in template:
            filled["currency"] = self.value(asked.currency, "text")
        return template.format(**filled)

    def _posts(self) -> str:
        if Dimension.CONTENT_TYPE not in self.question.dimensions:
            return ""
        return _POSTS.format(program=self.value(self.question.program_id, "bigint"))

    def _expression(self, dimension: Dimension, columns: Mapping[Dimension, str]) -> str:
        if dimension in GRAINS:
            return f"date_trunc('{GRAINS[dimension]}', f.at, {self.value(self.question.zone.key, 'text')})"
        if dimension not in columns:
            return "NULL::bigint" if dimension in IDS else "NULL::text"
        return "p.content_type" if dimension is Dimension.CONTENT_TYPE else f"f.{_plain(columns[dimension])}"

    def _filter(self, dimension: Dimension, columns: Mapping[Dimension, str]) -> str:
        values = self.question.filters[dimension]
        expression = self._expression(dimension, columns)
        wanted = [value for value in values if value != NONE]
        kind = "timestamptz[]" if dimension in GRAINS else "bigint[]" if dimension in IDS else "text[]"
        if dimension is Dimension.CODE:
            expression, wanted = f"lower({expression})", [value.lower() for value in wanted]
        null = f" OR {expression} IS NULL" if NONE in values else ""
        return f"({expression} = ANY({self.value(wanted, kind)}){null})"

    def _order(self) -> list[str]:
        order = self.question.order
        if order is None:
            return []
        if order.dimension is not None:
            return [_by_dimension(order.dimension, descending=order.descending)]
        value = self._total(order.numerator)
        if order.denominator:
            value = f"{value} / nullif({self._total(order.denominator)}, 0)"
        return [f"{value} {'DESC' if order.descending else 'ASC'} NULLS LAST"]

    def _total(self, terms: Sequence[Term]) -> str:
        def margin(term: Term) -> str:
            return f" * {self.value(self.question.gross_margin, 'numeric')}" if term.times_margin else ""

        return (
            "("
            + " + ".join(f"{term.sign} * coalesce(sum({term.sum}), 0)::numeric{margin(term)}" for term in terms)
            + ")"
        )


_ADDED = (*_CLICK_SUMS, *_CREDIT_SUMS)


def sums_statement(question: Question, *, rolled_up: bool) -> Statement:
    composer = _Composer(question, rolled_up)
    return Statement(composer.summed(), composer.values)


def visitors_statement(question: Question) -> Statement:
    composer = _Composer(question, rolled_up=False)
    return Statement(composer.visitors(), composer.values)


def _plain(column: str) -> str:
    return column.rsplit(".", 1)[-1]


def _columns(columns: Mapping[Dimension, str], dimensions: Sequence[Dimension]) -> list[str]:
    return list(dict.fromkeys(columns[dimension] for dimension in dimensions if dimension in columns))


def _grains(dimensions: Collection[Dimension]) -> set[Grain]:
    """Those whose buckets lie within one bucket of each dimension of time."""
    within = {
        Dimension.MONTH: {Grain.MONTH, Grain.DAY, Grain.HOUR},
        Dimension.WEEK: {Grain.WEEK, Grain.DAY, Grain.HOUR},
        Dimension.DAY: {Grain.DAY, Grain.HOUR},
        Dimension.HOUR: {Grain.HOUR},
    }
    return set(Grain).intersection(*(within[dimension] for dimension in dimensions if dimension in within))


def _grouped(names: Sequence[Dimension]) -> str:
    return f"GROUP BY {', '.join(str(n + 1) for n in range(len(names)))}" if names else ""


def _by_dimension(dimension: Dimension, *, descending: bool = False) -> str:
    """A code that is a number stands where numbers stand."""
    direction = f"{'DESC' if descending else 'ASC'} NULLS LAST"
    if dimension in IDS or dimension in GRAINS:
        return f"{dimension} {direction}"
    number = f"(CASE WHEN {dimension} ~ '^[0-9]{{1,18}}$' THEN {dimension}::numeric END)"
    return f'{number} {direction}, {dimension} COLLATE "C" {direction}'
