"""Redirects per second of one worker on one core, beside the yardsticks.

All servers wait on the server core at once and are measured in turns, round after round, so that what else the
machine does meets all of them alike; a ratio is the median of the rounds' ratios.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from . import yardsticks
from .processes import resident_mb
from .report import Table
from .service import backend, make_links, server, worker_pids
from .wrk import Load, tap

LINKS = 100_000
PATTERNS = ("random", "hot", "skewed")
ROUNDS = 5
OURS, LOGGED, FASTAPI = "attribution", "nginx, access log", "FastAPI RedirectResponse"
_WARM_UP_S = 15


async def run(directory: Path, seconds: int) -> list[Table]:
    """Ours does the whole work: look-up, bot class, visitor, signed click id, journal before the 302, shipping."""
    async with backend(directory) as servers:
        await make_links(servers, LINKS)
        with ExitStack() as stack:
            port, process = stack.enter_context(server(servers))
            ports = {
                OURS: port,
                LOGGED: stack.enter_context(yardsticks.nginx(directory / "logged", LINKS, access_log=True)),
                "nginx, no log": stack.enter_context(yardsticks.nginx(directory / "plain", LINKS, access_log=False)),
                "bare ASGI callable": stack.enter_context(yardsticks.python("asgi", LINKS)),
                FASTAPI: stack.enter_context(yardsticks.python("fastapi", LINKS)),
            }
            await asyncio.sleep(_WARM_UP_S)
            tables = [await asyncio.to_thread(_measured, ports, pattern, seconds) for pattern in PATTERNS]
            memory = max(resident_mb(pid) for pid in worker_pids(process))
    return [*tables, Table("Ours after these runs", ("warm links", "MB"), [(f"{LINKS:,}", f"{memory:,.0f}")])]


def _measured(ports: Mapping[str, int], pattern: str, seconds: int) -> Table:
    rounds = [
        {name: tap(port, links=LINKS, pattern=pattern, seconds=seconds) for name, port in ports.items()}
        for _ in range(ROUNDS)
    ]
    return Table(
        f"Redirects, {pattern} of {LINKS:,} links, one core, 64 connections, median of {ROUNDS} x {seconds} s",
        ("server", "requests/s", "of nginx with log", "of FastAPI", "p50 ms", "p99 ms", "errors"),
        [_row(name, rounds) for name in ports],
    )


def _row(name: str, rounds: Sequence[Mapping[str, Load]]) -> tuple[str, ...]:
    loads = [by_name[name] for by_name in rounds]
    return (
        name,
        f"{median(load.rate for load in loads):,.0f}",
        f"{_ratio(name, LOGGED, rounds):.2f}",
        f"{_ratio(name, FASTAPI, rounds):.1f}",
        f"{median(load.p50_ms for load in loads):.2f}",
        f"{median(load.p99_ms for load in loads):.2f}",
        str(sum(load.errors + load.bad_statuses for load in loads)),
    )


def _ratio(name: str, other: str, rounds: Sequence[Mapping[str, Load]]) -> float:
    return median(by_name[name].rate / by_name[other].rate for by_name in rounds)
