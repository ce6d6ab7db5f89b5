"""A request as the redirect reads it: one pass over the headers, each understood when it is asked for."""

import re
from collections.abc import Iterable

from .visitor import visitor_in

_PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_READ = frozenset({b"user-agent", b"cookie", b"referer", b"host", b"sec-gpc", b"x-forwarded-for", *_PURPOSES})
_SLUG_PATH = re.compile(rb"/([A-Za-z0-9_-]{1,64})")
_PREFETCH = re.compile(rb"prefetch|prerender|preview", re.IGNORECASE)
_REFERRER = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d*)?(?=[/?#]|\Z)"
)
_LOOPBACK = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d*)?", re.IGNORECASE)


class Tap:
    """`slug` is None where the path is not exactly a slash and a slug; `method` and `query` as sent."""

    __slots__ = ("_headers", "method", "query", "slug")

    def __init__(
        self, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """`query`: without its question mark; `headers`: names in lower case."""
        path = _SLUG_PATH.fullmatch(raw_path)
        self.method = method
        self.slug = path[1].decode() if path is not None else None
        self.query = query
        self._headers: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name in _READ:
                self._headers.setdefault(name, []).append(value)

    @property
    def user_agent(self) -> bytes | None:
        return self._first(b"user-agent") or None

    @property
    def gpc(self) -> bool:
        """The browser asks not to be known: no visitor is set or recorded."""
        return b"sec-gpc" in self._headers and self._first(b"sec-gpc").strip() == b"1"

    @property
    def prefetch(self) -> bool:
        headers = self._headers
        if headers.keys().isdisjoint(_PURPOSES):
            return False
        return any(_PREFETCH.search(value) for name in _PURPOSES if name in headers for value in headers[name])

    @property
    def visitor(self) -> bytes:
        """The visitor that came and may be known, empty for none."""
        cookies = self._headers.get(b"cookie")
        return visitor_in(cookies) if cookies and not self.gpc else b""

    @property
    def referrer_host(self) -> bytes:
        return referrer_host_of(self._first(b"referer"))

    @property
    def on_loopback(self) -> bool:
        """The browser spoke to a loopback name, so no proxy with TLS is between."""
        return _LOOPBACK.fullmatch(self._first(b"host")) is not None

    @property
    def forwarded_for(self) -> list[bytes]:
        return self._headers.get(b"x-forwarded-for", [])

    def _first(self, name: bytes) -> bytes:
        values = self._headers.get(name)
        return values[0] if values else b""


def referrer_host_of(referrer: bytes) -> bytes:
    """In lower case, without user, port and path; empty for none."""
    found = _REFERRER.match(referrer)
    return found[1].lower() if found is not None else b""
