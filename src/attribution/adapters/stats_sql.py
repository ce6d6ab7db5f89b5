"""Composes the statements of a question from the fragments in `sql/stats.sql`; values are always parameters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.domain.ids import ProgramId
from attribution.domain.measures import GRAINS, IDS, By, Dimension, Sum, Term
from attribution.domain.periods import Cover, Grain, Span, cover, first_day_from

from .credit_rollups import CreditRollup, credit_rollup_for
from .insight_rollups import InsightRollup, insight_rollup_for
from .rollups import Rollup, rollup_for
from .statements import statements
from .stats_sources import ADDED, AUDIENCE, CLICKS, COSTS, CREDITS, INSIGHTS, SOURCES, WEIGHTS, Source
from .visitor_sketches import NOTHING, SKETCH_KINDS, SketchKind

_SQL = statements("stats")
NONE: Final = "none"
"""As a filter's value: rows where the dimension is null."""

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
    """`filters`: ids as integers, months to hours as the instants where they begin, all others text; `NONE` for null.

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


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    values: Sequence[Any]


@dataclass(slots=True)
class _Composer:
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

    def summed(self) -> str:
        facts = {CLICKS: self._clicks, CREDITS: self._credits, INSIGHTS: self._insights, COSTS: self._costs}
        parts = [self._part(source, facts[source]()) for source in SOURCES if self.question.asks(source)]
        names = self.question.group_by
        return self._named(
            "summed",
            facts=" UNION ALL ".join(parts),
            empty=self._empty(),
            labels="".join(f"{name}, " for name in names),
            sums=self._sums(),
            grouped=_grouped(names),
        )

    def paged(self) -> str:
        return self._named("paged", summed=self.summed(), **self._page())

    def paged_with_totals(self) -> str:
        return self._named(
            "paged_with_totals",
            summed=self.summed(),
            nulls="".join(f"NULL::{_type(name)}, " for name in self.question.group_by),
            totals=self._sums(),
            **self._page(),
        )

    def _named(self, statement: str, **parts: str) -> str:
        return _SQL[statement].format(**parts).removesuffix(";")

    def _sums(self) -> str:
        return ", ".join(f"coalesce(sum({name}), 0)::{_sum_type(name)} AS {name}" for name in self.question.added)

    def _page(self) -> dict[str, str]:
        order = [*self._order(), *(_by_dimension(name) for name in self.question.group_by)]
        return {
            "ordered": f"ORDER BY {', '.join(order)}" if order else "",
            "limit": self.value(self.question.limit, "bigint"),
            "offset": self.value(self.question.offset, "bigint"),
        }

    def visitors(self) -> str:
        return self._fill("visitors", CLICKS)

    def sketched_visitors(self, plan: "SketchPlan", *, beside: bool) -> str:
        asked = self.question
        groups = [self._expression(name, CLICKS) for name in asked.group_by]
        return self._fill(
            "sketched_visitors",
            CLICKS,
            pieces=self._pieces(plan.cover),
            kind=self.value(plan.kind.name, "text"),
            kept="".join(f"nullif(s.{name}, {NOTHING[name]!r}) AS {name}, " for name in plan.kind.columns),
            labels="".join(f"{name}, " for name in asked.group_by),
            parted=f"PARTITION BY {', '.join(groups)}" if groups else "",
            beside=self.value(beside, "boolean"),
        )

    def other_visitors(self, plan: "SketchPlan") -> str:
        edges = plan.cover.edges
        starts = self.value([edge.start for edge in edges], "timestamptz[]")
        stops = self.value([edge.stop for edge in edges], "timestamptz[]")
        return self._fill("other_visitors", CLICKS, pieces=self._pieces(plan.cover), starts=starts, stops=stops)

    def foreign_costs(self) -> str:
        zone = self.value(self.question.zone.key, "text")
        return self._fill("foreign_costs", COSTS, zone=zone, **self._days())

    def _part(self, source: Source, facts: str) -> str:
        """The same columns from every source: null, which costs a sum nothing, where it has none."""
        added = (
            f"{name if name in source.sums else 'NULL'}::{_sum_type(name)} AS {name}" for name in self.question.added
        )
        return f"SELECT {', '.join([*self.question.group_by, *added])} FROM ({facts}) s"  # noqa: S608  # closed enums

    def _empty(self) -> str:
        """Rows of zeros, so that no bucket of time is missing."""
        asked = self.question
        if not asked.buckets:
            return ""
        times = [name for name in asked.group_by if name in GRAINS]
        others = [name for name in asked.group_by if name not in GRAINS]
        columns = (self.value([bucket[name] for bucket in asked.buckets], "timestamptz[]") for name in times)
        return _SQL["empty"].format(
            labels=", ".join(asked.group_by),
            zeros="".join(", 0" for _ in asked.added),
            groups=f"SELECT DISTINCT {', '.join(others)} FROM facts" if others else "SELECT",  # noqa: S608
            columns=", ".join(columns),
            times=", ".join(times),
        )

    def _clicks(self) -> str:
        asked = self.question
        columns = _columns(CLICKS.columns, asked.dimensions)
        usable = _grains(asked.dimensions)
        rollup = rollup_for(columns, usable) if self.rolled_up else None
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self._fill("clicks", CLICKS, facts=self._click_facts(rollup, found, columns))

    def _click_facts(self, rollup: Rollup | None, found: Cover, columns: Sequence[str]) -> str:
        more = "".join(f", {column}" for column in columns)
        if not found.edges and not found.pieces:
            return _SQL["no_clicks"].format(columns=more)
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
            rolled_up, pieces = _SQL["clicks_rolled_up"], self._pieces(found)
            parts.append(rolled_up.format(pieces=pieces, rollup=rollup.table, columns=more, program=program))
        return " UNION ALL ".join(parts)

    def _pieces(self, found: Cover) -> str:
        grains = self.value([piece.grain for piece in found.pieces], "text[]")
        starts = self.value([piece.start for piece in found.pieces], "timestamptz[]")
        stops = self.value([piece.stop for piece in found.pieces], "timestamptz[]")
        return f"unnest({grains}, {starts}, {stops}) AS piece (grain, start, stop)"

    def _credits(self) -> str:
        asked = self.question
        columns = _columns(CREDITS.columns, asked.dimensions)
        wanted = [_plain(column) for column in dict.fromkeys([*columns, *CREDITS.always])]
        usable = _grains(asked.dimensions)
        readable = self.rolled_up and not asked.is_judged_again
        rollup = credit_rollup_for(wanted, usable) if readable else None
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self._fill("credits", CREDITS, facts=self._credit_facts(rollup, found, wanted))

    def _credit_facts(self, rollup: CreditRollup | None, found: Cover, columns: Sequence[str]) -> str:
        asked = self.question
        spans = found.edges if found.edges or found.pieces else (Span(asked.start, asked.stop),)
        parts = [
            _SQL["credit_rows"].format(
                entries=self._entries(),
                at=_SQL["at_touch" if asked.by is By.CLICK else "at_conversion"],
                touches=_SQL["touches"] if set(AUDIENCE) & set(asked.dimensions) else "",
                columns=_selected(CREDITS, asked.dimensions),
                program=self.value(asked.program_id, "bigint"),
                start=self.value(span.start, "timestamptz"),
                stop=self.value(span.stop, "timestamptz"),
            )
            for span in spans
        ]
        if rollup is not None and found.pieces:
            rolled_up = _SQL["credits_rolled_up"].format(
                pieces=self._pieces(found),
                rollup=rollup.table,
                basis=self.value(asked.by.value, "text"),
                moment="touched_at" if asked.by is By.CLICK else "occurred_at",
                columns="".join(f", {column}" for column in columns),
                program=self.value(asked.program_id, "bigint"),
            )
            parts.append(rolled_up)
        return " UNION ALL ".join(parts)

    def _entries(self) -> str:
        return "judged_credits" if self.question.is_judged_again else "credit_entries"

    def missing_rate(self) -> str:
        asked = self.question
        return _SQL["missing_rate"].format(
            entries=self._entries(),
            at=_SQL["at_touch" if asked.by is By.CLICK else "at_conversion"],
            program=self.value(asked.program_id, "bigint"),
            start=self.value(asked.start, "timestamptz"),
            stop=self.value(asked.stop, "timestamptz"),
        )

    def _insights(self) -> str:
        asked = self.question
        metrics = [name for name in INSIGHTS.sums if name in asked.sums]
        owned = bool(_columns(INSIGHTS.columns, asked.dimensions))
        usable = _grains(asked.dimensions) if self.rolled_up else set()
        rollup = insight_rollup_for(["post_id"] if owned else [], usable)
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        summed = ("post_id", *metrics) if owned else metrics
        return self._fill(
            "insights",
            INSIGHTS,
            facts=self._insight_facts(rollup, found, "".join(f", {name}" for name in summed)),
            owners=_SQL["owners"].format(program=self.value(asked.program_id, "bigint")) if owned else "",
            growth="".join(f", {name}" for name in metrics),
            asked=", ".join(metrics),
            grown=", ".join(f"sum({name}) AS {name}" for name in metrics),
        )

    def _insight_facts(self, rollup: InsightRollup | None, found: Cover, columns: str) -> str:
        program, which = self.value(self.question.program_id, "bigint"), self._which_posts()
        spans = found.edges if found.edges or found.pieces else (Span(self.question.start, self.question.stop),)
        parts = [
            _SQL["insight_rows"].format(
                columns=columns,
                program=program,
                start=self.value(span.start, "timestamptz"),
                stop=self.value(span.stop, "timestamptz"),
                which=which,
            )
            for span in spans
        ]
        if rollup is not None and found.pieces:
            rolled_up, pieces = _SQL["insights_rolled_up"], self._pieces(found)
            parts.append(
                rolled_up.format(rollup=rollup.table, columns=columns, program=program, pieces=pieces, which=which)
            )
        return " UNION ALL ".join(parts)

    def _which_posts(self) -> str:
        """Few of them are looked up; the filters are applied to their facts anyway."""
        asked = self.question
        owners = INSIGHTS.columns.keys() - {Dimension.CONTENT_TYPE}
        filters = [self._filter(name, INSIGHTS) for name in asked.filters if name in owners]
        if asked.bound is not None and asked.bound.dimension in owners:
            filters.append(self._bounded(asked.bound, INSIGHTS))
        if not filters:
            return ""
        program = self.value(asked.program_id, "bigint")
        return _SQL["which_posts"].format(program=program, filters=" AND ".join(filters))

    def _bounded(self, bound: Bound, source: Source) -> str:
        value = self.value(bound.value, _type(bound.dimension))
        return f"{self._expression(bound.dimension, source)} {'>=' if bound.descending else '<='} {value}"

    def _costs(self) -> str:
        return self._fill("costs", COSTS, facts=self._cost_facts())

    def _cost_facts(self) -> str:
        """By the day only what asks for days, or is exchanged at the rate of each."""
        asked = self.question
        currency = self.value(asked.currency, "text")
        if set(asked.dimensions) & set(COSTS.times):
            return self._cost_days("")
        spans = _SQL["cost_spans"].format(currency=currency, **self._days())
        return f"{spans} UNION ALL {self._cost_days(f'AND d.currency <> {currency}')}" if self.rates else spans

    def _cost_days(self, which: str) -> str:
        rates = (
            self.value([currency for currency, _ in self.rates], "text[]"),
            self.value([day for _, day in self.rates], "date[]"),
            self.value([Decimal(rate.numerator) for rate in self.rates.values()], "numeric[]"),
            self.value([Decimal(rate.denominator) for rate in self.rates.values()], "numeric[]"),
        )
        return _SQL["cost_days"].format(
            values=_SQL["cost_values"].format(currency=self.value(self.question.currency, "text")),
            rates=_SQL["rates"].format(rates=", ".join(rates)),
            zone=self.value(self.question.zone.key, "text"),
            which=which,
            listed="".join(f", {column}" for column in _columns(COSTS.columns, self.question.dimensions)),
            **self._days(),
        )

    def _days(self) -> dict[str, str]:
        asked = self.question
        return {
            "columns": _selected(COSTS, asked.dimensions),
            "program": self.value(asked.program_id, "bigint"),
            "first_day": self.value(first_day_from(asked.start, asked.zone), "date"),
            "end_day": self.value(first_day_from(asked.stop, asked.zone), "date"),
        }

    def _fill(self, statement: str, source: Source, **parts: str) -> str:
        asked = self.question
        template = _SQL[statement].removesuffix(";")
        filled = parts | {
            "columns": _selected(source, asked.dimensions),
            "groups": "".join(f"{self._expression(name, source)} AS {name}, " for name in asked.group_by),
            "grouped": _grouped(asked.group_by),
            "posts": self._posts(),
            "filters": " AND ".join(self._filters(source)) or "true",
        }
        common = {
            "program": (asked.program_id, "bigint"),
            "start": (asked.start, "timestamptz"),
            "stop": (asked.stop, "timestamptz"),
            "currency": (asked.currency, "text"),
        }
        filled |= {name: self.value(*common[name]) for name in common if f"{{{name}}}" in template}
        return template.format(**filled)

    def _posts(self) -> str:
        if Dimension.CONTENT_TYPE not in self.question.dimensions:
            return ""
        return _SQL["posts"].format(program=self.value(self.question.program_id, "bigint"))

    def _expression(self, dimension: Dimension, source: Source) -> str:
        if dimension in source.times:
            return f"date_trunc('{GRAINS[dimension]}', f.at, {self.value(self.question.zone.key, 'text')})"
        if dimension not in source.columns:
            return f"NULL::{_type(dimension)}"
        if dimension is Dimension.NEW_OR_RETURNING:
            return _SQL["new_or_returning"]
        return "p.content_type" if dimension is Dimension.CONTENT_TYPE else f"f.{_plain(source.columns[dimension])}"

    def _filters(self, source: Source) -> list[str]:
        filters = [self._filter(name, source) for name in self.question.filters]
        bound = self.question.bound
        return filters if bound is None else [*filters, self._bounded(bound, source)]

    def _filter(self, dimension: Dimension, source: Source) -> str:
        values = self.question.filters[dimension]
        expression = self._expression(dimension, source)
        wanted = [value for value in values if value != NONE]
        kind = f"{_type(dimension)}[]"
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

        return "(" + " + ".join(f"{term.sign} * {term.sum}::numeric{margin(term)}" for term in terms) + ")"


def summed_statement(question: Question, *, rolled_up: bool, rates: Rates) -> Statement:
    """All rows, in no order. `rates`: of all that `foreign_costs_statement` finds."""
    composer = _Composer(question, rolled_up, rates)
    return Statement(composer.summed(), composer.values)


def page_statement(question: Question, *, rolled_up: bool, rates: Rates) -> Statement:
    composer = _Composer(question, rolled_up, rates)
    return Statement(composer.paged(), composer.values)


def page_with_totals_statement(question: Question, *, rolled_up: bool, rates: Rates) -> Statement:
    """As `page_statement`, and a row without labels that `is_total`, of all pages."""
    composer = _Composer(question, rolled_up, rates)
    return Statement(composer.paged_with_totals(), composer.values)


def visitors_statement(question: Question) -> Statement:
    composer = _Composer(question)
    return Statement(composer.visitors(), composer.values)


@dataclass(frozen=True, slots=True)
class SketchPlan:
    """Which sketches answer a question of visitors, and which part of its period has none."""

    kind: SketchKind
    cover: Cover


def sketch_plan(question: Question) -> SketchPlan | None:
    """None where only the rows tell."""
    columns, usable = set(_columns(CLICKS.columns, question.dimensions)), _grains(question.dimensions)
    for kind in SKETCH_KINDS:
        found = cover(question.start, question.stop, question.zone, usable & set(kind.grains))
        if columns <= set(kind.columns) and found.pieces:
            return SketchPlan(kind, found)
    return None


def sketched_visitors_statement(question: Question, plan: SketchPlan, *, beside: bool) -> Statement:
    """By group `visitors` of its only sketch, or `sketches`: of all groups if there are visitors `beside` them."""
    composer = _Composer(question)
    return Statement(composer.sketched_visitors(plan, beside=beside), composer.values)


def other_visitors_statement(question: Question, plan: SketchPlan) -> Statement:
    """The `visitors` by group that are perhaps in no sketch."""
    composer = _Composer(question)
    return Statement(composer.other_visitors(plan), composer.values)


def missing_rate_statement(question: Question) -> Statement:
    """The first rate without which the question's money is not known, if there is one."""
    composer = _Composer(question)
    return Statement(composer.missing_rate(), composer.values)


def foreign_costs_statement(question: Question) -> Statement:
    """The currencies and days of costs that are not in the programme's currency."""
    composer = _Composer(question)
    return Statement(composer.foreign_costs(), composer.values)


def _sum_type(name: Sum) -> str:
    """Weights are fractions, and costs at a rate of exchange may be anything."""
    return "numeric" if name in (*WEIGHTS, Sum.COSTS) else "bigint"


def _type(dimension: Dimension) -> str:
    return "timestamptz" if dimension in GRAINS else "bigint" if dimension in IDS else "text"


def _plain(column: str) -> str:
    return column.rsplit(".", 1)[-1]


def _columns(columns: Mapping[Dimension, str], dimensions: Sequence[Dimension]) -> list[str]:
    return list(dict.fromkeys(columns[dimension] for dimension in dimensions if dimension in columns))


def _selected(source: Source, dimensions: Sequence[Dimension]) -> str:
    wanted = dict.fromkeys([*_columns(source.columns, dimensions), *source.always])
    return "".join(f", {column} AS {_plain(column)}" for column in wanted)


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
