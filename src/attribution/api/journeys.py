"""/v1/reports/journeys."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from attribution.adapters.report_table import ReportTable
from attribution.conversions.journeys import JourneyReports, JourneysQuery
from attribution.conversions.report import Unit

from .auth import ProgramOf
from .problems import documented
from .report_query import AS_CSV, Form, From, To, as_csv, period
from .route import V1Route
from .services import QuestionServices

_DEFAULT_PERIOD = timedelta(days=30)
_COLUMNS = ("in_paths", "credited", "assisted", "assist_ratio")


class Length(BaseModel):
    touches: int
    conversions: int


class Times(BaseModel):
    """ISO 8601 durations in whole minutes; null where there is no path."""

    quartile_1: str | None
    median: str | None
    quartile_3: str | None
    buckets: dict[str, int]


class Overlap(BaseModel):
    between: list[str]
    conversions: int
    share: str | None


class Journeys(BaseModel):
    """Rows: the unit under its name, `in_paths`, `credited`, `assisted`, `assist_ratio`; who assists most first."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    timezone: str
    unit: Unit
    as_of: datetime
    conversions: int
    conversions_without_path: int
    assisted_conversions: int
    rows: list[dict[str, str | int | None]]
    lengths: list[Length]
    first_touch_to_conversion: Times
    overlap: list[Overlap]
    error: int
    definitions: dict[str, str]


async def _asked(
    program: ProgramOf,
    start: From = None,
    end: To = None,
    unit: Unit = Unit.INFLUENCER,
    limit: Annotated[int, Query(ge=1, le=1_000, description="of rows, and of pairs")] = 100,
) -> JourneysQuery:
    return JourneysQuery(*period(program, start, end, _DEFAULT_PERIOD), unit, limit)


def journeys_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=V1Route)
    reports = JourneyReports(ReportTable(services.database))

    @router.get(
        "/journeys",
        response_model=Journeys,
        summary="Assisted conversions, lengths of paths, time to the order, and who shares paths",
        responses=documented(401, 404, 422, 503) | AS_CSV,
    )
    async def journeys(
        program: ProgramOf, query: Annotated[JourneysQuery, Depends(_asked)], form: Form = "json"
    ) -> Any:
        answer = await reports.query(program, query)
        return as_csv("journeys", [query.unit, *_COLUMNS], answer["rows"]) if form == "csv" else answer

    return router
