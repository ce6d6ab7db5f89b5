"""/v1/posts/{id}/insights: running totals as a platform showed them at a moment."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, Field

from attribution.adapters.insight_table import InsightTable
from attribution.domain.insights import METRICS
from attribution.errors import FieldError, InvalidInputError

from .auth import AccessOf, ProgramKeyInQuery, ProgramOf
from .bulk import ONE_BY_ONE, listed, one_by_one, parsed
from .fields import Id, Instant, ProgramKey, Strict, dump
from .recorded import FACTS_MAX, RecordedList, record_each
from .resources import ON_READ, ON_WRITE, Listed, Page, PageQuery, known_id
from .route import V1Route
from .services import Services

TOTAL_MAX = 10**15
_AHEAD_MAX = timedelta(days=1)
"""A day alone means its end, also today's."""


def _not_ahead(at: datetime) -> datetime:
    if at > datetime.now(UTC) + _AHEAD_MAX:
        raise ValueError("is more than a day ahead")
    return at


Total = Annotated[int, Field(ge=0, le=TOTAL_MAX)]
NetTotal = Annotated[int, Field(ge=-TOTAL_MAX, le=TOTAL_MAX)]


class NewInsight(Strict):
    """What a post has had since it was published. Totals that are left out are not known."""

    program: ProgramKey | None = None
    at: Annotated[Instant, AfterValidator(_not_ahead)]
    impressions: Total | None = None
    reach: Total | None = None
    views: Total | None = None
    likes: Total | None = None
    comments: Total | None = None
    shares: Total | None = None
    saves: Total | None = None
    link_taps: Total | None = None
    followers: NetTotal | None = None
    """Won by this post, less those lost where the platform says so."""

    def columns(self, post_id: int) -> dict[str, Any]:
        if all(getattr(self, metric) is None for metric in METRICS):
            raise InvalidInputError(FieldError(("body",), f"has none of {', '.join(METRICS)}"))
        return dump(self, exclude={"program"}) | {"post_id": post_id}


class Insight(Listed):
    post_id: Id
    at: Instant
    impressions: int | None
    reach: int | None
    views: int | None
    likes: int | None
    comments: int | None
    shares: int | None
    saves: int | None
    link_taps: int | None
    followers: int | None
    created_at: datetime


async def _read(post_id: int, item: object) -> dict[str, Any]:
    return parsed(NewInsight, item).columns(post_id)


def insights_router(services: Services) -> APIRouter:
    insights = InsightTable(services.database)
    router = APIRouter(prefix="/v1/posts/{id}/insights", tags=["posts"], route_class=V1Route)

    @router.post(
        "",
        status_code=201,
        response_model=Insight | RecordedList,
        summary="Record insights of a post, or up to 1,000",
        responses=ON_WRITE
        | {200: {"description": "Of a list, or where nothing is new", "model": Insight | RecordedList}},
    )
    async def record(
        id: str,  # noqa: A002
        body: Annotated[NewInsight | Annotated[list[NewInsight], Field(max_length=FACTS_MAX)], ONE_BY_ONE],
        response: Response,
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        post_id = known_id(id)
        if isinstance(body, list):
            program = await access.program(program_key)
            await insights.require_post(program.program_id, post_id)
            read = await one_by_one(partial(_read, post_id), listed(body, FACTS_MAX))
            response.status_code = 200
            return await record_each(read, partial(insights.record, program.program_id))
        insight = parsed(NewInsight, body)
        program = await access.program(program_key, insight.program)
        await insights.require_post(program.program_id, post_id)
        [recorded] = await insights.record(program.program_id, [insight.columns(post_id)])
        response.status_code = 201 if recorded.stored else 200
        [row] = await insights.list(program.program_id, post_id, recorded.id - 1, 1)
        return dict(row)

    @router.get("", response_model=Page[Insight], summary="List insights of a post", responses=ON_READ)
    async def list_(id: str, program: ProgramOf, query: Annotated[PageQuery, Depends()]) -> object:  # noqa: A002
        post_id = known_id(id)
        await insights.require_post(program.program_id, post_id)
        rows = await insights.list(program.program_id, post_id, query.after, query.limit + 1)
        return query.page([Insight.model_validate(dict(row)) for row in rows])

    return router
