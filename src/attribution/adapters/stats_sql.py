"""The statements that sum a question's facts by its groups, order them and take a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from attribution.domain.measures import GRAINS, IDS, Dimension, Sum, Term

from .stats_composer import SQL, Statement, grouped, sum_type, type_of
from .stats_facts import FactsComposer
from .stats_question import Question, Rates
from .stats_sources import SOURCES, Source


@dataclass(slots=True)
class _SumsComposer(FactsComposer):
    def summed(self) -> str:
        asked = [source for source in SOURCES if self.question.asks(source)]
        names = self.question.group_by
        if len(asked) == 1 and names and not self.question.buckets:
            return self._alone(asked[0])
        parts = [self._part(source, self.facts(source)) for source in asked]
        return self._named(
            "summed",
            facts=" UNION ALL ".join(parts),
            empty=self._empty(),
            labels="".join(f"{name}, " for name in names),
            sums=self._sums(),
            grouped=grouped(names),
        )

    def _alone(self, source: Source) -> str:
        """Its groups are those of the answer."""
        sums = (f"coalesce({name}, 0)::{sum_type(name)} AS {name}" for name in self.question.added)
        return f"SELECT {', '.join([*self.question.group_by, *sums])} FROM ({self.facts(source)}) s"  # noqa: S608

    def roster(self, kind: Dimension, last: int, *, descending: bool) -> str:
        return self._named(
            "roster",
            kind=kind,
            program=self.value(self.question.program_id, "bigint"),
            direction="DESC" if descending else "ASC",
            before=self.value(last - 1, "bigint"),
        )

    def paged(self) -> str:
        return self._named("paged", summed=self.summed(), **self._page())

    def paged_with_totals(self) -> str:
        return self._named(
            "paged_with_totals",
            summed=self.summed(),
            nulls="".join(f"NULL::{type_of(name)}, " for name in self.question.group_by),
            totals=self._sums(),
            **self._page(),
        )

    def _named(self, statement: str, **parts: str) -> str:
        return SQL[statement].format(**parts).removesuffix(";")

    def _sums(self) -> str:
        return ", ".join(f"coalesce(sum({name}), 0)::{sum_type(name)} AS {name}" for name in self.question.added)

    def _page(self) -> dict[str, str]:
        order = [*self._order(), *(_by_dimension(name) for name in self.question.group_by)]
        return {
            "shown": ", ".join([*self.question.group_by, *map(_shown, self.question.added)]),
            "ordered": f"ORDER BY {', '.join(order)}" if order else "",
            "limit": self.value(self.question.limit, "bigint"),
            "offset": self.value(self.question.offset, "bigint"),
        }

    def _part(self, source: Source, facts: str) -> str:
        """The same columns from every source: null, which costs a sum nothing, where it has none."""
        added = (
            f"{name if name in source.sums else 'NULL'}::{sum_type(name)} AS {name}" for name in self.question.added
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
        return SQL["empty"].format(
            labels=", ".join(asked.group_by),
            zeros="".join(", 0" for _ in asked.added),
            groups=f"SELECT DISTINCT {', '.join(others)} FROM facts" if others else "SELECT",  # noqa: S608
            columns=", ".join(columns),
            times=", ".join(times),
        )

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
    """All rows, in no order. `rates`: of all that `wanted_rates_statement` finds."""
    composer = _SumsComposer(question, rolled_up, rates)
    return Statement(composer.summed(), composer.values)


def page_statement(question: Question, *, rolled_up: bool, rates: Rates) -> Statement:
    composer = _SumsComposer(question, rolled_up, rates)
    return Statement(composer.paged(), composer.values)


def roster_statement(question: Question, kind: Dimension, last: int, *, descending: bool) -> Statement:
    """The id of the `last` object of a kind, if there are so many."""
    composer = _SumsComposer(question)
    return Statement(composer.roster(kind, last, descending=descending), composer.values)


def page_with_totals_statement(question: Question, *, rolled_up: bool, rates: Rates) -> Statement:
    """As `page_statement`, and a row without labels that `is_total`, of all pages."""
    composer = _SumsComposer(question, rolled_up, rates)
    return Statement(composer.paged_with_totals(), composer.values)


def _shown(name: Sum) -> str:
    return f"trim_scale({name})::text AS {name}" if sum_type(name) == "numeric" else name


def _by_dimension(dimension: Dimension, *, descending: bool = False) -> str:
    """A code that is a number stands where numbers stand."""
    direction = f"{'DESC' if descending else 'ASC'} NULLS LAST"
    if dimension in IDS or dimension in GRAINS:
        return f"{dimension} {direction}"
    number = f"(CASE WHEN {dimension} ~ '^[0-9]{{1,18}}$' THEN {dimension}::numeric END)"
    return f'{number} {direction}, {dimension} COLLATE "C" {direction}'
