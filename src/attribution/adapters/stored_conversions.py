"""Conversions as the database has them, and what came of judging them."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from attribution.domain.attribution import Attribution, ClickState, ConversionFacts, Reason, Status
from attribution.domain.conversions import ConversionStatus, net_minor
from attribution.domain.ids import ConversionId, LinkId, ProgramId, RecomputationId, RuleId
from attribution.domain.instants import to_us
from attribution.domain.models import Model
from attribution.domain.valuation import Valuation

from .postgres import Row

_STATUSES: Final = {status.value: status for status in ConversionStatus}
_CLICK_STATES: Final = {None: None} | {state.value: state for state in ClickState}
_SAID: Final = 17
"""Columns."""
_NOBODY: Final[frozenset[str]] = frozenset()
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
    valued_at_us: int | None = None
    """When first judged, or recomputed: its rate of exchange is of then."""
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
    def of(cls, row: Row) -> Self:
        """A row of the statement `conversions`."""
        (
            visitor_id, bound_at, valued_at, recomputation_id, status, click_is_here, click_visitor_id, named,
            is_awaited,
        ) = row[_SAID:]  # fmt: skip
        visitors = frozenset(filter(None, (visitor_id, click_visitor_id)))
        return tuple.__new__(cls, (
            *_said(row), to_us(bound_at) if bound_at else None, to_us(valued_at) if valued_at else None,
            status is not None, visitors, frozenset(named), click_is_here and is_awaited, recomputation_id,
        ))  # fmt: skip

    @classmethod
    def bound(cls, row: Row, at_us: int, recomputation_id: RecomputationId) -> Self:
        """`row`: as `conversions` begins. To a recomputation, whatever binds it by now."""
        return tuple.__new__(cls, (*_said(row), at_us, at_us, False, _NOBODY, _NOBODY, False, recomputation_id))

    @property
    def key(self) -> ConversionKey:
        return (self.program_id, self.conversion_id)

    @property
    def over_refunded_minor(self) -> int:
        return max(0, self.refunded_minor - self.facts.gross_minor)


def _said(row: Row) -> tuple[Any, ...]:
    """What messages said: the first columns of `StoredConversion`."""
    (
        program_id, conversion_id, source, conversion_type, external_id, said_status, currency, refunded_minor,
        customer_id, new_customer, click_id, click_link_id, occurred_at, gross_minor, discount_minor, click_state,
        discount_codes,
    ) = row[:_SAID]  # fmt: skip
    status = _STATUSES[said_status]
    facts = (
        to_us(occurred_at), gross_minor, net_minor(status, gross_minor, refunded_minor), discount_minor,
        _CLICK_STATES[click_state], tuple(discount_codes),
    )  # fmt: skip
    return (
        program_id, conversion_id, source, conversion_type, external_id, status, currency, refunded_minor,
        customer_id, new_customer, click_id, click_link_id, tuple.__new__(ConversionFacts, facts),
    )  # fmt: skip


def arrays_of(keys: Iterable[tuple[int, int]]) -> tuple[str, str]:
    """Programmes and ids, each an array in text, which a driver need not encode element by element."""
    pairs = list(keys)
    return array_of(pair[0] for pair in pairs), array_of(pair[1] for pair in pairs)


def array_of(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


class Outcome(NamedTuple):
    """What is said of a judged conversion beside its credits; most of a batch share a few."""

    status: Status
    reason: Reason | None
    model: Model
    rule_id: RuleId | None
    credited: bool
    rate: Fraction | None
    missing_day: date | None
    missing_base: str | None

    def row(self) -> tuple[Any, ...]:
        rate = self.rate
        return (
            *self[:5], rate and Decimal(rate.numerator), rate and Decimal(rate.denominator),
            self.missing_day, self.missing_base,
        )  # fmt: skip


class Judged(NamedTuple):
    conversion: StoredConversion
    attribution: Attribution
    valuation: Valuation

    @property
    def outcome(self) -> Outcome:
        attribution, valuation = self.attribution, self.valuation
        rule, missing = attribution.judgement.rule, valuation.missing
        return Outcome(
            attribution.status, attribution.reason, rule.model, rule.rule_id, attribution.credited,
            valuation.rate, missing.day if missing else None, missing.base if missing else None,
        )  # fmt: skip
