"""One run of wrk (closed loop: 64 connections, one thread, on the load core)."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .browser import HEADERS_FILE
from .processes import LOAD_CORE

_SCRIPT = Path(__file__).with_name("taps.lua")
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


def tap(port: int, *, links: int, pattern: str, seconds: int, visitors: int = 1000) -> Load:
    output = subprocess.run(
        [
            "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(_SCRIPT), f"http://127.0.0.1:{port}",
            "--", str(HEADERS_FILE), str(links), pattern, str(visitors),
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
