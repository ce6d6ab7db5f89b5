"""/v1/reports/goals and /v1/reports/long-tail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from attribution.adapters.goal_table import AimedCampaign, GoalTable
from attribution.domain.goals import Goal
from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program
from attribution.stats.goals import GoalReports
from attribution.stats.long_tail import DAYS_MAX, LongTails, TailQuery

from .auth import ProgramOf
from .fields import object_id
from .problems import documented
from .report_query import AS_CSV, Form, To, as_csv, invalid, period
from .resources import decode_cursor, encode_cursor
from .route import V1Route
from .services import QuestionServices
from .stats_csv import following_page

_PAGE_MAX = 100
_GOAL_COLUMNS = ("id", "name", "goal", "metric", "figure", "target", "share", "reached", "better", "formula")
_TAIL_COLUMNS = ("number", "clicks", "revenue", "share_so_far_clicks", "share_so_far_revenue")
_EVER = timedelta(days=0)
Id = Annotated[str | None, Query(max_length=64)]


class GoalFigure(BaseModel):
    """`share`: figure / target (where less is better, target / figure); null, as `reached` is, without a target."""

    figure: str | int | float | None
    target: str | None
    share: str | None
    reached: bool | None
    better: Literal["higher", "lower"]
    formula: str


class GoalReport(BaseModel):
    id: str
    name: str
    goal: Goal
    starts_at: datetime | None
    ends_at: datetime | None
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    as_of: datetime
    currency: str
    metrics: dict[str, GoalFigure]


class GoalReportPage(BaseModel):
    data: list[GoalReport]
    next_cursor: str | None


class Counted(BaseModel):
    clicks: int
    revenue: str


class TailRow(BaseModel):
    number: int
    clicks: int
    revenue: str
    share_so_far: dict[str, str | None]


class LongTail(BaseModel):
    post: str | None = None
    campaign: str | None = None
    since: datetime
    to: datetime
    timezone: str
    currency: str
    as_of: datetime
    before: Counted
    after: Counted
    share_after: dict[str, str | None]
    half_life_days: dict[str, int | None]
    rows: list[TailRow]
    definitions: dict[str, str]


@dataclass(frozen=True, slots=True)
class GoalsQuery:
    start: datetime
    end: datetime
    campaign: int | None
    limit: int
    after: int


def _id(parameter: str, text: str | None) -> int | None:
    if text is None:
        return None
    number = object_id(text)
    if number is None:
        raise invalid(parameter, f"{text[:100]!r} is not an id")
    return number


async def _goals(
    program: ProgramOf,
    campaign: Annotated[str | None, Query(max_length=64, description="by default all that have a goal")] = None,
    start: Annotated[str | None, Query(alias="from", max_length=64, description="by default all time")] = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=_PAGE_MAX)] = 20,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> GoalsQuery:
    since, until = period(program, start or "1970-01-01T00:00:00Z", end, _EVER)
    return GoalsQuery(since, until, _id("campaign", campaign), limit, decode_cursor(cursor))


async def _aimed(table: GoalTable, program: Program, query: GoalsQuery) -> list[AimedCampaign]:
    """One more than the page holds, where there is one."""
    if query.campaign is None:
        return await table.campaigns(program.program_id, query.after, query.limit + 1)
    campaign = await table.campaign(program.program_id, query.campaign)
    if campaign.goal is None:
        raise invalid("campaign", "has no goal: PATCH /v1/campaigns/{id} sets one")
    return [campaign]


@dataclass(frozen=True, slots=True)
class TailOf:
    of: Dimension
    number: int
    end: datetime
    weekly: bool


async def _tail_of(
    program: ProgramOf,
    campaign: Id = None,
    post: Id = None,
    end: To = None,
    grain: Annotated[Literal["day", "week"], Query()] = "day",
) -> TailOf:
    campaign_id, post_id = _id("campaign", campaign), _id("post", post)
    if (campaign_id is None) is (post_id is None):
        raise invalid("campaign", "say either `campaign` or `post`")
    _, until = period(program, "1970-01-01T00:00:00Z", end, _EVER)
    of = Dimension.POST if campaign_id is None else Dimension.CAMPAIGN
    return TailOf(of, campaign_id or post_id or 0, until, grain == "week")


async def _since(table: GoalTable, program: Program, asked: TailOf) -> datetime:
    if asked.of is Dimension.POST:
        since, what = await table.published_at(program.program_id, asked.number), "no `published_at`"
    else:
        since, what = (await table.campaign(program.program_id, asked.number)).ends_at, "no `ends_at`"
    if since is None:
        raise invalid(asked.of, f"has {what}")
    if since >= asked.end:
        raise invalid(asked.of, f"is only {'published' if asked.of is Dimension.POST else 'over'} at {since:%FT%TZ}")
    if (asked.end - max(since, EPOCH)).days >= DAYS_MAX or since < EPOCH:
        raise invalid("to", f"is more than {DAYS_MAX} days after the beginning")
    return since.astimezone(UTC)


def campaign_reports_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=V1Route)
    table = GoalTable(services.database)
    goals, tails = GoalReports(table, services.stats), LongTails(services.stats)

    @router.get(
        "/goals",
        response_model=GoalReportPage,
        summary="How far campaigns got with their goals",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def goal_reports(
        request: Request, program: ProgramOf, query: Annotated[GoalsQuery, Depends(_goals)], form: Form = "json"
    ) -> Any:
        found = await _aimed(table, program, query)
        data = [await goals.report(program, campaign, query.start, query.end) for campaign in found[: query.limit]]
        more = encode_cursor(found[query.limit - 1].campaign_id) if len(found) > query.limit else None
        if form == "csv":
            lines = [row for report in data for row in _lines(report)]
            return as_csv("goals", _GOAL_COLUMNS, lines, following_page(request, more))
        return {"data": data, "next_cursor": more}

    @router.get(
        "/long-tail",
        response_model=LongTail,
        response_model_exclude_unset=True,
        summary="Clicks and revenue by the days since a post was published or a campaign ended",
        responses=documented(401, 404, 409, 422, 503) | AS_CSV,
    )
    async def long_tail(program: ProgramOf, asked: Annotated[TailOf, Depends(_tail_of)], form: Form = "json") -> Any:
        since = await _since(table, program, asked)
        answer = await tails.query(program, TailQuery(asked.of, asked.number, since, asked.end, asked.weekly))
        return as_csv("long-tail", _TAIL_COLUMNS, answer["rows"]) if form == "csv" else answer

    return router


def _lines(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    about = {name: report[name] for name in ("id", "name", "goal")}
    return [{**about, "metric": name, **figure} for name, figure in report["metrics"].items()]
