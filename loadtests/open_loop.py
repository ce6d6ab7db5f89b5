"""Runs of open_loop.c: a fixed rate, latencies from when a request was due (no coordinated omission).

Without the right to real-time priority (root, or CAP_SYS_NICE), what else runs on its core makes it late.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .processes import LOAD_CORE

_SOURCE = Path(__file__).with_name("open_loop.c")
_LATEST_END_S = 30


@dataclass(frozen=True, slots=True)
class Latencies:
    """`failed`: requests without an answer; `busy`: the generator's own share of its core."""

    requests: int
    failed: int
    not_302: int
    seconds: float
    busy: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


def median_cells(loads: Sequence[Latencies]) -> tuple[str, ...]:
    """Requests a second, p50, p99 and p99.9 in ms."""
    return (
        f"{median(load.requests / load.seconds for load in loads):,.0f}",
        f"{median(load.p50_ms for load in loads):.2f}",
        f"{median(load.p99_ms for load in loads):.2f}",
        f"{median(load.p999_ms for load in loads):.2f}",
    )


class OpenLoop:
    """The generator, compiled into `directory`, with the requests that it sends in turn."""

    def __init__(self, directory: Path, requests: bytes) -> None:
        self._program = directory / "open_loop"
        self._requests = directory / "requests"
        self._requests.write_bytes(requests)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", self._program, _SOURCE], check=True)

    def run(
        self, port: int, *, rate: float, seconds: float, connections: int = 64, core: int | None = LOAD_CORE
    ) -> Latencies:
        """Blocks until all that was sent is answered or given up."""
        output = subprocess.run(
            [self._program, str(port), str(connections), str(rate), str(seconds), self._requests],
            check=True,
            capture_output=True,
            timeout=seconds + _LATEST_END_S,
            preexec_fn=(lambda: _go_first_on(core)) if core is not None else None,
        ).stdout
        return Latencies(**json.loads(output))


def _go_first_on(core: int) -> None:
    """Before all that shares the core: the generator's lateness would count as the server's.

    Niceness would not do: Linux shares out a core between sessions first (autogroups), and each process of Postgres
    is a session.
    """
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
