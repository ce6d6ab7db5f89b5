"""/v1/audit: proofs over what is recorded."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from attribution.adapters.audit_table import AuditTable
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.errors import FieldError, InvalidInputError

from .auth import ProgramOf
from .report_query import From
from .resources import LIMIT_DEFAULT, LIMIT_MAX, ON_READ, decode_cursor, encode_cursor
from .route import V1Route
from .services import Services
from .stats import moment


class Sums(BaseModel):
    """In the conversion's currency; `gross_value`, `net_value` and `discount_value` in the programme's."""

    weight: str
    gross: str
    net: str
    discount: str
    counted: str
    gross_value: str
    net_value: str
    discount_value: str


class PaidSum(BaseModel):
    """Commission of an influencer by a plan, in the programme's currency. `at_most` is null where it is not known."""

    influencer_id: str | None
    plan_id: str | None
    at_least: str
    at_most: str | None
    found: str


class Offender(BaseModel):
    id: str
    source: str
    type: str
    external_id: str
    currency: str
    value_currency: str
    problems: list[str]
    expected: Sums
    found: Sums
    commissions: list[PaidSum]


class CreditAudit(BaseModel):
    """`data`: each conversion that offends, so empty when all holds.

    `waiting` are in the queue and not looked at; `problems` are counts.
    """

    start: datetime | None = Field(alias="from")
    end: datetime | None = Field(alias="to")
    conversions: int
    waiting: int
    offending: int
    problems: dict[str, int]
    data: list[Offender]
    next_cursor: str | None


def audit_period(start: str | None, end: str | None, timezone: str) -> AuditPeriod:
    """Instants, or dates in the programme's zone; empty or None: no bound. Raises `InvalidInputError`."""
    zone = ZoneInfo(timezone)
    since, until = moment("from", start, zone) if start else None, moment("to", end, zone) if end else None
    if since is not None and until is not None and until < since:
        raise InvalidInputError(FieldError(("query", "to"), "is before from"))
    return AuditPeriod(since, until)


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
        start: From = None,
        end: Annotated[str | None, Query(alias="to", max_length=64, description="exclusive")] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> dict[str, Any]:
        period = audit_period(start, end, program.timezone)
        # One more than the page holds, where there is one.
        audit = dict(await audit_credits(table, program.program_id, period, decode_cursor(cursor), limit + 1))
        found = audit.pop("offenders")
        page = found[:limit]
        more = encode_cursor(int(page[-1]["id"])) if len(found) > limit else None
        return audit | {"data": page, "next_cursor": more}

    return router
