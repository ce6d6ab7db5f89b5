"""/v1/clicks: clicks from imports, apps and other trackers."""

from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field

from attribution.domain.imports import ClickRejection, ImportedClick
from attribution.errors import InvalidInputError

from .auth import AccessOf, ProgramKeyInQuery
from .bulk import ONE_BY_ONE, listed, one_by_one, parsed
from .fields import Instant, Line, Strict, VisitorId
from .problems import FieldProblem, documented
from .route import V1Route
from .services import Services

CLICKS_MAX = 10_000
TEXT_MAX = 4096


def _address(text: str) -> str:
    return str(ip_address(text))


Text = Annotated[str, Field(max_length=TEXT_MAX)]


class NewClick(Strict):
    slug: Annotated[str, Field(min_length=1, max_length=64)]
    clicked_at: Instant
    visitor_id: VisitorId | None = None
    user_agent: Text | None = None
    referrer: Text | None = None
    ip: Annotated[str, Field(max_length=64), AfterValidator(_address)] | None = None
    external_id: Line | None = None

    def imported(self) -> ImportedClick:
        return ImportedClick(
            self.slug,
            self.clicked_at,
            self.visitor_id,
            self.user_agent,
            self.referrer,
            self.ip,
            self.external_id,
        )


class RejectedClick(BaseModel):
    index: int
    reason: ClickRejection
    errors: list[FieldProblem] = Field(default_factory=list)
    """Of an `invalid` one."""


class AcceptedClicks(BaseModel):
    accepted: int
    rejected: list[RejectedClick]
    click_ids: list[str | None]


async def _read(item: object) -> ImportedClick:
    return parsed(NewClick, item).imported()


def _rejected(index: int, reason: ClickRejection, error: object) -> RejectedClick:
    faults = error.errors if isinstance(error, InvalidInputError) else ()
    errors = [FieldProblem(loc=["body", index, *fault.loc[1:]], msg=fault.msg) for fault in faults]
    return RejectedClick(index=index, reason=reason, errors=errors)


def clicks_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/clicks", tags=["clicks"], route_class=V1Route)

    @router.post(
        "",
        status_code=202,
        response_model=AcceptedClicks,
        summary="Accept up to 10,000 clicks from elsewhere",
        responses=documented(400, 401, 404, 413, 415, 422, 503),
    )
    async def accept(
        body: Annotated[list[NewClick], Field(max_length=CLICKS_MAX), ONE_BY_ONE],
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        program = await access.program(program_key)
        read = await one_by_one(_read, listed(body, CLICKS_MAX))
        valid = [item for item in read if isinstance(item, ImportedClick)]
        outcomes = iter(await services.clicks.accept(program, valid) if valid else ())
        answers = [next(outcomes) if isinstance(item, ImportedClick) else ClickRejection.INVALID for item in read]
        rejected = [
            _rejected(index, answer, read[index])
            for index, answer in enumerate(answers)
            if isinstance(answer, ClickRejection)
        ]
        return AcceptedClicks(
            accepted=len(answers) - len(rejected),
            rejected=rejected,
            click_ids=[answer if isinstance(answer, str) else None for answer in answers],
        )

    return router
