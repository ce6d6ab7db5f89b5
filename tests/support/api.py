"""The API over a real database, asked through ASGI."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from attribution.adapters.click_stream import StreamCensus
from attribution.adapters.conversion_intake import ConversionIntake, Key, Message
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.ledger_table import LedgerTable
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.adapters.refund_events import RefundTable
from attribution.adapters.stats_table import StatsTable
from attribution.api.app import build_api
from attribution.api.services import Readiness, Services
from attribution.api.stats import as_json
from attribution.conversions.attributor import judge_and_value
from attribution.conversions.reader import ConversionReader
from attribution.domain.click_id import ClickTokens
from attribution.domain.conversions import Acceptance
from attribution.domain.imports import ClickRejection, ImportedClick
from attribution.domain.programs import Program
from attribution.settings import Settings
from attribution.stats.ledger import Ledger
from attribution.stats.live import LivePolicy, LiveStats
from attribution.stats.query import Stats

ADMIN_KEY = "the-admin-key-of-the-tests"
BASE_URL = "https://go.example"
TOKEN = "T" * 56
NO_REDIS = "unix:///nowhere/valkey.sock"


@dataclass
class Published:
    """What the redirect workers would be told."""

    slugs: list[str] = field(default_factory=list)
    programs: list[int] = field(default_factory=list)

    async def publish(self, program_id: int, slugs: Sequence[str]) -> None:  # noqa: ARG002
        self.slugs.extend(slugs)

    async def publish_program(self, program_id: int) -> None:
        self.programs.append(program_id)


class DirectOrders:
    """Straight into the database, without the journal that stands in for it."""

    def __init__(self, intake: ConversionIntake) -> None:
        self._intake = intake

    async def accept(self, program: Program, messages: Sequence[Message]) -> list[Acceptance]:
        return await self._intake.accept(program.program_id, messages)

    async def currencies(self, program: Program, keys: Collection[Key]) -> Mapping[Key, str]:
        return await self._intake.currencies(program.program_id, keys)


@dataclass
class ClicksTaken:
    clicks: list[ImportedClick] = field(default_factory=list)

    async def accept(self, program: Program, clicks: Sequence[ImportedClick]) -> list[str | ClickRejection]:  # noqa: ARG002
        self.clicks.extend(clicks)
        return [ClickRejection.UNKNOWN_SLUG if click.slug == "unknown" else TOKEN for click in clicks]


async def _ready() -> Readiness:
    return Readiness(ready=True, dependencies={"database": "up"})


@dataclass
class Api:
    app: FastAPI
    client: httpx.AsyncClient
    database: Database
    published: Published
    clicks: ClicksTaken

    async def ask(
        self, method: str, path: str, body: Any = None, *, bearer: str = ADMIN_KEY, **options: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}", **options.pop("headers", {})}
        if body is not None:
            options["content"] = json.dumps(body)  # escapes what UTF-8 cannot hold
            headers["Content-Type"] = "application/json"
        return await self.client.request(method, path, headers=headers, **options)

    async def make(self, noun: str, *, bearer: str = ADMIN_KEY, **fields: Any) -> dict[str, Any]:
        response = await self.ask("POST", f"/v1/{noun}", fields, bearer=bearer)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def rows(self, table: str) -> int:
        async with self.database.connection() as connection:
            count: int = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        return count


@asynccontextmanager
async def running_api(database_url: str) -> AsyncIterator[Api]:
    settings = Settings(database_url=database_url, redis_url=NO_REDIS, public_url=BASE_URL)
    database = Database(settings, size=4)
    tokens = ClickTokens({1: b"k" * 32})
    published, clicks = Published(), ClicksTaken()
    stats = Stats(StatsTable(database), judge_and_value)
    app = build_api(
        Services(
            settings=settings,
            database=database,
            admin_key=ADMIN_KEY,
            links=published,
            orders=DirectOrders(ConversionIntake(database, tokens)),
            refunds=RefundTable(database),
            clicks=clicks,
            credits=ConversionReader(CreditTable(database), tokens),
            stats=stats,
            live=LiveStats(stats, as_json, LivePolicy(interval_s=0.01)),
            ledger=Ledger(LedgerTable(database), StreamCensus(open_redis(settings), settings.stream_partitions)),
            readiness=_ready,
            metrics=lambda: b"# metrics\n",
        )
    )
    # A failure of the service must show as a 500, as it does to clients.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield Api(app, client, database, published, clicks)
    await database.close()


def assert_problem(response: httpx.Response, status: int, *loc: str | int) -> None:
    """It is problem+json of this status, and one of its errors names `loc`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    if loc:
        assert list(loc) in [error["loc"] for error in problem["errors"]], problem
