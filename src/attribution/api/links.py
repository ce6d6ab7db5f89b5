"""/v1/links: one at a time, or up to a thousand."""

from collections.abc import Mapping
from functools import partial
from secrets import choice
from string import ascii_letters, digits
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.domain.clicks import Channel as ChannelName
from attribution.domain.links import Status
from attribution.domain.programs import Program
from attribution.errors import AttributionError

from .auth import Access, AccessOf, ProgramKeyInQuery
from .bulk import ONE_BY_ONE, Failed, failed, listed, one_by_one, parsed
from .fields import Channel, Id, Instant, Reference, Slug, Url
from .problems import documented
from .resources import UNSET, Changes, Disableable, New, Resource, resource_router
from .route import V1Route
from .services import Services

BULK_MAX = 1000
_ALPHABET = ascii_letters + digits
_SLUG_LENGTH = 8
_SLUG_CANDIDATES = 3

Forward = Literal["none", "append"]


class LinkChanges(Changes):
    """A slug is printed, posted and cached: it never changes."""

    destination: Url = UNSET
    influencer_id: Reference | None = None
    campaign_id: Reference | None = None
    channel: Channel | None = None
    post_id: Reference | None = None
    forward_query: Forward = UNSET
    starts_at: Instant | None = None
    expires_at: Instant | None = None
    fallback_url: Url | None = None
    status: Status = UNSET


class NewLink(LinkChanges, New):
    periods: ClassVar[Mapping[str, str]] = {"starts_at": "expires_at"}

    slug: Slug | None = None
    destination: Url
    forward_query: Forward = "append"
    status: Status = "active"

    def columns(self, program: Program) -> dict[str, Any]:
        candidates = [] if self.slug else [_random_slug() for _ in range(_SLUG_CANDIDATES)]
        return super().columns(program) | {"slug_candidates": candidates}


class Link(Disableable):
    slug: str
    short_url: str
    destination: str
    influencer_id: Id | None
    campaign_id: Id | None
    channel: ChannelName | None
    post_id: Id | None
    forward_query: Forward
    starts_at: Instant | None
    expires_at: Instant | None
    fallback_url: str | None


class Made(BaseModel):
    index: int
    id: Id
    slug: str
    short_url: str


class BulkResults(BaseModel):
    results: list[Made | Failed]


Wanted = tuple[Program, dict[str, Any]]


def _random_slug() -> str:
    return "".join(choice(_ALPHABET) for _ in range(_SLUG_LENGTH))


async def _wanted(access: Access, program_key: str | None, item: object) -> Wanted:
    link = parsed(NewLink, item)
    program = await access.program(program_key, link.program)
    return program, link.columns(program)


async def _create_each(objects: Objects, wanted: list[Wanted | AttributionError]) -> list[Row | AttributionError]:
    """In the order given; what was refused before stays refused."""
    rows = [(want[0].program_id, want[1]) for want in wanted if isinstance(want, tuple)]
    made = iter(await objects.create_each(rows))
    return [next(made) if isinstance(want, tuple) else want for want in wanted]


def links_resource(base_url: str) -> Resource:
    def present(row: Row) -> dict[str, Any]:
        return {**row, "short_url": f"{base_url}/{row['slug']}"}

    return Resource("links", "a link", NewLink, Link, LinkChanges, present)


def links_router(services: Services) -> APIRouter:
    links = links_resource(services.settings.base_url)
    objects = Objects(services.database, links.table)

    async def edited(program: Program, row: Row) -> None:
        await services.links.publish(program.program_id, [row["slug"]])

    bulk = APIRouter(prefix="/v1/links", tags=["links"], route_class=V1Route)

    @bulk.post(
        "/bulk",
        response_model=BulkResults,
        summary="Create up to 1,000 links",
        responses=documented(400, 401, 404, 413, 415, 422, 503),
    )
    async def create_links(
        body: Annotated[list[NewLink], Field(max_length=BULK_MAX), ONE_BY_ONE],
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        await access.program(program_key)
        wanted = await one_by_one(partial(_wanted, access, program_key), listed(body, BULK_MAX))
        outcomes = await _create_each(objects, wanted)
        await _publish(wanted, outcomes)
        return {"results": [_result(index, outcome) for index, outcome in enumerate(outcomes)]}

    async def _publish(wanted: list[Wanted | AttributionError], outcomes: list[Row | AttributionError]) -> None:
        slugs: dict[int, list[str]] = {}
        for want, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(want, tuple) and not isinstance(outcome, AttributionError):
                slugs.setdefault(want[0].program_id, []).append(outcome["slug"])
        for program_id, made in slugs.items():
            await services.links.publish(program_id, made)

    def _result(index: int, outcome: Row | AttributionError) -> dict[str, Any] | Failed:
        if isinstance(outcome, AttributionError):
            return failed(index, outcome)
        return {"index": index, **links.present(outcome)}

    router = APIRouter()
    router.include_router(bulk)
    router.include_router(resource_router(links, objects, edited))
    return router
