"""/v1/imports/{kind}: objects and facts as CSV."""

import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
from .csv_table import CSV_TEXT, CsvTable
from .import_facts import FxRateImporter, InsightImporter
from .import_objects import ObjectImporter
from .importing import ImportCounts, Importer, RefusedRow, import_csv
from .influencers import INFLUENCERS
from .links import links_resource
from .posts import POSTS
from .problems import documented
from .route import V1Route
from .services import Services

CSV_TYPES = ("text/csv", "text/tab-separated-values")
_RESOURCES = {resource.noun: resource for resource in (INFLUENCERS, CAMPAIGNS, POSTS, CODES, COSTS, COMMISSION_PLANS)}


class ImportResult(ImportCounts):
    refused: list[RefusedRow]


Publish = Callable[[int, Sequence[str]], Awaitable[None]]
"""Of a programme, the slugs that were made."""


@dataclass(frozen=True, slots=True)
class Imports:
    """Importers into one database; `base_url` is that of short links."""

    database: Database
    base_url: str
    publish: Publish

    def importer(self, kind: ImportKind, program: Program, at: str | None) -> Importer:
        """Raises `InvalidInputError` for an `at` that is no moment."""
        references = References(self.database)
        if kind is ImportKind.INSIGHTS:
            return InsightImporter(InsightTable(self.database), references, program, at)
        if kind is ImportKind.FX_RATES:
            return FxRateImporter(FxRateTable(self.database), program)
        resource = links_resource(self.base_url) if kind is ImportKind.LINKS else _RESOURCES[kind]

        async def created(rows: Sequence[Row]) -> None:
            if kind is ImportKind.LINKS:
                await self.publish(program.program_id, [row["slug"] for row in rows])

        return ObjectImporter(resource, Objects(self.database, resource.table), references, program, created)


def imports_router(services: Services) -> APIRouter:
    imports = Imports(services.database, services.settings.base_url, services.links.publish)
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
        importer = imports.importer(kind, program, at)
        refused: list[RefusedRow] = []
        text = io.TextIOWrapper(io.BytesIO(await request.body()), **CSV_TEXT)
        counts = await import_csv(CsvTable(text), importer, refused.append)
        return ImportResult(**counts.model_dump(), refused=refused)

    return router
