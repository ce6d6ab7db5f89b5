"""Every error as application/problem+json (RFC 9457), and the one place that gives errors their status."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from attribution.errors import (
    AttributionError,
    ConflictError,
    FieldError,
    InvalidInputError,
    MissingRateError,
    NotFoundError,
    RejectedRowsError,
    UnavailableError,
)

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = "5"
ERRORS_MAX = 100
_METHODS = ("GET", "POST", "PATCH", "DELETE")

_STATUSES: Mapping[type[AttributionError], HTTPStatus] = {
    InvalidInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RejectedRowsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    MissingRateError: HTTPStatus.CONFLICT,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": RETRY_AFTER_S},
}
_MESSAGES = {"extra_forbidden": "is not a known field", "missing": "is required"}


class FieldProblem(BaseModel):
    loc: list[str | int]
    msg: str


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`; the app adds the schema `Problem` to its components."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


_OF_A_KEY = "[key]"
"""What pydantic puts behind the name of a key that is wrong itself."""


def field_errors(errors: Iterable[Any], *prefix: str | int) -> list[FieldError]:
    """Of pydantic's errors; without the input, which may be a secret or a megabyte."""
    return [
        FieldError(
            (*prefix, *(_printable(part) for part in error["loc"] if part != _OF_A_KEY)),
            _MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, ")),
        )
        for error in errors
    ]


def _printable(part: str | int) -> str | int:
    return part if isinstance(part, int) else part[:200].encode(errors="replace").decode()


def invalid_input(error: ValidationError, *prefix: str | int) -> InvalidInputError:
    return InvalidInputError(
        *field_errors(error.errors(include_url=False, include_context=False, include_input=False), *prefix)
    )


def as_json(errors: Sequence[FieldError]) -> list[dict[str, Any]]:
    return [{"loc": error.loc, "msg": error.msg} for error in errors[:ERRORS_MAX]]


def problem(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = as_json(errors)
    return Response(
        orjson.dumps(content),
        status,
        {**_HEADERS.get(status, {}), **(headers or {})},
        media_type=PROBLEM_JSON,
    )


def status_of(error: AttributionError) -> HTTPStatus:
    found = (status for kind, status in _STATUSES.items() if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _on_attribution_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AttributionError)  # noqa: S101
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return await _on_unexpected(request, error)
    if isinstance(error, RejectedRowsError):
        return problem(status, "the database refused a value of the request")
    errors = error.errors if isinstance(error, InvalidInputError) else ()
    return problem(status, str(error)[:2000], errors)


def _allowed(request: Request) -> str:
    """Of all routes of the path: starlette names the first one's methods only."""
    return ", ".join(
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request)
    return problem(error.status_code, str(error.detail), headers=headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return await _on_attribution_error(request, InvalidInputError(*field_errors(error.errors()[:ERRORS_MAX])))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    # The server logs the traceback, as starlette raises the error again.
    structlog.get_logger().error("request_failed", method=request.method, path=request.url.path, error=repr(error))
    return problem(500, "the service failed; its log says why")


def answer_with_problems(app: FastAPI) -> None:
    app.add_exception_handler(AttributionError, _on_attribution_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_unexpected)
