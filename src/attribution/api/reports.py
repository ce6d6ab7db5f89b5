"""/v1/reports: models over all paths of a period."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from attribution.adapters.report_table import ReportTable
from attribution.conversions.report import ReportQuery, Reports, Unit
from attribution.domain.models import Model, ReportModel
from attribution.errors import FieldError, InvalidInputError

from .auth import ProgramOf
from .problems import documented
from .report_query import AS_CSV, Form, as_csv
from .route import V1Route
from .services import QuestionServices
from .stats import moment

_COLUMNS = ("conversions", "value", "removal_effect")
_MODELS = (*map(str, Model), *map(str, ReportModel))


def _known(model: str) -> str:
    if model not in _MODELS:
        raise ValueError(f"is none of {', '.join(_MODELS)}")
    return model


AnyModel = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(_MODELS)})]


class Totals(BaseModel):
    """Of conversions that have a path; those without one stand apart."""

    conversions: int
    value: str
    conversions_without_path: int
    null_paths: int
    distinct_paths: int


class AttributionReport(BaseModel):
    """Rows have the unit under its name (null is none), conversions, value and, of markov, removal_effect."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    timezone: str
    model: str
    unit: str
    order: int
    nulls: bool
    currency: str
    as_of: datetime
    rows: list[dict[str, str | None]]
    totals: Totals
    comparison: list[dict[str, str | dict[str, str] | None]]


async def _query(
    program: ProgramOf,
    start: Annotated[str, Query(alias="from", max_length=64)],
    end: Annotated[str, Query(alias="to", max_length=64)],
    model: AnyModel = str(ReportModel.MARKOV),
    unit: Unit = Unit.CHANNEL,
    order: Annotated[int, Query(ge=1, le=3, description="of markov")] = 1,
    nulls: Annotated[bool, Query(description="whether walks without conversion count, of markov")] = True,  # noqa: FBT002
    compare: Annotated[bool, Query(description="all models side by side, too")] = True,  # noqa: FBT002
) -> ReportQuery:
    zone = ZoneInfo(program.timezone)
    since, until = moment("from", start, zone), moment("to", end, zone)
    if since > until:
        raise InvalidInputError(FieldError(("query", "from"), "is after `to`"))
    return ReportQuery(since.astimezone(UTC), until.astimezone(UTC), model, unit, order, nulls, compare)


def reports_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=V1Route)
    reports = Reports(ReportTable(services.database))

    @router.get(
        "/attribution",
        response_model=AttributionReport,
        summary="What influencers, campaigns or channels have by any model, over all paths of a period",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def attribution(
        program: ProgramOf, query: Annotated[ReportQuery, Depends(_query)], form: Form = "json"
    ) -> Any:
        answer = await reports.attribution(program, query)
        return as_csv("attribution", [query.unit, *_COLUMNS], answer["rows"]) if form == "csv" else answer

    return router
