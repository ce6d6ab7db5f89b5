"""/v1/costs: what a programme spends beside commission. A cost that was wrong is changed, or disabled."""

from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import Field

from attribution.adapters.postgres import Row
from attribution.domain.costs import DAYS_MAX, CostKind
from attribution.domain.links import Status
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .fields import Amount, Currency, Day, Id, MoneyText, Reference, dump, minor_units
from .resources import UNSET, Changes, Disableable, New, Resource

Kind = Annotated[CostKind, Field(strict=False)]
_DAY = timedelta(days=1)


class CostChanges(Changes):
    """A `date`; or a period `from` and `to` (exclusive), over whose days the cost is spread evenly."""

    kind: Kind = UNSET
    amount: Amount = UNSET
    currency: Currency = UNSET
    date: Day | None = None
    from_: Day | None = Field(None, alias="from")
    to: Day | None = None
    influencer_id: Reference | None = None
    campaign_id: Reference | None = None
    post_id: Reference | None = None
    status: Status = UNSET


class NewCost(CostChanges, New):
    kind: Kind
    amount: Amount
    currency: Currency
    status: Status = "active"

    def check(self) -> None:
        self._days()

    def _days(self) -> tuple[date, date]:
        """The first, and the one after the last. Raises `InvalidInputError`."""
        match (self.date, self.from_, self.to):
            case (date() as day, None, None):
                return day, day + _DAY
            case (None, date() as first, date() as end):
                if 0 < (end - first).days <= DAYS_MAX:
                    return first, end
                raise InvalidInputError(FieldError(("body", "to"), f"must be 1 to {DAYS_MAX} days after from"))
            case _:
                raise InvalidInputError(FieldError(("body", "date"), "either date, or from and to, must be given"))

    def columns(self, program: Program) -> dict[str, Any]:  # noqa: ARG002
        first_day, end_day = self._days()
        return dump(self, exclude={"program", "amount", "date", "from_", "to"}) | {
            "amount_minor": minor_units(self.amount, self.currency, "amount"),
            "first_day": first_day.isoformat(),
            "end_day": end_day.isoformat(),
        }


class Cost(Disableable):
    kind: CostKind
    amount: MoneyText
    currency: str
    date: Day | None
    from_: Day | None = Field(alias="from")
    to: Day | None
    influencer_id: Id | None
    campaign_id: Id | None
    post_id: Id | None


def _present(row: Row) -> dict[str, Any]:
    first_day, end_day = row["first_day"], row["end_day"]
    one_day = end_day - first_day == _DAY
    return {
        **row,
        "amount": from_minor(row["amount_minor"], row["currency"]),
        "date": first_day if one_day else None,
        "from": None if one_day else first_day,
        "to": None if one_day else end_day,
    }


COSTS = Resource("costs", "a cost", NewCost, Cost, CostChanges, _present)
