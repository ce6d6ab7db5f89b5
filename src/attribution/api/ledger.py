"""/v1/ledger: whether every click of a period arrived, and where those are that did not. For the operator."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from attribution.domain.instants import EPOCH
from attribution.domain.quarters import QUARTER, begins_quarter
from attribution.domain.rfc3339 import parse_instant
from attribution.errors import FieldError, InvalidInputError
from attribution.stats.ledger import LedgerReport

from .auth import AccessOf
from .problems import documented
from .route import V1Route
from .services import Services

_DEFAULT_PERIOD = timedelta(days=1)
_DATE_LENGTH = len("2026-11-20")
_Moment = Annotated[str | None, Query(max_length=64)]


class LedgerLine(BaseModel):
    """accepted = lost + in_memory + journalled;
    journalled + uncounted = on_disk + in_stream + stored + dead_lettered + missing."""

    accepted: int = Field(description="answered with a click id, or imported")
    lost: int = Field(description="the disk was full, and so was the memory; or a process died with them in memory")
    in_memory: int = Field(description="the disk refuses, and they wait")
    journalled: int
    on_disk: int = Field(description="not in the stream yet")
    shipped: int
    in_stream: int = Field(description="not in the database yet")
    stored: int = Field(description="rows of the table")
    dead_lettered: int
    missing: int = Field(description="journalled, and nowhere now: a disk lost or changed them")
    uncounted: int = Field(
        description="arrived before their worker's report, at most seconds old, or cut off by a kill"
    )


class WorkerLine(LedgerLine):
    worker: str
    journal_id: str
    partition: int
    reported_at: datetime | None
    unshipped_bytes: int
    uncommitted_bytes: int
    retired_at: datetime | None


class PartitionLine(LedgerLine):
    partition: int


class LedgerAnswer(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    as_of: datetime | None
    complete: bool
    totals: LedgerLine
    workers: list[WorkerLine]
    partitions: list[PartitionLine]
    stream_available: bool
    stranded_entries: dict[str, int]
    rows: int | None


def _invalid(parameter: str, message: str) -> InvalidInputError:
    return InvalidInputError(FieldError(("query", parameter), message))


def _moment(parameter: str, text: str) -> datetime:
    try:
        if len(text) == _DATE_LENGTH:
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        moment = parse_instant(text)
    except ValueError:
        raise _invalid(parameter, "is neither a date like 2026-11-20 nor a time with an offset") from None
    if not begins_quarter(moment):
        raise _invalid(parameter, "is not the beginning of a quarter hour")
    return moment


def ledger_period(start: str | None, end: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Dates are of UTC; by default the last day, up to the end of this quarter hour. Raises `InvalidInputError`."""
    until = _moment("to", end) if end else now - (now - EPOCH) % QUARTER + QUARTER
    since = _moment("from", start) if start else min(until, max(until, EPOCH) - _DEFAULT_PERIOD)
    if since > until:
        raise _invalid("from", "is after `to`")
    return since, until


def ledger_answer(report: LedgerReport) -> Mapping[str, Any]:
    return {
        "from": report.start,
        "to": report.end,
        "as_of": report.as_of,
        "complete": report.complete,
        "totals": asdict(report.totals),
        "workers": [
            {
                "worker": line.journal.worker,
                "journal_id": str(line.journal.journal_id),
                "partition": line.journal.partition,
                "reported_at": line.journal.reported_at,
                "unshipped_bytes": line.journal.unshipped_bytes,
                "uncommitted_bytes": line.journal.uncommitted_bytes,
                "retired_at": line.journal.retired_at,
                **asdict(line.line),
            }
            for line in report.journals
        ],
        "partitions": [{"partition": number, **asdict(line)} for number, line in report.partitions.items()],
        "stream_available": report.stream_available,
        "stranded_entries": {str(partition): entries for partition, entries in report.stranded.items()},
        "rows": report.rows,
    }


def ledger_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/ledger", tags=["service"], route_class=V1Route)

    @router.get(
        "",
        response_model=LedgerAnswer,
        summary="Whether every click of a period arrived, and where those are that did not",
        responses=documented(401, 403, 422, 503),
    )
    async def ledger(
        access: AccessOf,
        start: Annotated[_Moment, Query(alias="from")] = None,
        end: Annotated[_Moment, Query(alias="to")] = None,
        *,
        recount: Annotated[bool, Query(description="count the rows too, which reads all of the period")] = False,
    ) -> object:
        access.require_admin()
        since, until = ledger_period(start, end, datetime.now(UTC))
        return ledger_answer(await services.ledger.report(since, until, recount=recount))

    return router
