"""The time of day as the service's processes see it: a small library, preloaded into each, moves it."""

import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """Right until it is moved. Without a C compiler it can't be moved: `movable` is false."""

    def __init__(self, root: Path) -> None:
        self._moved = root / "clock"
        self._library = root / "clock.so"
        self._moves: list[tuple[int, int]] = []
        self.movable = self._compile()
        self.move(0)

    def _compile(self) -> bool:
        compiler = shutil.which("cc")
        if compiler is None:
            return False
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", self._library, _SOURCE], check=True)
        return True

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._moved)} if self.movable else {}

    @property
    def command(self) -> list[str]:
        """Before the command line of a process that keeps its own environment."""
        return ["env", *(f"{name}={value}" for name, value in self.environment.items())] if self.movable else []

    def move(self, us: int) -> None:
        """By `us` microseconds from the right time."""
        with self._moved.open("r+b" if self._moved.exists() else "wb") as file:
            self._moves.append((real_us(), us))
            file.write(struct.pack("=q", us))

    def may_have_shown(self, shown_us: int, from_us: int, to_us: int) -> bool:
        """Whether it showed this at a moment between two right times."""
        began = [(0, 0), *self._moves]
        ended = [*(at for at, _ in self._moves), to_us]
        return any(
            max(from_us, at) + moved <= shown_us <= min(to_us, until + _MOVING_US) + moved
            for (at, moved), until in zip(began, ended, strict=True)
        )


_MOVING_US = 50_000
"""A move is noted just before it is made."""


def real_us() -> int:
    return time.time_ns() // 1000
