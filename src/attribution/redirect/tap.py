"""A request as the redirect reads it. Each header says one thing or nothing, and the first that says it counts."""

import re
from collections.abc import Iterable
from typing import Any

from .visitor import visitor_in

_SLUG_PATH = re.compile(rb"/([A-Za-z0-9_-]{1,64})")
_PREFETCH = re.compile(rb"prefetch|prerender|preview", re.IGNORECASE)
_REFERRER = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d*)?(?=[/?#]|\Z)"
)
_LOOPBACK = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d*)?", re.IGNORECASE)

Meaning = tuple[str, Any]
"""An attribute of `Tap`, and its value."""


def meaning_of(name: bytes, value: bytes) -> Meaning | None:  # noqa: PLR0911 - a table
    """What a header says to the redirect; None: nothing. `name` in lower case."""
    match name:
        case b"user-agent":
            return ("user_agent", value) if value else None
        case b"cookie":
            visitor = visitor_in((value,))
            return ("cookie_visitor", visitor) if visitor else None
        case b"referer":
            host = referrer_host_of(value)
            return ("referrer_host", host) if host else None
        case b"host":
            return ("on_loopback", True) if _LOOPBACK.fullmatch(value) else None
        case b"sec-gpc":
            return ("gpc", True) if value.strip() == b"1" else None
        case b"sec-purpose" | b"purpose" | b"x-purpose" | b"x-moz":
            return ("prefetch", True) if _PREFETCH.search(value) else None
        case b"x-forwarded-for":
            return ("forwarded_for", value)
    return None


def referrer_host_of(referrer: bytes) -> bytes:
    """In lower case, without user, port and path; empty for none."""
    found = _REFERRER.match(referrer)
    return found[1].lower() if found is not None else b""


class Tap:
    """`method` in capitals; `slug` is None where the path is not exactly a slash and a slug; `query` as sent.

    `gpc`: the browser asks not to be known; `on_loopback`: it spoke to a loopback name, so no TLS is in front;
    `forwarded_for`: X-Forwarded-For, several joined in order.
    """

    __slots__ = (
        "cookie_visitor", "forwarded_for", "gpc", "method", "on_loopback", "prefetch", "query", "referrer_host",
        "slug", "user_agent",
    )  # fmt: skip

    def __init__(self, method: str, slug: str | None, query: bytes) -> None:
        self.method = method
        self.slug = slug
        self.query = query
        self.user_agent: bytes | None = None
        self.cookie_visitor: bytes | None = None
        self.referrer_host: bytes | None = None
        self.forwarded_for: bytes | None = None
        self.gpc: bool | None = None
        self.prefetch: bool | None = None
        self.on_loopback: bool | None = None

    def hear(self, meaning: Meaning) -> None:
        attribute, value = meaning
        heard = getattr(self, attribute)
        if heard is None:
            setattr(self, attribute, value)
        elif attribute == "forwarded_for":
            self.forwarded_for = heard + b"," + value

    @property
    def visitor(self) -> bytes:
        """The visitor that came and may be known, empty for none."""
        return b"" if self.gpc else self.cookie_visitor or b""


def read_tap(method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Tap:
    """`query`: without its question mark; `headers`: names in lower case."""
    path = _SLUG_PATH.fullmatch(raw_path)
    tap = Tap(method, path[1].decode() if path is not None else None, query)
    for name, value in headers:
        meaning = meaning_of(name, value)
        if meaning is not None:
            tap.hear(meaning)
    return tap
