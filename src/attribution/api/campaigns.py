"""/v1/campaigns; their windows are versioned by the date from which they hold."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from attribution.domain.links import Status
from attribution.domain.money import MoneyError, from_minor, to_minor
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .fields import Amount, CampaignWindows, Instant, MoneyText, Name
from .resources import UNSET, Changes, Disableable, New, Resource


class CampaignChanges(Changes):
    name: Name = UNSET
    status: Status = UNSET
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    budget: Amount | None = None
    windows: CampaignWindows | None = None
    effective_from: Instant | None = None
    """From when the windows hold: by default now, and at creation ever since."""


class NewCampaign(CampaignChanges, New):
    periods: ClassVar[Mapping[str, str]] = {"starts_at": "ends_at"}
    versioned: ClassVar[frozenset[str]] = frozenset({"windows"})

    name: Name
    status: Status = "active"

    def check(self) -> None:
        super().check()
        if self.effective_from is not None and "windows" not in self.model_fields_set:
            raise InvalidInputError(FieldError(("body", "effective_from"), "is of use only with windows"))

    def columns(self, program: Program) -> dict[str, Any]:
        columns = super().columns(program) | {"budget": self._budget(program)}
        if "windows" in self.model_fields_set:
            columns["windows"] = self.windows or {}
        return columns

    def _budget(self, program: Program) -> str | None:
        if self.budget is None:
            return None
        try:
            return from_minor(to_minor(self.budget, program.currency), program.currency)
        except MoneyError as error:
            raise InvalidInputError(FieldError(("body", "budget"), str(error))) from error


class Campaign(Disableable):
    name: str
    starts_at: Instant | None
    ends_at: Instant | None
    budget: MoneyText | None
    windows: Annotated[dict[str, str] | None, BeforeValidator(lambda windows: windows or None)]
    """Those in force now."""


CAMPAIGNS = Resource("campaigns", "a campaign", NewCampaign, Campaign, CampaignChanges)
