"""The statements of each source's facts: from rollups, and from rows where those do not reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from attribution.domain.measures import By, Sum
from attribution.domain.periods import Cover, Span, cover, first_day_from

from .credit_rollups import CreditRollup, credit_rollup_for
from .insight_rollups import OWNERS, InsightRollup, insight_rollup_for
from .rollups import Rollup, rollup_for
from .stats_composer import SQL, Composer, Statement, columns_of, grains_within, plain, selected
from .stats_question import Question, whole
from .stats_sources import CLICKS, COSTS, CREDITS, INSIGHTS, MONEY, SUBS, Source


@dataclass(slots=True)
class FactsComposer(Composer):
    def facts(self, source: Source) -> str:
        sources = {CLICKS: self._clicks, CREDITS: self._credits, INSIGHTS: self._insights, COSTS: self._costs}
        return sources[source]()

    def wanted_rates(self) -> str:
        parts = [self._missing_rates()] if set(self.question.sums) & set(MONEY) else []
        return " UNION ALL ".join([*parts, self._foreign_costs()] if self.question.asks(COSTS) else parts)

    def _foreign_costs(self) -> str:
        zone = self.value(self.question.zone.key, "text")
        return self.fill("foreign_costs", COSTS, zone=zone, **self._days())

    def _clicks(self) -> str:
        asked = self.question
        columns = columns_of(CLICKS.columns, asked.dimensions)
        usable = grains_within(asked.dimensions)
        rollup = rollup_for(columns, usable) if self.rolled_up else None
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self.fill("clicks", CLICKS, facts=self._click_facts(rollup, found, columns))

    def _click_facts(self, rollup: Rollup | None, found: Cover, columns: Sequence[str]) -> str:
        more = "".join(f", {column}" for column in columns)
        if not found.edges and not found.pieces:
            return SQL["no_clicks"].format(columns=more)
        program = self.value(self.question.program_id, "bigint")
        parts = [
            SQL["click_rows"].format(
                columns=more,
                program=program,
                start=self.value(span.start, "timestamptz"),
                stop=self.value(span.stop, "timestamptz"),
            )
            for span in found.edges
        ]
        if rollup is not None and found.pieces:
            rolled_up, pieces = SQL["clicks_rolled_up"], self.pieces(found)
            parts.append(rolled_up.format(pieces=pieces, rollup=rollup.table, columns=more, program=program))
        return " UNION ALL ".join(parts)

    def _credits(self) -> str:
        asked = self.question
        columns = columns_of(CREDITS.columns, asked.dimensions)
        wanted = [plain(column) for column in dict.fromkeys([*columns, *CREDITS.always])]
        usable = grains_within(asked.dimensions)
        readable = self.rolled_up and not asked.is_judged_again
        rollup = credit_rollup_for(wanted, usable) if readable else None
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self.fill("credits", CREDITS, facts=self._credit_facts(rollup, found, wanted))

    def _credit_facts(self, rollup: CreditRollup | None, found: Cover, columns: Sequence[str]) -> str:
        asked = self.question
        spans = found.edges if found.edges or found.pieces else (Span(asked.start, asked.stop),)
        parts = [
            SQL["credit_rows"].format(
                entries=self._entries(),
                at=SQL["at_touch" if asked.by is By.CLICK else "at_conversion"],
                touches=self._touches(),
                columns=selected(CREDITS, asked.dimensions),
                program=self.value(asked.program_id, "bigint"),
                start=self.value(span.start, "timestamptz"),
                stop=self.value(span.stop, "timestamptz"),
            )
            for span in spans
        ]
        if rollup is not None and found.pieces:
            rolled_up = SQL["credits_rolled_up"].format(
                pieces=self.pieces(found),
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

    def _touches(self) -> str:
        return SQL["touches"] if set(SUBS) & set(self.question.dimensions) else ""

    def _missing_rates(self) -> str:
        asked = self.question
        return self.fill(
            "missing_rates",
            CREDITS,
            attributions="judged_attributions" if asked.is_judged_again else "attributions",
            entries=self._entries(),
            touches=self._touches(),
            worth="" if Sum.COMMISSION in asked.sums else f" {SQL['missing_worth']}",
            at=SQL["at_touch" if asked.by is By.CLICK else "at_conversion"],
        )

    def _insights(self) -> str:
        asked = self.question
        metrics = [name for name in INSIGHTS.sums if name in asked.sums]
        columns = columns_of(INSIGHTS.columns, asked.dimensions)
        usable = grains_within(asked.dimensions) if self.rolled_up else set()
        rollup = insight_rollup_for(columns, usable)
        found = cover(asked.start, asked.stop, asked.zone, usable & set(rollup.grains) if rollup else ())
        return self.fill(
            "insights",
            INSIGHTS,
            facts=self._insight_facts(rollup, found, [*columns, *metrics]),
            asked=", ".join(metrics),
            grown=", ".join(f"sum({name}) AS {name}" for name in metrics),
        )

    def _insight_facts(self, rollup: InsightRollup | None, found: Cover, columns: Sequence[str]) -> str:
        common = {
            "columns": "".join(f", {name}" for name in columns),
            "program": self.value(self.question.program_id, "bigint"),
            "owners": SQL["owners"] if set(columns) & set(OWNERS) else "",
        }
        spans = found.edges if found.edges or found.pieces else (Span(self.question.start, self.question.stop),)
        parts = [
            SQL["insight_rows"].format(
                start=self.value(span.start, "timestamptz"), stop=self.value(span.stop, "timestamptz"), **common
            )
            for span in spans
        ]
        if rollup is not None and found.pieces:
            pieces = self.pieces(found)
            parts.append(SQL["insights_rolled_up"].format(rollup=rollup.table, pieces=pieces, **common))
        return " UNION ALL ".join(parts)

    def _costs(self) -> str:
        return self.fill("costs", COSTS, facts=self._cost_facts())

    def _cost_facts(self) -> str:
        """By the day only what asks for days, or is exchanged at the rate of each."""
        asked = self.question
        if set(asked.dimensions) & set(COSTS.times):
            return self._cost_days("")
        currency = self.value(asked.currency, "bpchar")
        spans = SQL["cost_spans"].format(currency=currency, **self._days())
        return f"{spans} UNION ALL {self._cost_days(f'AND d.currency <> {currency}')}" if self.rates else spans

    def _cost_days(self, which: str) -> str:
        return SQL["cost_days"].format(
            values=self._cost_values(),
            rates=self._cost_rates(),
            zone=self.value(self.question.zone.key, "text"),
            which=which,
            listed="".join(f", {column}" for column in columns_of(COSTS.columns, self.question.dimensions)),
            **self._days(),
        )

    def _cost_values(self) -> str:
        if not self.rates:
            return "sum(d.amount_minor)"
        return SQL["cost_values"].format(currency=self.value(self.question.currency, "bpchar"))

    def _cost_rates(self) -> str:
        if not self.rates:
            return ""
        rates = (
            self.value([currency for currency, _ in self.rates], "text[]"),
            self.value([day for _, day in self.rates], "date[]"),
            self.value([Decimal(rate.numerator) for rate in self.rates.values()], "numeric[]"),
            self.value([Decimal(rate.denominator) for rate in self.rates.values()], "numeric[]"),
        )
        return SQL["rates"].format(rates=", ".join(rates))

    def _days(self) -> dict[str, str]:
        asked = self.question
        return {
            "columns": selected(COSTS, asked.dimensions),
            "program": self.value(asked.program_id, "bigint"),
            "first_day": self.value(first_day_from(asked.start, asked.zone), "date"),
            "end_day": self.value(first_day_from(asked.stop, asked.zone), "date"),
        }


def wanted_rates_statement(question: Question) -> Statement:
    """The `day` and `base` of all rates that the question's money needs: those of its costs, and those without which,
    `is_missing`, the money of its conversions is not known."""
    composer = FactsComposer(whole(question))
    return Statement(composer.wanted_rates(), composer.values)
