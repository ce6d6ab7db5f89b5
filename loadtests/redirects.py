"""Redirects per second of one worker on one core, beside the yardsticks, in one run."""

from pathlib import Path

from . import yardsticks
from .processes import resident_mb
from .report import Table
from .service import backend, make_links, server
from .wrk import Load, tap

LINKS = 100_000
PATTERNS = ("random", "hot", "skewed")
_WARM_UP_S = 40


async def run(directory: Path, seconds: int) -> list[Table]:
    """Ours does the whole work: look-up, bot class, visitor, signed click id, journal before the 302, shipping."""
    loads: dict[str, dict[str, Load]] = {}
    for name, access_log in (("nginx, access log", True), ("nginx, no log", False)):
        with yardsticks.nginx(directory / "nginx", LINKS, access_log=access_log) as port:
            loads[name] = _all_patterns(port, seconds)
    for name, kind in (("bare ASGI callable", "asgi"), ("FastAPI RedirectResponse", "fastapi")):
        with yardsticks.python(kind, LINKS) as port:
            loads[name] = _all_patterns(port, seconds)
    async with backend(directory) as servers:
        await make_links(servers, LINKS)
        with server(servers) as (port, process):
            cold = tap(port, links=LINKS, pattern="sequential", seconds=_WARM_UP_S)
            loads["attribution"] = _all_patterns(port, seconds)
            memory = resident_mb(process.pid)
    return [_table(loads, memory, cold)]


def _all_patterns(port: int, seconds: int) -> dict[str, Load]:
    return {pattern: tap(port, links=LINKS, pattern=pattern, seconds=seconds) for pattern in PATTERNS}


def _table(loads: dict[str, dict[str, Load]], memory: float, cold: Load) -> Table:
    rows = []
    for name, by_pattern in loads.items():
        for pattern, load in by_pattern.items():
            nginx, fastapi = (
                loads[other][pattern].rate for other in ("nginx, access log", "FastAPI RedirectResponse")
            )
            rows.append(
                (
                    name, pattern, f"{load.rate:,.0f}", f"{load.rate / nginx:.2f}", f"{load.rate / fastapi:.1f}",
                    f"{load.p50_ms:.2f}", f"{load.p99_ms:.2f}", str(load.errors + load.bad_statuses),
                )
            )  # fmt: skip
    return Table(
        f"Redirects, one core, 64 connections, {LINKS:,} links; ours holds {memory:,.0f} MB with its supervisor,"
        f" and answered {cold.rate:,.0f} cold links a second before",
        ("server", "taps", "requests/s", "of nginx with log", "of FastAPI", "p50 ms", "p99 ms", "errors"),
        rows,
    )
