"""The OpenAPI page holds: whatever is made of it, answers are as it says and never a 500."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.api import ADMIN_KEY, Api, running_api
from tests.support.waiting import wait_until

EXAMPLES_PER_OPERATION = 5
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}
TIME = "2026-11-20T10:00:00Z"
FIRST: dict[str, dict[str, Any]] = {
    "influencers": {"name": "Anna"},
    "campaigns": {"name": "Winter"},
    "posts": {"influencer_id": "1", "channel": "x"},
    "links": {"destination": "https://shop.example"},
    "codes": {"code": "ANNA15", "influencer_id": "1"},
    "rules": {"effective_from": TIME, "model": "linear"},
    "recomputations": {"from": TIME, "to": "2026-11-21T10:00:00Z", "model": "linear", "dry_run": True},
    "posts/1/insights": {"at": TIME, "views": 1000},
    "costs": {"kind": "fee", "amount": "10", "currency": "EUR", "date": "2026-11-20"},
    "commission-plans": {"effective_from": TIME, "percent": "10"},
    "fx-rates": {"date": "2026-11-20", "base": "EUR", "quote": "USD", "rate": "1.1"},
    "conversions": {"type": "lead", "conversion_id": "1", "occurred_at": TIME},
    "orders/1/refunds": {"refund_id": "1", "refunded_at": TIME, "amount": "1.00"},
    "orders": {"order_id": "1", "ordered_at": TIME, "currency": "EUR", "amount": "1.00"},
}
ENDLESS = {"/v1/stats/live"}
"""Streams, which have no last byte to wait for."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@contextmanager
def served(database_url: str) -> Iterator[str]:
    """The API behind a socket, in a thread with an event loop of its own."""
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with running_api(database_url) as api:
            server = uvicorn.Server(uvicorn.Config(api.app, port=0, log_level="critical", lifespan="off"))
            servers.append(server)
            await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        wait_until(lambda: servers and servers[0].started)
        port = servers[0].servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(10)


def check(operation: Any, *, at_known: bool) -> None:
    """`at_known`: of objects that are there, and in the programme that has them."""

    @settings(
        max_examples=EXAMPLES_PER_OPERATION, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy())
    def answers_as_documented(case: Any) -> None:
        if at_known:
            case.path_parameters.update(dict.fromkeys(case.path_parameters, "1"))
            case.query.pop("program", None)
            if isinstance(case.body, dict):
                case.body.pop("program", None)
        case.call_and_validate(headers=HEADERS, checks=CHECKS, timeout=10)

    answers_as_documented()


def seed(url: str) -> None:
    """The first of everything, with the id 1."""
    for path, body in FIRST.items():
        response = httpx.post(f"{url}/v1/{path}", json=body, headers=HEADERS)
        assert response.is_success, response.text


def test_every_operation_answers_as_documented(database_url: str) -> None:
    with served(database_url) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        seed(url)
        operations = list(schema.get_all_operations())
        assert len(operations) > 30
        for operation in operations:
            assert isinstance(operation, Ok), operation
            if operation.ok().path in ENDLESS:
                continue
            check(operation.ok(), at_known=False)
            check(operation.ok(), at_known=True)


async def test_every_error_is_documented_as_a_problem(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path.startswith("/v1"):
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
