"""/v1/reports/leaderboard and /v1/reports/changes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from attribution.adapters.stats_table import StatsTable
from attribution.domain.measures import Dimension
from attribution.stats.changes import Changes, ChangesQuery, Changing
from attribution.stats.leaderboard import End, LeaderboardQuery, Leaderboards
from attribution.stats.metrics import METRICS, is_told_by, sum_names

from .auth import ProgramOf
from .problems import documented
from .report_query import AS_CSV, Form, From, To, as_csv, invalid, period
from .route import V1Route
from .services import QuestionServices

_DEFAULT_PERIOD = timedelta(days=30)
_LIMIT_MAX = 1_000
_MINIMUM_MAX = 10**12
_RANKED_COLUMNS = ("value", "interval_method", "interval_lower", "interval_upper", "evidence")
_CHANGED_COLUMNS = ("value", "centre", "sigma", "lower", "upper", "score", "evidence")


class Ranked(StrEnum):
    INFLUENCER = "influencer"
    POST = "post"
    LINK = "link"
    CODE = "code"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"


class Watched(StrEnum):
    INFLUENCER = "influencer"
    POST = "post"
    CODE = "code"


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise ValueError(f"is none of {', '.join(METRICS)}")
    return metric


def _told(by: Ranked | Watched, metric: str, known: Iterable[str]) -> None:
    """A table that could only be empty is refused."""
    told = [name for name in known if is_told_by(name, Dimension(by))]
    if metric not in told:
        raise invalid("metric", f"{metric!r} is nothing that a {by} has: choose one of {', '.join(told)}")


RankableMetric = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(METRICS)}), Query(max_length=64)
]
Minimum = Annotated[int | None, Query(ge=0, le=_MINIMUM_MAX, description="of evidence; by default the metric's own")]


class Leaderboard(BaseModel):
    """A row: who (under the name of `by`), `value`, `interval` {method, lower, upper} or null, `evidence`, `sums`."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    currency: str
    as_of: datetime
    by: str
    metric: str
    order: End
    better: Literal["higher", "lower"]
    evidence: str | None
    minimum: int
    rows: list[dict[str, Any]]
    ranked: int
    too_little_data: int
    estimated: dict[str, dict[str, str]]
    definition: dict[str, Any]


class ChangesAnswer(BaseModel):
    """Rows: who, `value` of the last bucket, the range (`centre`, `sigma`, `lower`, `upper`), `score`, `evidence`."""

    by: str
    metric: Changing
    grain: str
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    earlier_from: datetime
    earlier_buckets: int
    currency: str
    as_of: datetime
    complete: bool
    minimum: int
    rows: list[dict[str, Any]]
    compared: int
    too_little_data: int
    definition: str


async def _leaderboard(
    program: ProgramOf,
    by: Ranked,
    metric: RankableMetric,
    start: From = None,
    end: To = None,
    order: End = End.BEST,
    minimum: Minimum = None,
    limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX)] = 10,
) -> LeaderboardQuery:
    _told(by, metric, METRICS)
    since, until = period(program, start, end, _DEFAULT_PERIOD)
    return LeaderboardQuery(since, until, Dimension(by), metric, order, minimum, limit=limit)


async def _changes(
    program: ProgramOf,
    by: Watched,
    metric: Changing,
    end: To = None,
    grain: Annotated[Literal["day", "week"], Query(description="of what is compared with the 8 before it")] = "day",
    minimum: Minimum = None,
    limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX)] = 100,
) -> ChangesQuery:
    _told(by, metric, Changing)
    since, until = period(program, None, end, timedelta(weeks=10))
    return ChangesQuery(_reachable(since, until), Dimension(by), metric, Dimension(grain), minimum, limit)


def _reachable(since: datetime, until: datetime) -> datetime:
    if since.year < 1970:  # noqa: PLR2004
        raise invalid("to", "is before the year 1970")
    return until


def _sums_of(metric: str) -> list[str]:
    return [f"sums_{name}" for name in sum_names(metric)]


def leaderboard_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=V1Route)
    table = StatsTable(services.database)
    leaderboards, changes = Leaderboards(table), Changes(table)

    @router.get(
        "/leaderboard",
        response_model=Leaderboard,
        summary="Who is best or worst at a metric, with enough data and by an interval",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def leaderboard(
        program: ProgramOf, query: Annotated[LeaderboardQuery, Depends(_leaderboard)], form: Form = "json"
    ) -> Any:
        answer = await leaderboards.query(program, query)
        return (
            as_csv("leaderboard", [query.by, *_RANKED_COLUMNS, *_sums_of(query.metric)], answer["rows"])
            if form == "csv"
            else answer
        )

    @router.get(
        "/changes",
        response_model=ChangesAnswer,
        summary="Whose clicks, conversion rate or revenue left their own recent range",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def changed(
        program: ProgramOf, query: Annotated[ChangesQuery, Depends(_changes)], form: Form = "json"
    ) -> Any:
        answer = await changes.query(program, query)
        return as_csv("changes", [query.by, *_CHANGED_COLUMNS], answer["rows"]) if form == "csv" else answer

    return router
