"""Answers of the redirect lane, prepared as far as they can be. Bodies are empty, `Date` is the server's."""

from http import HTTPStatus
from typing import Final

from .decision import Outcome

Header = tuple[bytes, bytes]

_UNCACHED: Final[Header] = (b"cache-control", b"private, no-store")
_EMPTY: Final[Header] = (b"content-length", b"0")
_UNINDEXED: Final[Header] = (b"x-robots-tag", b"noindex")
_ALLOW: Final[Header] = (b"allow", b"GET, HEAD")

STATUS: Final = {
    Outcome.METHOD_NOT_ALLOWED: 405,
    Outcome.NOT_FOUND: 404,
    Outcome.FALLBACK: 302,
    Outcome.GONE: 410,
    Outcome.HEAD: 302,
    Outcome.PREFETCH: 503,
    Outcome.BOT: 302,
    Outcome.LIVE: 302,
}

FIXED_HEADERS: Final[dict[Outcome, tuple[Header, ...]]] = {
    Outcome.METHOD_NOT_ALLOWED: (_UNCACHED, _EMPTY, _ALLOW),
    Outcome.NOT_FOUND: (_UNCACHED, _EMPTY),
    Outcome.FALLBACK: (_UNCACHED, _EMPTY),
    Outcome.GONE: (_UNCACHED, _EMPTY),
    Outcome.HEAD: (_UNCACHED, _EMPTY, _UNINDEXED),
    Outcome.PREFETCH: (_UNCACHED, _EMPTY),
    Outcome.BOT: (_UNCACHED, _EMPTY, _UNINDEXED),
    Outcome.LIVE: (_UNCACHED, _EMPTY, _UNINDEXED),
}


def _raw_start(outcome: Outcome) -> bytes:
    status = HTTPStatus(STATUS[outcome])
    lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
    lines += [b"%b: %b" % header for header in FIXED_HEADERS[outcome]]
    return b"\r\n".join([*lines, b""])


_RAW_START: Final = {outcome: _raw_start(outcome) for outcome in Outcome}


class Answer:
    """`record`: the click, to be in the journal before the answer leaves; None where there is no click."""

    # Compiled, a dataclass would still be made by an interpreted `__init__`.
    __slots__ = ("location", "outcome", "record", "set_cookie")

    def __init__(
        self,
        outcome: Outcome,
        location: bytes | None = None,
        set_cookie: bytes | None = None,
        record: bytes | None = None,
    ) -> None:
        self.outcome = outcome
        self.location = location
        self.set_cookie = set_cookie
        self.record = record

    @property
    def status(self) -> int:
        return STATUS[self.outcome]

    @property
    def headers(self) -> list[Header]:
        """For ASGI; the body is empty."""
        headers = list(FIXED_HEADERS[self.outcome])
        if self.location is not None:
            headers.append((b"location", self.location))
        if self.set_cookie is not None:
            headers.append((b"set-cookie", self.set_cookie))
        return headers

    def raw(self, server_headers: bytes) -> bytes:
        """As HTTP/1.1. `server_headers`: whole lines that every answer has, like `date`."""
        if self.location is not None and self.set_cookie is None:
            return b"".join((_RAW_START[self.outcome], server_headers, b"location: ", self.location, b"\r\n\r\n"))
        parts = [_RAW_START[self.outcome], server_headers]
        if self.location is not None:
            parts += (b"location: ", self.location, b"\r\n")
        if self.set_cookie is not None:
            parts += (b"set-cookie: ", self.set_cookie, b"\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)
