"""/v1/reports/lifetime-value."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from attribution.adapters.customer_values import HORIZONS
from attribution.adapters.lifetime_table import LifetimeTable
from attribution.domain.measures import Dimension
from attribution.stats.lifetime import LifetimeQuery, LifetimeValues

from .auth import ProgramOf
from .problems import documented
from .report_query import AS_CSV, Form, From, To, as_csv, period
from .route import V1Route
from .services import QuestionServices
from .stats import cursor_of, offset_of
from .stats_csv import following_page

_DEFAULT_PERIOD = timedelta(days=365)
_COLUMNS = (
    "month", "customers", "orders", *(f"net_revenue_per_customer_{days}" for days in HORIZONS), "net_revenue_so_far",
    "refunds", "repeat_rate", "part",
)  # fmt: skip


class BroughtBy(StrEnum):
    INFLUENCER = "influencer"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"
    CODE = "code"


class LifetimeValue(BaseModel):
    """A cohort: who and `month`, `customers`, `orders`, money, `repeat_rate`; a horizon not yet over is null.

    Of `totals` a horizon tells of `customers_counted`.
    """

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    by: BroughtBy
    timezone: str
    currency: str
    as_of: datetime
    rows: list[dict[str, Any]]
    without_influencer: list[dict[str, Any]]
    totals: dict[str, dict[str, Any]]
    left_out: dict[str, int]
    definitions: dict[str, str]
    next_cursor: str | None


async def _asked(
    program: ProgramOf,
    by: BroughtBy,
    start: From = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> LifetimeQuery:
    since, until = period(program, start, end, _DEFAULT_PERIOD)
    return LifetimeQuery(Dimension(by), since, until, limit, offset_of(cursor))


def lifetime_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=V1Route)
    values = LifetimeValues(LifetimeTable(services.database))

    @router.get(
        "/lifetime-value",
        response_model=LifetimeValue,
        summary="What customers are worth after 30 to 365 days, by who brought them and when",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def lifetime_value(
        request: Request, program: ProgramOf, query: Annotated[LifetimeQuery, Depends(_asked)], form: Form = "json"
    ) -> Any:
        answer = dict(await values.query(program, query))
        answer["next_cursor"] = cursor_of(answer.pop("next_offset"))
        if form == "csv":
            following = following_page(request, answer["next_cursor"])
            return as_csv("lifetime-value", [query.by, *_COLUMNS], _lines(answer), following)
        return answer

    return router


def _lines(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """After the last page's cohorts, so that all pages together have them once, those without an influencer."""
    cohorts = [row | {"part": "cohort"} for row in answer["rows"]]
    if answer["next_cursor"] is not None:
        return cohorts
    return cohorts + [row | {"part": "without_influencer"} for row in answer["without_influencer"]]
