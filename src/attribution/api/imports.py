"""/v1/imports/{kind}: objects and facts as CSV."""

import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from attribution.adapters.fx_rate_table import FxRateTable
from attribution.adapters.insight_table import InsightTable
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database, Row
from attribution.adapters.references import References
from attribution.domain.imports import ImportKind
from attribution.domain.programs import Program

from .auth import ProgramOf
from .campaigns import CAMPAIGNS
from .codes import CODES
from .commission_plans import COMMISSION_PLANS
from .costs import COSTS
from .csv_table import CsvTable
from .import_facts import FxRateImporter, InsightImporter
from .import_objects import ObjectImporter, nobody
from .importing import ImportCounts, Importer, RefusedRow, import_csv
from .influencers import INFLUENCERS
from .links import LINKS
from .posts import POSTS
from .problems import documented
from .route import V1Route
from .services import Services

CSV_TYPES = ("text/csv", "text/tab-separated-values")
_RESOURCES = {
    resource.noun: resource for resource in (INFLUENCERS, CAMPAIGNS, POSTS, LINKS, CODES, COSTS, COMMISSION_PLANS)
}


class ImportResult(ImportCounts):
    refused: list[RefusedRow]


Publish = Callable[[int, Sequence[str]], Awaitable[None]]
"""Of a programme, the slugs that were made."""


def build_importer(
    kind: ImportKind, database: Database, program: Program, publish: Publish, at: str | None
) -> Importer:
    """Raises `InvalidInputError` for an `at` that is no moment."""
    references = References(database)
    if kind is ImportKind.INSIGHTS:
        return InsightImporter(InsightTable(database), references, program, at)
    if kind is ImportKind.FX_RATES:
        return FxRateImporter(FxRateTable(database), program)

    async def publish_links(rows: Sequence[Row]) -> None:
        await publish(program.program_id, [row["slug"] for row in rows])

    resource = _RESOURCES[kind]
    created = publish_links if kind is ImportKind.LINKS else nobody
    return ObjectImporter(resource, Objects(database, resource.table), references, program, created)


def imports_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=V1Route)

    @router.post(
        "/{kind}",
        response_model=ImportResult,
        summary="Take in a CSV; each row is accepted or refused by itself",
        responses=documented(401, 404, 413, 415, 422, 503),
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def take(
        request: Request,
        kind: ImportKind,
        program: ProgramOf,
        at: Annotated[
            str | None,
            Query(max_length=64, description="Of insights: when the figures were read, if no column says it"),
        ] = None,
    ) -> object:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in CSV_TYPES:
            raise HTTPException(415, "the body must be text/csv")
        importer = build_importer(kind, services.database, program, services.links.publish, at)
        refused: list[RefusedRow] = []
        counts = await import_csv(CsvTable(io.BytesIO(await request.body())), importer, refused.append)
        return ImportResult(**counts.model_dump(), refused=refused)

    return router
