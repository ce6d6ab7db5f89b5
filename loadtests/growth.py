"""How cost grows with links and with workers: ours beside nginx over the same links."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from . import yardsticks
from .processes import SERVER_CORE, resident_mb
from .report import Table
from .service import Backend, backend, make_links, server, warm, worker_pids
from .wrk import tap

_LINKS = (1_000, 10_000, 100_000, 1_000_000)
_WORKERS = (1, 2)
_ROUNDS = 3
_WORKERS_LINKS = 10_000
_COLUMNS = ("requests/s", "nginx with log", "ratio", "p99 ms", "errors", "MB a worker")


async def run(directory: Path, seconds: int) -> list[Table]:
    by_links = [await _measured(directory / f"links-{links}", seconds, f"{links:,}", links=links) for links in _LINKS]
    by_workers = [
        await _measured(
            directory / f"workers-{workers}", seconds, str(workers), links=_WORKERS_LINKS, workers=workers, core=None
        )
        for workers in _WORKERS
    ]
    return [
        Table("By links, all of them held, random, one worker on one core", ("links", *_COLUMNS), by_links),
        Table("By workers, two cores shared with the load and the servers", ("workers", *_COLUMNS), by_workers),
    ]


async def _measured(
    directory: Path, seconds: int, label: str, *, links: int, workers: int = 1, core: int | None = SERVER_CORE
) -> tuple[str, ...]:
    async with backend(directory, ATTRIBUTION_LINK_CACHE_SIZE=str(2 * links)) as servers:
        await make_links(servers, links)
        return await asyncio.to_thread(_row, servers, seconds, label, links, workers, core)


def _row(servers: Backend, seconds: int, label: str, links: int, workers: int, core: int | None) -> tuple[str, ...]:
    with ExitStack() as stack:
        port, process = stack.enter_context(server(servers, core=core, workers=workers))
        nginx = stack.enter_context(
            yardsticks.nginx(servers.directory / "nginx", links, access_log=True, core=core, workers=workers)
        )
        warm(port, links)
        rounds = [
            tuple(tap(at, links=links, pattern="random", seconds=seconds) for at in (port, nginx))
            for _ in range(_ROUNDS)
        ]
        memory = max(resident_mb(pid) for pid in worker_pids(process))
    return (
        label,
        f"{median(ours.rate for ours, _ in rounds):,.0f}",
        f"{median(theirs.rate for _, theirs in rounds):,.0f}",
        f"{median(ours.rate / theirs.rate for ours, theirs in rounds):.2f}",
        f"{median(ours.p99_ms for ours, _ in rounds):.2f}",
        str(sum(ours.errors + ours.bad_statuses for ours, _ in rounds)),
        f"{memory:,.0f}",
    )
