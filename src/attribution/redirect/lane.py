"""The redirect: taps in, answers out, through ASGI or straight from a connection. No router, no logging per tap."""

from collections.abc import Awaitable, Callable, MutableMapping
from time import time_ns
from typing import Any, Final, Protocol

from attribution import metrics
from attribution.errors import UnavailableError

from .address import KeptAddress
from .answer import Header
from .answerer import Answerer
from .compiled_link import CompiledLink
from .decision import Outcome, method_allowed
from .link_cache import LinkCache
from .recorder import ClickRecorder
from .tap import Tap, TapReader

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY: Final = {"type": "http.response.body", "body": b""}
_AWAY: Final[tuple[Header, ...]] = (
    (b"cache-control", b"private, no-store"),
    (b"retry-after", b"1"),
    (b"content-length", b"0"),
)


class Connection(Protocol):
    """A client that waits for bytes."""

    def answer(self, response: bytes) -> None: ...


class RedirectLane:
    def __init__(self, taps: TapReader, links: LinkCache, answerer: Answerer, recorder: ClickRecorder) -> None:
        self._taps = taps
        self._links = links
        self._answerer = answerer
        self._recorder = recorder
        self._counts = dict.fromkeys(Outcome, 0)
        self._redirects = {outcome: metrics.REDIRECTS.labels(outcome.value) for outcome in Outcome}
        self._unavailable = metrics.REDIRECTS.labels("unavailable")
        recorder.before_commit(self._count)

    async def __call__(self, scope: Scope, send: Send) -> None:
        tap = self._taps.read(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        try:
            link = await self._link(tap)
        except UnavailableError:
            self._unavailable.inc()
            await _send(send, 503, list(_AWAY))
            return
        peer = scope["client"]
        answer = self._answerer.answer(tap, link, self.kept_address(peer), time_ns() // 1000)
        self._counts[answer.outcome] += 1
        if answer.record is None:
            self._recorder.wake()
        else:
            await self._recorder.record(answer.record)
        await _send(send, answer.status, answer.headers)

    def tap(self, tap: Tap, address: KeptAddress, server_headers: bytes, connection: Connection) -> bool:
        """Answers a tap on a held link, after its commit where it is a click. False: not held, ask through ASGI."""
        held = self._links.held(tap.slug) if tap.slug is not None else None
        if held is None:
            return False
        answer = self._answerer.answer(tap, held.link, address, time_ns() // 1000)
        self._counts[answer.outcome] += 1
        if answer.record is None:
            self._recorder.wake()
            connection.answer(answer.raw(server_headers))
        else:
            self._recorder.record_for(answer.record, connection, answer.raw(server_headers))
        return True

    def kept_address(self, peer: tuple[str, int] | None) -> KeptAddress:
        """What is stored of the address of a connection's other end."""
        return self._answerer.kept_address(peer[0] if peer else None)

    async def _link(self, tap: Tap) -> CompiledLink | None:
        if tap.slug is None or not method_allowed(tap.method):
            return None
        held = self._links.held(tap.slug)
        return held.link if held is not None else await self._links.find(tap.slug)

    def _count(self) -> None:
        """Metrics take a lock and write to shared memory: once a commit, not once a tap."""
        for outcome, count in self._counts.items():
            if count:
                self._redirects[outcome].inc(count)
                self._counts[outcome] = 0


async def _send(send: Send, status: int, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(_BODY)
