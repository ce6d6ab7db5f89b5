"""Latency at a fixed rate, half of our most, beside nginx at the same rate; then with Redis and Postgres away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from statistics import median

from tests.support.processes import pause, resume

from . import yardsticks
from .browser import requests
from .open_loop import Latencies, OpenLoop, median_cells
from .report import Table
from .service import Backend, backend, make_links, server, warm
from .wrk import tap

LINKS = 100_000
_ROUNDS = 5
_OUTAGE_ROUNDS = 3
_BEFORE_OUTAGE_S = 0.5
_RECOVERY_S = 5
_COLUMNS = ("server", "taps/s", "p50 ms", "p99 ms", "p99.9 ms", "p99 of nginx's", "failed", "generator busy")

Run = Callable[[int], Latencies]


async def run(directory: Path, seconds: int) -> list[Table]:
    async with backend(directory) as servers:
        await make_links(servers, LINKS)
        with ExitStack() as stack:
            port, _ = stack.enter_context(server(servers))
            nginx = stack.enter_context(yardsticks.nginx(directory / "nginx", LINKS, access_log=True))
            await asyncio.to_thread(warm, port, LINKS)
            most = await asyncio.to_thread(tap, port, links=LINKS, pattern="random", seconds=seconds)
            rate = most.rate // 2
            at_half = partial(OpenLoop(directory, random_taps()).run, rate=rate, seconds=seconds)
            rounds = [await asyncio.to_thread(_both, at_half, port, nginx) for _ in range(_ROUNDS)]
            outages = {name: await _during(outage, servers, at_half, port) for name, outage in _OUTAGES.items()}
    ours, theirs = zip(*rounds, strict=True)
    rows = [_row("attribution", ours, theirs), _row("nginx, access log", theirs, theirs)]
    rows += [_row(f"attribution, {name}", loads, theirs) for name, loads in outages.items()]
    title = (
        f"Latency at {rate:,.0f} taps/s, half of our most, on random of {LINKS:,} links,"
        f" medians of {_ROUNDS} x {seconds} s"
    )
    return [Table(title, _COLUMNS, rows)]


def random_taps() -> bytes:
    slugs = list(yardsticks.destinations(LINKS))
    return requests(Random(3).choices(slugs, k=LINKS))


def _both(at_half: Run, ours: int, nginx: int) -> tuple[Latencies, Latencies]:
    return at_half(ours), at_half(nginx)


@asynccontextmanager
async def _paused(servers: Backend) -> AsyncIterator[None]:
    for each in (servers.postgres, servers.valkey):
        pause(each.pid)
    try:
        yield
    finally:
        for each in (servers.postgres, servers.valkey):
            resume(each.pid)


@asynccontextmanager
async def _killed(servers: Backend) -> AsyncIterator[None]:
    for each in (servers.postgres, servers.valkey):
        await each.kill()
    yield
    for each in (servers.postgres, servers.valkey):
        await each.start()


Outage = Callable[[Backend], AbstractAsyncContextManager[None]]
_OUTAGES: dict[str, Outage] = {
    "Redis and Postgres stopped by SIGSTOP": _paused,
    "Redis and Postgres killed": _killed,
}


async def _during(outage: Outage, servers: Backend, at_half: Run, port: int) -> list[Latencies]:
    """From shortly after the start of each run to its end."""
    loads = []
    for _ in range(_OUTAGE_ROUNDS):
        load = asyncio.create_task(asyncio.to_thread(at_half, port))
        await asyncio.sleep(_BEFORE_OUTAGE_S)
        async with outage(servers):
            loads.append(await load)
        await asyncio.sleep(_RECOVERY_S)
    return loads


def _row(name: str, loads: Sequence[Latencies], theirs: Sequence[Latencies]) -> tuple[str, ...]:
    """The ratio is of medians: an outage's rounds have no round of nginx's beside them."""
    return (
        name,
        *median_cells(loads),
        f"{median(load.p99_ms for load in loads) / median(load.p99_ms for load in theirs):.1f}",
        str(sum(load.failed + load.not_302 for load in loads)),
        f"{100 * median(load.busy for load in loads):.0f} %",
    )
