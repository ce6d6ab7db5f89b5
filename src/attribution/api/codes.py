"""/v1/codes"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, Field

from attribution.adapters.objects import Objects, Values
from attribution.adapters.postgres import Row
from attribution.domain.codes import CodePolicy, code_key
from attribution.domain.links import Status
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .auth import AccessOf, ProgramKeyInQuery, ProgramOf
from .fields import Id, Instant, Line, ProgramKey, Reference, Strict
from .resources import (
    ON_READ,
    ON_WRITE,
    UNSET,
    Changes,
    Disableable,
    Listed,
    New,
    Page,
    PageQuery,
    Resource,
    known_id,
)
from .route import V1Route
from .services import Services

Text = Annotated[Line, AfterValidator(str.strip)]
Policy = Annotated[CodePolicy, Field(strict=False)]


class CodeChanges(Changes):
    code: Text = UNSET
    influencer_id: Reference = UNSET
    campaign_id: Reference | None = None
    policy: Policy = UNSET
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    status: Status = UNSET


class NewCode(CodeChanges, New):
    periods: ClassVar[Mapping[str, str]] = {"starts_at": "ends_at"}

    code: Text
    influencer_id: Reference
    policy: Policy = CodePolicy.ALWAYS
    status: Status = "active"

    def columns(self, program: Program) -> dict[str, Any]:
        return super().columns(program) | {"code_key": code_key(self.code)}


class Code(Disableable):
    code: str
    influencer_id: Id
    campaign_id: Id | None
    policy: CodePolicy
    starts_at: Instant | None
    ends_at: Instant | None


CODES = Resource("codes", "a discount code", NewCode, Code, CodeChanges)


class CodeVersion(Listed):
    """What a code was from `created_at` on."""

    code: str
    influencer_id: Id
    campaign_id: Id | None
    policy: CodePolicy
    starts_at: Instant | None
    ends_at: Instant | None
    status: Status
    created_at: datetime


class Transfer(Strict):
    """`at`: from when the code is the other influencer's; by default now."""

    program: ProgramKey | None = None
    influencer_id: Reference
    at: Instant | None = None
    external_id: Line | None = None

    def parts(self, program: Program, row: Row) -> tuple[Values, Values]:
        """The code that ends, and the one that follows it with all else the same."""
        code = NewCode.model_validate(CODES.current(row))
        at = self.at or datetime.now(UTC)
        if code.influencer_id == self.influencer_id:
            raise InvalidInputError(FieldError(("body", "influencer_id"), "has the code already"))
        if code.starts_at is not None and at <= code.starts_at:
            raise InvalidInputError(FieldError(("body", "at"), "is not after the code's starts_at"))
        if code.ends_at is not None and at >= code.ends_at:
            raise InvalidInputError(FieldError(("body", "at"), "is not before the code's ends_at"))
        successor = {"influencer_id": self.influencer_id, "starts_at": at, "external_id": self.external_id}
        return (
            code.model_copy(update={"ends_at": at}).columns(program),
            code.model_copy(update=successor).columns(program),
        )


def code_history_router(services: Services) -> APIRouter:
    codes = Objects(services.database, CODES.table)
    router = APIRouter(prefix="/v1/codes/{id}", tags=["codes"], route_class=V1Route)

    @router.get("/history", response_model=Page[CodeVersion], summary="List a code's versions", responses=ON_READ)
    async def history(
        id: str,  # noqa: A002
        program: ProgramOf,
        query: Annotated[PageQuery, Depends()],
    ) -> object:
        rows = await codes.history(program.program_id, known_id(id), query.after, query.limit + 1)
        return query.page([CodeVersion.model_validate(dict(row)) for row in rows])

    @router.post(
        "/transfers",
        status_code=201,
        response_model=Code,
        summary="Hand a code on: it ends, and the same text begins as another influencer's",
        responses=ON_WRITE,
    )
    async def transfer(
        id: str,  # noqa: A002
        body: Transfer,
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        program = await access.program(program_key, body.program)
        row = await codes.succeed(program.program_id, known_id(id), lambda row: body.parts(program, row))
        return CODES.present(row)

    return router
