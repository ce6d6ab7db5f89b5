"""The API: routers, problems and the pages that belong to the host."""

from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from attribution.adapters.objects import Objects
from attribution.adapters.programs import Programs

from .audit import audit_router
from .auth import Directory, Gate
from .campaign_reports import campaign_reports_router
from .campaigns import CAMPAIGNS, campaign_windows_router
from .clicks import clicks_router
from .codes import CODES, code_history_router
from .commission_plans import COMMISSION_PLANS
from .conversions import conversions_router
from .costs import COSTS
from .fx_rates import fx_rates_router
from .imports import imports_router
from .influencers import INFLUENCERS
from .insights import insights_router
from .journeys import journeys_router
from .leaderboard import leaderboard_router
from .ledger import ledger_router
from .lifetime import lifetime_router
from .links import links_router
from .live import live_router
from .orders import orders_router
from .posts import POSTS
from .problems import Problem, answer_with_problems
from .programs import programs_router
from .recomputations import RECOMPUTATIONS, recomputation_router
from .refunds import refunds_router
from .reports import reports_router
from .resources import resource_router
from .rules import RULES
from .services import QuestionServices, Services
from .stats import stats_router
from .webhooks import webhooks_router

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_DOCS = "/docs"
_ROBOTS = "User-agent: *\nDisallow: /\n"


class Alive(BaseModel):
    status: str = "ok"


class Ready(BaseModel):
    ready: bool
    dependencies: dict[str, str]


def _host_router(services: Services) -> APIRouter:
    router = APIRouter(tags=["service"])

    @router.get("/healthz", summary="Whether the process lives")
    async def healthz() -> Alive:
        return Alive()

    @router.get(
        "/readyz",
        summary="Whether links resolve and clicks are kept",
        responses={503: {"description": "Not ready", "model": Ready}},
    )
    async def readyz(response: Response) -> Ready:
        readiness = await services.readiness()
        response.status_code = 200 if readiness.ready else 503
        return Ready(ready=readiness.ready, dependencies=dict(readiness.dependencies))

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(services.metrics(), media_type=_PROMETHEUS)

    @router.get("/robots.txt", include_in_schema=False)
    async def robots() -> Response:
        return Response(_ROBOTS, media_type="text/plain")

    @router.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return Response(status_code=204, headers={"Cache-Control": "public, max-age=86400"})

    return router


def _describe(app: FastAPI) -> None:
    """Every operation refers to the schema `Problem` and none returns it, so FastAPI leaves it out."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas |= problem.pop("$defs", {}) | {"Problem": problem}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _show(app: FastAPI) -> None:
    """The page of the API, whose scripts come from this server: it works without an internet, and tells nobody."""
    app.mount(f"{_DOCS}/assets", StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(_DOCS, include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_DOCS}/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{_DOCS}/assets/swagger-ui.css",
            swagger_favicon_url="/favicon.ico",
        )


def _answer_questions(app: FastAPI, services: QuestionServices) -> None:
    app.include_router(stats_router(services))
    app.include_router(live_router(services))
    app.include_router(reports_router(services))
    app.include_router(leaderboard_router(services))
    app.include_router(campaign_reports_router(services))
    app.include_router(lifetime_router(services))
    app.include_router(journeys_router(services))


def build_questions(services: QuestionServices) -> FastAPI:
    """Only /v1/stats and /v1/reports."""
    app = _app(openapi_url=None)
    # Edits are made in other processes, and a question asks the database anyway.
    app.state.gate = Gate(services.admin_key, Directory(Programs(services.database), fresh_s=0))
    answer_with_problems(app)
    _answer_questions(app, services)
    return app


def _app(**options: Any) -> FastAPI:
    return FastAPI(
        title="Attribution",
        version="1",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        **options,
    )


def build_api(services: Services) -> FastAPI:
    app = _app()
    programs = Programs(services.database)
    directory = Directory(programs)
    app.state.gate = Gate(services.admin_key, directory)
    answer_with_problems(app)
    app.include_router(_host_router(services))
    app.include_router(programs_router(services, programs, directory))
    for resource in (INFLUENCERS, CAMPAIGNS, POSTS, CODES, RULES, COSTS, COMMISSION_PLANS, RECOMPUTATIONS):
        app.include_router(resource_router(resource, Objects(services.database, resource.table)))
    app.include_router(campaign_windows_router(services))
    app.include_router(code_history_router(services))
    app.include_router(recomputation_router(services))
    app.include_router(insights_router(services))
    app.include_router(fx_rates_router(services))
    app.include_router(imports_router(services))
    app.include_router(links_router(services))
    app.include_router(clicks_router(services))
    app.include_router(refunds_router(services))
    app.include_router(orders_router(services))
    app.include_router(conversions_router(services))
    app.include_router(webhooks_router(services, directory))
    _answer_questions(app, services)
    app.include_router(audit_router(services))
    app.include_router(ledger_router(services))
    _describe(app)
    _show(app)
    return app
