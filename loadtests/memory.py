"""That a worker's memory has an end, however many links, visitors, agents, referrers and addresses it meets."""

import asyncio
from pathlib import Path

from .processes import resident_mb
from .report import Table
from .service import backend, make_links, server, worker_pids
from .wrk import CONNECTIONS, distinct, tap

_LINKS = 400_000
# A new agent costs a match of a thousand patterns.
_TAPS = {
    "links": 400_000,
    "unknown slugs": 400_000,
    "visitors": 400_000,
    "agents": 40_000,
    "referrers": 400_000,
    "addresses": 400_000,
}
_COLUMNS = ("all different", "taps", "MB at first", "after 1/4", "1/2", "3/4", "all", "taps/s", "errors")


async def run(directory: Path, seconds: int) -> list[Table]:
    async with backend(directory, ATTRIBUTION_TRUSTED_PROXIES="1") as servers:
        await make_links(servers, _LINKS)
        rows = []
        for kind, taps in _TAPS.items():
            with server(servers) as (port, process):
                rows.append(await asyncio.to_thread(_row, kind, taps, seconds, port, worker_pids(process)[0]))
    return [Table("Memory of a worker that meets something new at each tap", _COLUMNS, rows)]


def _row(kind: str, taps: int, seconds: int, port: int, pid: int) -> tuple[str, ...]:
    # The socket listens before the worker does.
    tap(port, links=1, pattern="hot", seconds=1)
    memory, loads, sent = [resident_mb(pid)], [], 0
    for quarter in range(1, 5):
        while sent < quarter * taps // 4:
            loads.append(distinct(port, kind=kind, first=sent, seconds=seconds))
            sent += loads[-1].requests + CONNECTIONS
        memory.append(resident_mb(pid))
    rate = sum(load.requests for load in loads) / sum(load.seconds for load in loads)
    errors = sum(load.errors for load in loads)
    return (kind, f"{taps:,}", *(f"{mb:,.0f}" for mb in memory), f"{rate:,.0f}", str(errors))
