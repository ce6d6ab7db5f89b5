"""Closes connections that cost too much, without a timer for each request."""

import asyncio
from typing import Any


class Sweeper:
    """One look at all connections of a server once an interval, instead of a timer for each request."""

    def __init__(self, head_timeout_s: float = 10.0, interval_s: float = 1.0) -> None:
        self.head_timeout_s = head_timeout_s
        self.interval_s = interval_s
        self._sweeps = False

    def watch(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Until there are none. `connections`: of `BoundedHttpProtocol`."""
        if not self._sweeps:
            self._sweeps = True
            loop.call_later(self.interval_s, self._sweep, loop, connections)

    def _sweep(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._sweeps = False
        if connections:
            self.watch(loop, connections)
        for connection in list(connections):
            connection.swept(self)
