"""Conversions as the database has them, and what came of judging them."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from attribution.domain.attribution import Attribution, ClickState, ConversionFacts
from attribution.domain.conversions import ConversionStatus, net_minor
from attribution.domain.ids import ConversionId, LinkId, ProgramId, RecomputationId
from attribution.domain.instants import to_us
from attribution.domain.valuation import Valuation

from .postgres import Row

_STATUSES = {status.value: status for status in ConversionStatus}
ConversionKey = tuple[ProgramId, ConversionId]


# A named tuple, like what is made of it: hundreds of thousands are made.
class StoredConversion(NamedTuple):
    program_id: ProgramId
    conversion_id: ConversionId
    source: str
    type: str
    external_id: str
    status: ConversionStatus
    currency: str
    refunded_minor: int
    """As asked: may be more than gross."""
    customer_id: str | None
    new_customer: bool | None
    """As the shop says."""
    click_id: UUID | None
    click_link_id: LinkId | None
    facts: ConversionFacts
    bound_at_us: int | None
    is_judged: bool = False
    """Whether an attributor has seen it before."""
    visitors: frozenset[str] = frozenset()
    """Whom it names: its own, and that of the click that it names, if that is here."""
    named: frozenset[str] = frozenset()
    """Whom it named when that was last written."""
    has_arrived: bool = False
    """Its click is here, and still awaited."""
    recomputation_id: RecomputationId | None = None
    """The one that bound it."""

    @classmethod
    def of(cls, row: Row) -> "StoredConversion":
        status = _STATUSES[row["status"]]
        return cls(
            program_id=ProgramId(row["program_id"]),
            conversion_id=ConversionId(row["conversion_id"]),
            source=row["source"],
            type=row["type"],
            external_id=row["external_id"],
            status=status,
            currency=row["currency"],
            refunded_minor=row["refunded_minor"],
            customer_id=row["customer_id"],
            new_customer=row["new_customer"],
            click_id=row["click_id"],
            click_link_id=row["click_link_id"],
            facts=ConversionFacts(
                occurred_at_us=to_us(row["occurred_at"]),
                gross_minor=row["gross_minor"],
                net_minor=net_minor(status, row["gross_minor"], row["refunded_minor"]),
                discount_minor=row["discount_minor"],
                click_state=ClickState(row["click_state"]) if row["click_state"] else None,
                discount_codes=tuple(row["discount_codes"]),
            ),
            bound_at_us=to_us(row["bound_at"]) if row["bound_at"] else None,
            is_judged=row["attribution_status"] is not None,
            visitors=frozenset(filter(None, (row["visitor_id"], row["click_visitor_id"]))),
            named=frozenset(row["named"]),
            has_arrived=row["click_stored"] and row["awaits_click"],
            recomputation_id=row["recomputation_id"],
        )

    @property
    def key(self) -> ConversionKey:
        return (self.program_id, self.conversion_id)

    @property
    def over_refunded_minor(self) -> int:
        return max(0, self.refunded_minor - self.facts.gross_minor)


class Judged(NamedTuple):
    conversion: StoredConversion
    attribution: Attribution
    valuation: Valuation

    def row(self) -> tuple[Any, ...]:
        attribution, valuation = self.attribution, self.valuation
        rule, rate, missing = attribution.judgement.rule, valuation.rate, valuation.missing
        return (
            *self.conversion.key, attribution.status, attribution.reason, rule.model, rule.rule_id,
            attribution.credited, rate and Decimal(rate.numerator), rate and Decimal(rate.denominator),
            missing and missing.day, missing and missing.base,
        )  # fmt: skip
