"""One ASGI application of two lanes: what is reserved goes to the API, all else is a tap on a link."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from attribution.domain.links import RESERVED_SLUGS
from attribution.redirect.head import KnownHeads
from attribution.redirect.lane import RedirectLane

ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]
_QUESTION = re.compile(b"/v1/(?:stats|reports)(?:/|$)")
"""What may read for long, and is never asked in the same breath as a tap."""
_RESERVED = re.compile(b"/(?:" + b"|".join(re.escape(slug.encode()) for slug in RESERVED_SLUGS) + b")(?:/|$)")


class Application:
    def __init__(
        self,
        redirect: RedirectLane,
        api: ASGIApplication,
        heads: KnownHeads,
        questions: ASGIApplication | None = None,
    ) -> None:
        """`questions`: answers them in place of `api`."""
        self.heads = heads
        self.redirect = redirect
        self._api = api
        self._questions = questions or api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "GET" and _QUESTION.match(scope["raw_path"]):
            await self._questions(scope, receive, send)
        elif _RESERVED.match(scope["raw_path"]):
            await self._api(scope, receive, send)
        else:
            await self.redirect(scope, send)
