"""What keeps a server that is away from being asked at every turn."""

import time
from collections.abc import Callable


class CircuitBreaker:
    """After a failure nobody asks for a pause, then one for all; the pause doubles while the server stays away."""

    def __init__(
        self, first_pause_s: float = 0.02, longest_pause_s: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._pause_s = 0.0
        self._shut_until = float("-inf")

    def allows(self) -> bool:
        """Whoever is allowed asks, and tells what came of it."""
        now = self._clock()
        if now < self._shut_until:
            return False
        self._shut_until = now + self._pause_s
        return True

    def succeeded(self) -> None:
        self._pause_s = 0.0
        self._shut_until = float("-inf")

    def failed(self, at_least_s: float = 0.0) -> None:
        self._pause_s = min(max(2 * self._pause_s, self._first_pause_s), self._longest_pause_s)
        self._shut_until = self._clock() + max(self._pause_s, at_least_s)
