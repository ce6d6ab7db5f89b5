"""/v1/commission-plans: append-only versions of what is paid for a conversion."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from attribution.adapters.postgres import Row
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .fields import (
    Amount,
    ConversionType,
    Currency,
    Id,
    Instant,
    Line,
    MoneyText,
    ProgramKey,
    Reference,
    dump,
    minor_units,
)
from .resources import Answer, New, Resource

Percent = Annotated[Amount, Field(le=Decimal(100), examples=["7.5"])]


class NewCommissionPlan(New):
    """`percent` of the net, or `flat` for each conversion; what is not named, it holds for."""

    program: ProgramKey | None = None
    external_id: Line | None = None
    effective_from: Instant
    conversion_type: ConversionType | None = None
    influencer_id: Reference | None = None
    campaign_id: Reference | None = None
    new_customer: bool | None = None
    percent: Percent | None = None
    flat: Amount | None = None
    currency: Currency | None = None

    def check(self) -> None:
        if (self.percent is None) == (self.flat is None):
            raise InvalidInputError(FieldError(("body", "percent"), "either percent or flat must be given"))
        if (self.flat is None) != (self.currency is None):
            raise InvalidInputError(FieldError(("body", "currency"), "belongs to flat, and flat needs it"))

    def columns(self, program: Program) -> dict[str, Any]:  # noqa: ARG002
        self.check()
        flat_minor = (
            minor_units(self.flat, self.currency, "flat") if self.flat is not None and self.currency else None
        )
        percent = None if self.percent is None else f"{self.percent:f}"
        return dump(self, exclude={"program", "flat"}) | {"percent": percent, "flat_minor": flat_minor}


class CommissionPlan(Answer):
    effective_from: Instant
    conversion_type: str | None
    influencer_id: Id | None
    campaign_id: Id | None
    new_customer: bool | None
    percent: MoneyText | None
    flat: MoneyText | None
    currency: str | None


def _present(row: Row) -> dict[str, Any]:
    flat_minor = row["flat_minor"]
    return {**row, "flat": None if flat_minor is None else from_minor(flat_minor, row["currency"])}


COMMISSION_PLANS = Resource(
    "commission-plans", "a commission plan", NewCommissionPlan, CommissionPlan, present=_present
)
