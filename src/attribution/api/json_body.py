"""Bodies as exact JSON: fractions are Decimal, and what JSON or UTF-8 does not allow is refused."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from decimal import Decimal
from email.message import Message
from typing import Any, NoReturn

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

from attribution.errors import FieldError, InvalidInputError

BODY_MAX_BYTES = 8 * 1024 * 1024


def _refuse(detail: str) -> NoReturn:
    raise HTTPException(400, detail)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name given twice has no one meaning: parsers differ in which they keep."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        _refuse(f"the body names {next(n for n in names if names.count(n) > 1)[:64]!r} twice in one object")
    return fields


def parse_json(raw: bytes) -> Any:
    """Raises a 400 for all that is not JSON in UTF-8."""
    try:
        return json.loads(
            raw.decode(),
            parse_float=Decimal,
            parse_constant=lambda name: _refuse(f"{name} is not JSON"),
            object_pairs_hook=_once,
        )
    except UnicodeDecodeError:
        _refuse("the body is not UTF-8")
    except json.JSONDecodeError as error:
        _refuse(f"the body is not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        _refuse("the body is nested too deeply")
    except (ValueError, ArithmeticError):
        _refuse("the body has a number of too many digits")


def _texts(value: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    rest: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while rest:
        loc, value = rest.pop()
        if isinstance(value, str):
            yield loc, value
        elif isinstance(value, list):
            rest.extend(((*loc, index), item) for index, item in enumerate(value))
        elif isinstance(value, dict):
            rest.extend(((*loc, _printable(name)), name) for name in value)
            rest.extend(((*loc, _printable(name)), item) for name, item in value.items())


def _printable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _may_be_unstorable(value: Any) -> bool:
    """Quickly: orjson writes no lone surrogate, and NUL only as an escape."""
    try:
        return b"\\u0000" in orjson.dumps(value, default=str)
    except TypeError:
        return True


def refuse_unstorable(value: Any) -> None:
    """Raises `InvalidInputError` for texts that Postgres cannot hold: with NUL or lone surrogates."""
    if not _may_be_unstorable(value):
        return
    faults = [loc for loc, text in _texts(value) if not _is_storable(text)]
    if faults:
        raise InvalidInputError(*(FieldError(("body", *loc), "has a NUL or half a character") for loc in faults))


def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


class LimitedRequest(Request):
    """A request whose body is never read past `BODY_MAX_BYTES`, whatever its Content-Length says."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        length = self.headers.get("content-length", "")
        size = int(length) if length.isdecimal() and len(length) < 20 else 0  # noqa: PLR2004
        if size <= BODY_MAX_BYTES:
            size = 0
            async with aclosing(super().stream()) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > BODY_MAX_BYTES:
                        break
                    yield chunk
        if size > BODY_MAX_BYTES:
            raise HTTPException(413, f"the body is over {BODY_MAX_BYTES} bytes")


class JsonRequest(LimitedRequest):
    """Its `json()` is what `read` found: FastAPI asks for it."""

    async def read(self) -> None:
        raw = await self.body()
        if not raw:
            _refuse("the body is empty")
        if not _is_json(self.headers.get("content-type", "")):
            raise HTTPException(415, "the body must be application/json")
        self._json = parse_json(raw)
        if not isinstance(self._json, list):  # of a list, each item stands or falls by itself
            refuse_unstorable(self._json)
