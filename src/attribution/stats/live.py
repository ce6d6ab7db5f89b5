"""Follows questions of stats: each is computed once for all who ask it, and again while somebody listens."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from attribution.domain.programs import Program
from attribution.errors import AttributionError, UnavailableError

from .query import StatsQuery
from .reader import StatsReader

_PERIOD: Final = ("from", "to", "previous_period")
"""Of an open end, these move by themselves."""
Question = Callable[[datetime], StatsQuery]
"""What is asked at a moment."""


class LiveKind(StrEnum):
    STATS = "stats"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """`text`: the answer as it is sent; of an error, what is wrong."""

    kind: LiveKind
    text: str


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """`interval_s`: an answer is computed no more often; `computing`: so many at once, whatever is asked."""

    followers: int = 100
    interval_s: float = 1.0
    computing: int = 2


@dataclass(slots=True)
class _Feed:
    followers: int = 0
    event: LiveEvent | None = None
    number: int = 0
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def publish(self, event: LiveEvent) -> None:
        self.event = event
        self.number += 1
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def events(self) -> AsyncIterator[LiveEvent]:
        """Who is slow misses events in between, never the newest."""
        seen = 0
        while True:
            if self.event is not None and self.number > seen:
                seen = self.number
                yield self.event
            elif self.ended:
                return
            else:
                await self.changed.wait()


class LiveStats:
    def __init__(
        self, stats: StatsReader, render: Callable[[Mapping[str, Any]], bytes], policy: LivePolicy | None = None
    ) -> None:
        """`render`: an answer of `Stats.query` as UTF-8 text; it runs in a thread."""
        self._stats = stats
        self._render = render
        self._policy = policy or LivePolicy()
        self._computing = asyncio.Semaphore(self._policy.computing)
        self._feeds: dict[Hashable, _Feed] = {}
        self._closed = False

    @property
    def followers(self) -> int:
        return sum(feed.followers for feed in self._feeds.values())

    @asynccontextmanager
    async def follow(
        self, program: Program, key: Hashable, question: Question
    ) -> AsyncIterator[AsyncIterator[LiveEvent]]:
        """`key`: the same for the same question of a programme. Raises `UnavailableError` where too many follow."""
        if self._closed or self.followers >= self._policy.followers:
            raise UnavailableError("too many follow live stats on this worker; try again, or ask /v1/stats")
        known = (program, key)
        feed = self._feeds.setdefault(known, _Feed())
        feed.followers += 1
        if feed.task is None:
            feed.task = asyncio.create_task(self._run(feed, program, question), name="live stats")
        try:
            yield feed.events()
        finally:
            feed.followers -= 1
            if not feed.followers:
                del self._feeds[known]
                feed.task.cancel()

    def close(self) -> None:
        """Ends all streams, so that a server can drain; nobody can follow afterwards."""
        self._closed = True
        for feed in self._feeds.values():
            feed.end()

    async def _run(self, feed: _Feed, program: Program, question: Question) -> None:
        loop = asyncio.get_running_loop()
        last: object = None
        try:
            while True:
                began = loop.time()
                answer, error = await self._asked(program, question)
                content = error if answer is None else {k: v for k, v in answer.items() if k not in _PERIOD}
                if content != last:
                    last = content
                    feed.publish(await self._event(answer, error))
                # A question that takes long is asked less often, so that it never holds more than half a connection.
                await asyncio.sleep(max(self._policy.interval_s, loop.time() - began))
        finally:
            feed.end()

    async def _asked(self, program: Program, question: Question) -> tuple[Mapping[str, Any] | None, str]:
        try:
            async with self._computing:
                return await self._stats.query(program, question(datetime.now(UTC))), ""
        except AttributionError as error:
            return None, str(error)

    async def _event(self, answer: Mapping[str, Any] | None, error: str) -> LiveEvent:
        if answer is None:
            return LiveEvent(LiveKind.ERROR, error)
        return LiveEvent(LiveKind.STATS, (await asyncio.to_thread(self._render, answer)).decode())
