"""What keeps a server from being asked too often."""

import time
from collections.abc import Callable


class Allowance:
    """So many in a window: what one leaves over is not saved."""

    def __init__(self, count: int, window_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._window_s = window_s
        self._clock = clock
        self._window_ends = float("-inf")
        self._left = 0

    def take(self, wanted: int) -> int:
        """How many of the wanted are allowed."""
        now = self._clock()
        if now >= self._window_ends:
            self._window_ends, self._left = now + self._window_s, self._count
        allowed = min(wanted, self._left)
        self._left -= allowed
        return allowed
