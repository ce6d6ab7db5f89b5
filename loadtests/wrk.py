"""One run of wrk (closed loop: 64 connections, one thread, on the load core)."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .browser import HEADERS_FILE
from .processes import LOAD_CORE

_TAPS, _DISTINCT = (Path(__file__).with_name(name) for name in ("taps.lua", "distinct.lua"))
CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Load:
    requests: int
    seconds: float
    errors: int
    bad_statuses: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def tap(
    port: int, *, links: int, pattern: str, seconds: int, visitors: int = 1000, connections: int = CONNECTIONS
) -> Load:
    return _run(_TAPS, port, seconds, connections, links, pattern, visitors)


def distinct(port: int, *, kind: str, first: int, seconds: int) -> Load:
    """Taps from number `first` on, each with a link, slug, visitor, agent, referrer or address of its own."""
    return _run(_DISTINCT, port, seconds, CONNECTIONS, kind, first)


def _run(script: Path, port: int, seconds: int, connections: int, *arguments: object) -> Load:
    output = subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}",
            "--", str(HEADERS_FILE), *map(str, arguments),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
    ).stdout  # fmt: skip
    result = next(line for line in output.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, us, errors, statuses = map(int, result[:4])
    return Load(requests, us / 1e6, errors, statuses, float(result[4]) / 1000, float(result[5]) / 1000)
