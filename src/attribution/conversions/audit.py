"""Proves that what is recorded adds up: an audit answers with each offender, and with none when all holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from attribution.adapters.audit_table import AuditTable, Offender, PaidSum, Sums
from attribution.domain.ids import ProgramId
from attribution.domain.money import from_minor


@dataclass(frozen=True, slots=True)
class AuditPeriod:
    """Conversions that occurred from `start` to before `end`; None is no bound."""

    start: datetime | None = None
    end: datetime | None = None


async def audit_credits(
    table: AuditTable, program_id: ProgramId, period: AuditPeriod, after: int = 0, limit: int = 100
) -> dict[str, Any]:
    """Weights of each conversion sum to exactly 1, money to its amounts. `offenders`: those after id `after`."""
    audit = await table.credits(program_id, period.start, period.end, after, limit)
    return {
        "from": period.start,
        "to": period.end,
        "conversions": audit.conversions,
        "waiting": audit.waiting,
        "offending": audit.offending,
        "problems": audit.problems,
        "offenders": [_offender(offender) for offender in audit.offenders],
    }


def _offender(offender: Offender) -> Mapping[str, Any]:
    return {
        "id": str(offender.conversion_id),
        "source": offender.source,
        "type": offender.type,
        "external_id": offender.external_id,
        "currency": offender.currency,
        "value_currency": offender.value_currency,
        "problems": list(offender.problems),
        "expected": _sums(offender.expected, offender.currency, offender.value_currency),
        "found": _sums(offender.found, offender.currency, offender.value_currency),
        "commissions": [_paid(paid, offender.value_currency) for paid in offender.commissions],
    }


def _sums(sums: Sums, currency: str, value_currency: str) -> Mapping[str, str]:
    return {
        "weight": _weight(sums.weight),
        "gross": from_minor(sums.gross_minor, currency),
        "net": from_minor(sums.net_minor, currency),
        "discount": from_minor(sums.discount_minor, currency),
        "counted": _weight(sums.counted),
        "gross_value": from_minor(sums.gross_value, value_currency),
        "net_value": from_minor(sums.net_value, value_currency),
        "discount_value": from_minor(sums.discount_value, value_currency),
    }


def _weight(weight: Decimal) -> str:
    return f"{weight.normalize():f}"


def _paid(paid: PaidSum, currency: str) -> Mapping[str, str | None]:
    return {
        "influencer_id": None if paid.influencer_id is None else str(paid.influencer_id),
        "plan_id": None if paid.plan_id is None else str(paid.plan_id),
        "at_least": from_minor(paid.at_least, currency),
        "at_most": None if paid.at_most is None else from_minor(paid.at_most, currency),
        "found": from_minor(paid.found, currency),
    }
