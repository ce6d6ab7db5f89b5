"""Fills the fragments in `sql/stats.sql` with a question's groups and filters; values are always parameters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attribution.domain.measures import GRAINS, IDS, Dimension, Sum
from attribution.domain.periods import Cover, Grain, has_broken_hours, repeated_midnights

from .statements import statements
from .stats_question import Bound, Question, Rates
from .stats_sources import WEIGHTS, Source

SQL = statements("stats")


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    values: Sequence[Any]


@dataclass(slots=True)
class Composer:
    question: Question
    rolled_up: bool = False
    """Whether the rollups may be used: they are of the question's time zone."""
    rates: Rates = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    known: dict[tuple[str, str], int] = field(default_factory=dict)

    def value(self, value: Any, kind: str) -> str:
        """The parameter of a value; the same for the same value, as each must be used."""
        known = self.known.setdefault((repr(value), kind), len(self.values) + 1)
        if known > len(self.values):
            self.values.append(value)
        return f"${known}::{kind}"

    def pieces(self, found: Cover) -> str:
        grains = self.value([piece.grain for piece in found.pieces], "text[]")
        starts = self.value([piece.start for piece in found.pieces], "timestamptz[]")
        stops = self.value([piece.stop for piece in found.pieces], "timestamptz[]")
        return f"unnest({grains}, {starts}, {stops}) AS piece (grain, start, stop)"

    def fill(self, statement: str, source: Source, **parts: str) -> str:
        asked = self.question
        template = SQL[statement].removesuffix(";")
        shown = asked.group_by if "{groups}" in template else ()
        filled = parts | {
            "columns": selected(source, asked.dimensions),
            "groups": "".join(f"{self.expression(name, source)} AS {name}, " for name in shown),
            "grouped": grouped(asked.group_by),
            "posts": self._posts(),
            "filters": " AND ".join(self._filters(source)) or "true",
        }
        common = {
            "program": (asked.program_id, "bigint"),
            "start": (asked.start, "timestamptz"),
            "stop": (asked.stop, "timestamptz"),
            "currency": (asked.currency, "bpchar"),
        }
        filled |= {name: self.value(*common[name]) for name in common if f"{{{name}}}" in template}
        return template.format(**filled)

    def _posts(self) -> str:
        if Dimension.CONTENT_TYPE not in self.question.dimensions:
            return ""
        return SQL["posts"].format(program=self.value(self.question.program_id, "bigint"))

    def expression(self, dimension: Dimension, source: Source) -> str:
        if dimension in source.times:
            return self._bucket(GRAINS[dimension])
        if dimension not in source.columns:
            return f"NULL::{type_of(dimension)}"
        if dimension is Dimension.NEW_OR_RETURNING:
            return SQL["new_or_returning"]
        return "p.content_type" if dimension is Dimension.CONTENT_TYPE else f"f.{plain(source.columns[dimension])}"

    def _bucket(self, grain: Grain) -> str:
        """As `bucket_start` has it; Postgres begins a day at the second of two midnights."""
        asked = self.question
        zone = self.value(asked.zone.key, "text")
        bucket = f"date_trunc('{grain}', f.at, {zone})"
        if grain is Grain.HOUR:
            if not has_broken_hours(asked.start, asked.stop, asked.zone):
                return bucket
            return f"date_trunc('{grain}', {bucket}, {zone})"
        repeated = repeated_midnights(asked.start, asked.stop, asked.zone)
        if not repeated:
            return bucket
        both = ("timestamptz", "timestamptz")
        firsts = (map(self.value, pair, both) for pair in repeated.items())
        return f"CASE {bucket} {' '.join(f'WHEN {s} THEN {f}' for s, f in firsts)} ELSE {bucket} END"

    def _filters(self, source: Source) -> list[str]:
        filters = [self.filter(name, source) for name in self.question.filters]
        bound = self.question.bound
        return filters if bound is None else [*filters, self.bounded(bound, source)]

    def filter(self, dimension: Dimension, source: Source) -> str:
        values = self.question.filters[dimension]
        expression = self.expression(dimension, source)
        wanted = [value for value in values if value is not None]
        kind = f"{type_of(dimension)}[]"
        if dimension is Dimension.CODE:
            expression, wanted = f"lower({expression})", [value.lower() for value in wanted]
        null = f" OR {expression} IS NULL" if None in values else ""
        return f"({expression} = ANY({self.value(wanted, kind)}){null})"

    def bounded(self, bound: Bound, source: Source) -> str:
        value = self.value(bound.value, type_of(bound.dimension))
        return f"{self.expression(bound.dimension, source)} {'>=' if bound.descending else '<='} {value}"


def sum_type(name: Sum) -> str:
    """Weights are fractions, and costs at a rate of exchange may be anything."""
    return "numeric" if name in (*WEIGHTS, Sum.COSTS) else "bigint"


def type_of(dimension: Dimension) -> str:
    return "timestamptz" if dimension in GRAINS else "bigint" if dimension in IDS else "text"


def plain(column: str) -> str:
    return column.rsplit(".", 1)[-1]


def columns_of(columns: Mapping[Dimension, str], dimensions: Sequence[Dimension]) -> list[str]:
    return list(dict.fromkeys(columns[dimension] for dimension in dimensions if dimension in columns))


def selected(source: Source, dimensions: Sequence[Dimension]) -> str:
    wanted = dict.fromkeys([*columns_of(source.columns, dimensions), *source.always])
    return "".join(f", {column} AS {plain(column)}" for column in wanted)


def grains_within(dimensions: Collection[Dimension]) -> set[Grain]:
    """Those whose buckets lie within one bucket of each dimension of time."""
    within = {
        Dimension.MONTH: {Grain.MONTH, Grain.DAY, Grain.HOUR},
        Dimension.WEEK: {Grain.WEEK, Grain.DAY, Grain.HOUR},
        Dimension.DAY: {Grain.DAY, Grain.HOUR},
        Dimension.HOUR: {Grain.HOUR},
    }
    return set(Grain).intersection(*(within[dimension] for dimension in dimensions if dimension in within))


def grouped(names: Sequence[Dimension]) -> str:
    return f"GROUP BY {', '.join(str(n + 1) for n in range(len(names)))}" if names else ""
