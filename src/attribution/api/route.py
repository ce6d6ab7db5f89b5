"""Routes under /v1: who asks is known before a body is parsed, and no parameter is unknown."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import Scope

from attribution.errors import FieldError, InvalidInputError

from .auth import Gate
from .json_body import JsonRequest

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def gate_of(connection: HTTPConnection) -> Gate:
    gate: Gate = connection.app.state.gate
    return gate


def refuse_unknown_parameters(request: Request, known: frozenset[str]) -> None:
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise InvalidInputError(*(FieldError(("query", name[:200]), "is not a known parameter") for name in unknown))


class V1Route(APIRoute):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """An id may end as a path does: a last slash that came as `%2F` is the id's own."""
        match, child_scope = super().matches(scope)
        last = self.path.rpartition("/")[2].encode()
        if match is not Match.NONE and scope.get("raw_path", b"").lower().endswith(b"%2f" + last):
            return Match.NONE, {}
        return match, child_scope

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        fields = get_flat_params(self.dependant)
        known = frozenset(field.alias for field in fields if isinstance(field.field_info, Query))
        has_body = self.body_field is not None

        async def handle_v1(request: Request) -> Response:
            request.state.access = await gate_of(request).authenticate(request.headers.get("authorization"))
            refuse_unknown_parameters(request, known)
            json_request = JsonRequest(request.scope, request.receive)
            if has_body:
                await json_request.read()
            return await handle(json_request)

        return handle_v1
