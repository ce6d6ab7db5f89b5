"""/v1/audit: proofs over what is recorded."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from attribution.adapters.audit_table import AuditTable
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.errors import FieldError, InvalidInputError

from .auth import ProgramOf
from .fields import Instant
from .resources import LIMIT_DEFAULT, LIMIT_MAX, ON_READ, decode_cursor, encode_cursor
from .route import V1Route
from .services import Services


class Sums(BaseModel):
    weight: str
    gross: str
    net: str
    discount: str


class Offender(BaseModel):
    id: str
    source: str
    type: str
    external_id: str
    currency: str
    problems: list[str]
    expected: Sums
    found: Sums


class CreditAudit(BaseModel):
    """`offenders` is empty when all holds. `waiting` are in the queue and not looked at; `problems` are counts."""

    start: datetime | None = Field(alias="from")
    end: datetime | None = Field(alias="to")
    conversions: int
    waiting: int
    offending: int
    problems: dict[str, int]
    offenders: list[Offender]
    next_cursor: str | None


def audit_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=V1Route)
    table = AuditTable(services.database)

    @router.get(
        "/credits",
        response_model=CreditAudit,
        summary="Prove that the credits of each conversion sum to exactly 1, and their money to its amounts",
        responses=ON_READ,
    )
    async def credits_(
        program: ProgramOf,
        start: Annotated[Instant | None, Query(alias="from")] = None,
        end: Annotated[Instant | None, Query(alias="to")] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> dict[str, Any]:
        if start is not None and end is not None and end < start:
            raise InvalidInputError(FieldError(("query", "to"), "is before from"))
        period = AuditPeriod(start, end)
        # One more than the page holds, where there is one.
        audit = await audit_credits(table, program.program_id, period, decode_cursor(cursor), limit + 1)
        found = audit["offenders"]
        page = found[:limit]
        more = encode_cursor(int(page[-1]["id"])) if len(found) > limit else None
        return audit | {"offenders": page, "next_cursor": more}

    return router
