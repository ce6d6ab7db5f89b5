"""/v1/campaigns; their windows are versioned by the date from which they hold."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends
from pydantic import BeforeValidator, Field

from attribution.adapters.objects import Objects
from attribution.domain.goals import GOAL_METRICS, Goal
from attribution.domain.links import Status
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .auth import ProgramOf
from .fields import Amount, CampaignWindows, Instant, Line, MoneyText, Name, minor_units
from .resources import ON_READ, UNSET, Changes, Disableable, Listed, New, Page, PageQuery, Resource, known_id
from .route import V1Route
from .services import Services

CampaignGoal = Annotated[Goal, Field(strict=False)]
Targets = dict[Line, Amount]


class CampaignChanges(Changes):
    name: Name = UNSET
    status: Status = UNSET
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    budget: Amount | None = None
    goal: CampaignGoal | None = None
    targets: Targets = UNSET
    windows: CampaignWindows | None = None
    effective_from: Instant | None = None
    """From when the windows hold: by default now, and at creation ever since."""


class NewCampaign(CampaignChanges, New):
    periods: ClassVar[Mapping[str, str]] = {"starts_at": "ends_at"}
    versioned: ClassVar[frozenset[str]] = frozenset({"windows"})

    name: Name
    status: Status = "active"
    targets: Targets = Field(default_factory=dict, examples=[{"orders": "500", "roas": "4"}])
    """Figures for metrics of the goal."""

    def check(self) -> None:
        super().check()
        if self.effective_from is not None and "windows" not in self.model_fields_set:
            raise InvalidInputError(FieldError(("body", "effective_from"), "is of use only with windows"))
        metrics = GOAL_METRICS[self.goal] if self.goal else ()
        strangers = [FieldError(("body", "targets", m), self._strange()) for m in self.targets if m not in metrics]
        if strangers:
            raise InvalidInputError(*strangers)

    def _strange(self) -> str:
        if self.goal is None:
            return "is of use only with a goal"
        return f"is not a metric of the goal {self.goal}: {', '.join(GOAL_METRICS[self.goal])}"

    def columns(self, program: Program) -> dict[str, Any]:
        targets = {metric: f"{figure:f}" for metric, figure in self.targets.items()}
        columns = super().columns(program) | {"budget": self._budget(program), "targets": targets}
        if "windows" in self.model_fields_set:
            columns["windows"] = self.windows or {}
        return columns

    def _budget(self, program: Program) -> str | None:
        if self.budget is None:
            return None
        return from_minor(minor_units(self.budget, program.currency, "budget"), program.currency)


class Campaign(Disableable):
    name: str
    starts_at: Instant | None
    ends_at: Instant | None
    budget: MoneyText | None
    goal: Goal | None
    targets: dict[str, str]
    windows: Annotated[dict[str, str] | None, BeforeValidator(lambda windows: windows or None)]
    """Those in force now."""


CAMPAIGNS = Resource("campaigns", "a campaign", NewCampaign, Campaign, CampaignChanges)


class CampaignWindowsVersion(Listed):
    """The windows that hold from `effective_from` on, until those of a later version do; of equals the later made."""

    effective_from: Instant
    windows: dict[str, str]
    created_at: datetime


def campaign_windows_router(services: Services) -> APIRouter:
    campaigns = Objects(services.database, CAMPAIGNS.table)
    router = APIRouter(prefix="/v1/campaigns/{id}/windows", tags=["campaigns"], route_class=V1Route)

    @router.get(
        "",
        response_model=Page[CampaignWindowsVersion],
        summary="List the versions of a campaign's windows",
        responses=ON_READ,
    )
    async def versions(
        id: str,  # noqa: A002
        program: ProgramOf,
        query: Annotated[PageQuery, Depends()],
    ) -> object:
        rows = await campaigns.history(program.program_id, known_id(id), query.after, query.limit + 1)
        return query.page([CampaignWindowsVersion.model_validate(dict(row)) for row in rows])

    return router
