"""The statements that count distinct visitors: from sketches, and from the rows that are not in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution.domain.measures import GRAINS, Dimension
from attribution.domain.periods import Cover, cover, next_bucket

from .stats_composer import SQL, Composer, Statement, columns_of, grains_within, type_of
from .stats_question import Bound, Question
from .stats_sources import CLICKS
from .visitor_sketches import NOTHING, SKETCH_KINDS, SketchKind

_FEW = 50


@dataclass(frozen=True, slots=True)
class SketchPlan:
    """Which sketches answer a question of visitors, and which part of its period has none."""

    kind: SketchKind
    cover: Cover

    def has_several(self, question: Question) -> bool:
        """Whether groups have sketches of several buckets, to be united."""
        first, *others = self.cover.pieces
        return bool(others) or (
            not set(question.group_by) & set(GRAINS)
            and next_bucket(first.start, first.grain, question.zone) < first.stop
        )


@dataclass(slots=True)
class _VisitorsComposer(Composer):
    def visitors(self) -> str:
        names = self.question.group_by
        clicks = self.fill("visitors_clicks", CLICKS)
        if not names:
            return SQL["visitors"].format(clicks=clicks).removesuffix(";")
        labels = "".join(f"{name}, " for name in names)
        return self.fill("visitors_by_group", CLICKS, clicks=clicks, labels=labels)

    def sketched_visitors(self, plan: SketchPlan, *, beside: bool) -> str:
        asked = self.question
        groups = [self.expression(name, CLICKS) for name in asked.group_by]
        return self.fill(
            "sketched_visitors",
            CLICKS,
            pieces=self.pieces(plan.cover),
            kind=self.value(plan.kind.name, "text"),
            kept="".join(f"nullif(s.{name}, {NOTHING[name]!r}) AS {name}, " for name in plan.kind.columns),
            which="".join(f" AND {condition}" for condition in self._kept_filters(plan.kind)),
            labels="".join(f"{name}, " for name in asked.group_by),
            parted=f"PARTITION BY {', '.join(groups)}" if groups else "",
            beside=self.value(beside, "boolean"),
        )

    def _kept_filters(self, kind: SketchKind) -> list[str]:
        """Of the columns as kept, for which there is an index; they may let more through than the filters do."""
        asked = self.question.filters
        columns = {name: CLICKS.columns.get(name) for name in asked if name is not Dimension.CONTENT_TYPE}
        bound = self.question.bound
        bounds = [self._kept_bound(bound)] if bound and CLICKS.columns.get(bound.dimension) in kind.columns else []
        return bounds + [
            self._kept_filter(name, column, [NOTHING[column] if value is None else value for value in asked[name]])
            for name, column in columns.items()
            if column is not None and column in kind.columns and asked[name]
        ]

    def _kept_bound(self, bound: Bound) -> str:
        value = self.value(bound.value, type_of(bound.dimension))
        return f"s.{CLICKS.columns[bound.dimension]} {'>=' if bound.descending else '<='} {value}"

    def _kept_filter(self, name: Dimension, column: str, values: Sequence[Any]) -> str:
        """To look up many values in each of many buckets takes longer than to read what lies between them."""
        kind = type_of(name)
        if len(values) > _FEW:
            return f"s.{column} BETWEEN {self.value(min(values), kind)} AND {self.value(max(values), kind)}"
        return f"s.{column} = ANY({self.value(values, f'{kind}[]')})"

    def other_visitors(self, plan: SketchPlan) -> str:
        edges = plan.cover.edges
        starts = self.value([edge.start for edge in edges], "timestamptz[]")
        stops = self.value([edge.stop for edge in edges], "timestamptz[]")
        return self.fill("other_visitors", CLICKS, pieces=self.pieces(plan.cover), starts=starts, stops=stops)

    def is_sketched(self) -> str:
        asked = self.question
        return SQL["is_sketched"].format(
            program=self.value(asked.program_id, "bigint"),
            start=self.value(asked.start, "timestamptz"),
            stop=self.value(asked.stop, "timestamptz"),
        )


def visitors_statement(question: Question) -> Statement:
    composer = _VisitorsComposer(question)
    return Statement(composer.visitors(), composer.values)


def sketch_plan(question: Question) -> SketchPlan | None:
    """None where only the rows tell."""
    columns, usable = set(columns_of(CLICKS.columns, question.dimensions)), grains_within(question.dimensions)
    for kind in SKETCH_KINDS:
        found = cover(question.start, question.stop, question.zone, usable & set(kind.grains))
        if columns <= set(kind.columns) and found.pieces:
            return SketchPlan(kind, found)
    return None


def sketched_visitors_statement(question: Question, plan: SketchPlan, *, beside: bool) -> Statement:
    """By group `visitors` of its only sketch, or `sketches`: of all groups if there are visitors `beside` them."""
    composer = _VisitorsComposer(question)
    return Statement(composer.sketched_visitors(plan, beside=beside), composer.values)


def is_sketched_statement(question: Question) -> Statement:
    """Whether sketches hold the visitors of all the period: what lies at the edges of their buckets excepted."""
    composer = _VisitorsComposer(question)
    return Statement(composer.is_sketched(), composer.values)


def other_visitors_statement(question: Question, plan: SketchPlan) -> Statement:
    """The `visitors` by group that are perhaps in no sketch."""
    composer = _VisitorsComposer(question)
    return Statement(composer.other_visitors(plan), composer.values)
