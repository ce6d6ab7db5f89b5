"""/v1/stats/live: stats as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from attribution.stats.live import LiveEvent, LiveKind
from attribution.stats.query import StatsQuery

from .auth import ProgramOf
from .problems import documented
from .route import V1Route
from .services import QuestionServices
from .stats import DEFAULT_PERIOD, StatsQueryOf


def live_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/stats", tags=["stats"], route_class=V1Route)

    async def followed(
        request: Request, program: ProgramOf, query: StatsQueryOf
    ) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        asked = request.query_params

        def at(now: datetime) -> StatsQuery:
            """A period without end goes with the time."""
            if "to" in asked:
                return query
            return replace(query, start=query.start if "from" in asked else now - DEFAULT_PERIOD, end=now)

        async with services.live.follow(program, tuple(sorted(asked.multi_items())), at) as events:
            yield events

    @router.get(
        "/live",
        response_class=EventSourceResponse,
        summary="Follow an answer of stats: an event whenever it changed, at most one a second",
        responses=documented(401, 404, 422, 503),
    )
    async def live(events: Annotated[AsyncIterator[LiveEvent], Depends(followed)]) -> AsyncIterable[ServerSentEvent]:
        """Events `stats`, whose data is an answer of `/v1/stats`, and `error`, after which it goes on by itself."""
        async for event in events:
            text = event.text if event.kind is LiveKind.STATS else orjson.dumps({"detail": event.text}).decode()
            yield ServerSentEvent(event=event.kind, raw_data=text)

    return router
