"""A request as the redirect reads it. Each header says one thing or nothing, and the first that says it counts."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from .agents import NO_AGENT, Agent, AgentClassifier
from .visitor import visitor_in

_SLUG_PATH = re.compile(rb"/([A-Za-z0-9_-]{1,64})")
_PREFETCH = re.compile(rb"prefetch|prerender|preview", re.IGNORECASE)
_REFERRER = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d*)?(?=[/?#]|\Z)"
)
_LOOPBACK = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d*)?", re.IGNORECASE)


class Said(NamedTuple):
    """What the headers of a request say. Bytes are empty for none.

    `gpc`: the browser asks not to be known; `on_loopback`: it spoke to a loopback name, so no TLS is in front;
    `forwarded_for`: X-Forwarded-For, several joined in order.
    """

    agent: Agent = NO_AGENT
    visitor: bytes = b""
    referrer_host: bytes = b""
    forwarded_for: bytes = b""
    gpc: bool = False
    prefetch: bool = False
    on_loopback: bool = False


class Tap:
    """`method` in capitals; `slug` is None where the path is not exactly a slash and a slug; `query` as sent.

    `visitor`: the one that came and may be known, empty for none.
    """

    __slots__ = ("method", "query", "said", "slug", "visitor")

    def __init__(self, method: str, slug: str | None, query: bytes, said: Said, visitor: bytes) -> None:
        self.method = method
        self.slug = slug
        self.query = query
        self.said = said
        self.visitor = b"" if said.gpc else visitor


class TapReader:
    """From headers to what they say. A header says one thing; the first that says it counts."""

    def __init__(self, agents: AgentClassifier) -> None:
        self._agents = agents

    def read(self, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Tap:
        """`query`: without its question mark; `headers`: names in lower case."""
        path = _SLUG_PATH.fullmatch(raw_path)
        said = self.said(headers)
        return Tap(method, path[1].decode() if path is not None else None, query, said, said.visitor)

    def said(self, headers: Iterable[tuple[bytes, bytes]]) -> Said:
        agent = visitor = referrer = forwarded = b""
        gpc = prefetch = on_loopback = False
        for name, value in headers:
            match name:
                case b"user-agent":
                    agent = agent or value
                case b"cookie":
                    visitor = visitor or visitor_in((value,))
                case b"referer":
                    referrer = referrer or referrer_host_of(value)
                case b"x-forwarded-for":
                    forwarded = forwarded + b"," + value if forwarded else value
                case b"sec-gpc":
                    gpc = gpc or value.strip() == b"1"
                case b"sec-purpose" | b"purpose" | b"x-purpose" | b"x-moz":
                    prefetch = prefetch or _PREFETCH.search(value) is not None
                case b"host":
                    on_loopback = on_loopback or _LOOPBACK.fullmatch(value) is not None
        return Said(self._agents.classify(agent), visitor, referrer, forwarded, gpc, prefetch, on_loopback)


def referrer_host_of(referrer: bytes) -> bytes:
    """In lower case, without user, port and path; empty for none."""
    found = _REFERRER.match(referrer)
    return found[1].lower() if found is not None else b""
