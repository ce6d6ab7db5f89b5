"""Looks through what is recorded for what cannot be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from attribution.domain.ids import ProgramId

from .postgres import LONG_S, Database
from .statements import statements

_SQL = statements("audit")


@dataclass(frozen=True, slots=True)
class AuditedProgram:
    program_id: ProgramId
    key: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a conversion's weights, and of its money in minor units: its own, and its value in the programme's."""

    weight: Decimal
    gross_minor: int
    net_minor: int
    discount_minor: int
    counted: Decimal
    gross_value: int
    net_value: int
    discount_value: int


@dataclass(frozen=True, slots=True)
class PaidSum:
    """The commission of an influencer by a plan, and what it may be; `at_most` None: no more is known of it."""

    influencer_id: int | None
    plan_id: int | None
    at_least: int
    at_most: int | None
    found: int


@dataclass(frozen=True, slots=True)
class Offender:
    """A conversion whose credits are not what they must be; `problems` by name."""

    conversion_id: int
    source: str
    type: str
    external_id: str
    currency: str
    value_currency: str
    problems: Sequence[str]
    expected: Sums
    found: Sums
    commissions: Sequence[PaidSum]


@dataclass(frozen=True, slots=True)
class CreditAudit:
    """`waiting` conversions are in the queue and not looked at; `problems`: how many conversions have each."""

    conversions: int
    waiting: int
    offending: int
    problems: Mapping[str, int]
    offenders: Sequence[Offender]


class AuditTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def programs(self, key: str | None) -> list[AuditedProgram]:
        """The one of this key, or all."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["programs"], key)
        return [AuditedProgram(ProgramId(row["program_id"]), row["key"], row["timezone"]) for row in rows]

    async def credits(
        self, program_id: ProgramId, start: datetime | None, end: datetime | None, after: int, limit: int
    ) -> CreditAudit:
        """Of conversions that occurred from `start` to before `end`; offenders from the next after id `after` on."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["credits"], program_id, start, end, after, limit, timeout=LONG_S)
        assert row is not None  # noqa: S101 - an aggregate always has its row
        return CreditAudit(
            conversions=row["conversions"],
            waiting=row["waiting"],
            offending=row["offending"],
            problems=row["problems"],
            offenders=[_offender(found) for found in row["page"]],
        )


def _offender(row: Mapping[str, Any]) -> Offender:
    return Offender(
        conversion_id=row["conversion_id"],
        source=row["source"],
        type=row["type"],
        external_id=row["external_id"],
        currency=row["currency"],
        value_currency=row["value_currency"],
        problems=row["problems"],
        expected=_sums(row, "1", row["counted"], "minor", "value"),
        found=_sums(row, row["weight_text"], row["counted_text"], "found", "value_found"),
        commissions=[PaidSum(**paid) for paid in row["commissions"]],
    )


def _sums(row: Mapping[str, Any], weight: str, counted: str, money: str, value: str) -> Sums:
    """`money` and `value`: what the names of its columns end in."""
    return Sums(
        weight=Decimal(weight),
        gross_minor=row[f"gross_{money}"],
        net_minor=row[f"net_{money}"],
        discount_minor=row[f"discount_{money}"],
        counted=Decimal(counted),
        gross_value=row[f"gross_{value}"],
        net_value=row[f"net_{value}"],
        discount_value=row[f"discount_{value}"],
    )
