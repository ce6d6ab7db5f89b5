"""The redirect as an ASGI application: no router, no middleware, no logging per request."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from attribution import metrics
from attribution.errors import UnavailableError

from .answer import Answer, Header
from .answerer import Answerer
from .compiled_link import CompiledLink
from .decision import Outcome, method_allowed
from .link_cache import LinkCache
from .recorder import ClickRecorder
from .tap import Tap

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY: Final = {"type": "http.response.body", "body": b""}
_AWAY: Final[tuple[Header, ...]] = (
    (b"cache-control", b"private, no-store"),
    (b"retry-after", b"1"),
    (b"content-length", b"0"),
)


class RedirectLane:
    def __init__(self, links: LinkCache, answerer: Answerer, recorder: ClickRecorder) -> None:
        self._links = links
        self._answerer = answerer
        self._recorder = recorder
        self._counts = {outcome: metrics.REDIRECTS.labels(outcome.value) for outcome in Outcome}
        self._unavailable = metrics.REDIRECTS.labels("unavailable")

    async def __call__(self, scope: Scope, send: Send) -> None:
        tap = Tap(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        try:
            link = await self._link(tap)
        except UnavailableError:
            self._unavailable.inc()
            await _send(send, 503, list(_AWAY))
            return
        peer = scope["client"]
        answer = self._answerer.answer(tap, link, peer[0] if peer else None, time.time_ns() // 1000)
        await self._answer(answer, send)

    async def _link(self, tap: Tap) -> CompiledLink | None:
        if tap.slug is None or not method_allowed(tap.method):
            return None
        held = self._links.held(tap.slug)
        return held.link if held is not None else await self._links.find(tap.slug)

    async def _answer(self, answer: Answer, send: Send) -> None:
        if answer.record is not None:
            await self._recorder.record(answer.record)
        self._counts[answer.outcome].inc()
        await _send(send, answer.status, answer.headers)


async def _send(send: Send, status: int, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(_BODY)
