"""Answers of a look-up that outlive its source."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from attribution.errors import DatabaseUnavailableError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FRESH_S = 5.0
PATIENCE_S = 1.0
SIZE_MAX = 10_000


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    fresh_until: float


class Remembered(Generic[K, V]):
    """Asked again when older than `fresh_s`; the old answer stands in while the source is away, or slower
    than `PATIENCE_S`. What does not exist is not remembered."""

    def __init__(
        self,
        look_up: Callable[[K], Awaitable[V | None]],
        clock: Callable[[], float] = monotonic,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._fresh_s = fresh_s
        self._entries: dict[K, _Entry[V]] = {}
        self._look_ups: dict[K, asyncio.Task[V | None]] = {}

    async def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return await asyncio.shield(self._looking_up(key))
        if self._clock() < entry.fresh_until:
            return entry.value
        return await self._renewed(key, entry)

    def expire(self) -> None:
        for entry in self._entries.values():
            entry.fresh_until = 0.0

    async def _renewed(self, key: K, entry: _Entry[V]) -> V | None:
        look_up = self._looking_up(key)
        await asyncio.wait({look_up}, timeout=PATIENCE_S)
        if look_up.done() and not isinstance(look_up.exception(), DatabaseUnavailableError):
            return look_up.result()
        entry.fresh_until = self._clock() + self._fresh_s
        return entry.value

    def _looking_up(self, key: K) -> "asyncio.Task[V | None]":
        """One at a time for a key, and none is cancelled with the request that began it."""
        look_up = self._look_ups.get(key)
        if look_up is None:
            look_up = asyncio.create_task(self._refresh(key), name="look up a programme")
            self._look_ups[key] = look_up
            look_up.add_done_callback(lambda done: self._finish(key, done))
        return look_up

    async def _refresh(self, key: K) -> V | None:
        value = await self._look_up(key)
        self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = _Entry(value, self._clock() + self._fresh_s)
            if len(self._entries) > SIZE_MAX:
                self._entries.pop(next(iter(self._entries)))
        return value

    def _finish(self, key: K, done: "asyncio.Task[V | None]") -> None:
        self._look_ups.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen: whoever waited has raised it
