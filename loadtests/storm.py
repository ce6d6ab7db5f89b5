"""Taps at a fixed rate, by themselves and under a storm of questions: what reading costs the redirect.

The worker has the server core. All others share the other one with the generator, which goes first there.
"""

import asyncio
import http.client
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from .history import LINKS, history
from .latency import random_taps
from .open_loop import Latencies, OpenLoop, median_cells
from .processes import LOAD_CORE, children
from .report import Table
from .service import reader_pid, server, warm
from .stats import KEY
from .wrk import tap

CLICKS = 1_000_000
_ROUNDS = 9
_ASKERS = 8
_QUESTION = "/v1/stats?program=history&from=2025-01-01&to=2026-01-01&group_by=influencer"


async def run(directory: Path, seconds: int) -> list[Table]:
    async with history(directory, CLICKS, ATTRIBUTION_ADMIN_KEY=KEY) as servers:
        with server(servers) as (port, process):
            await asyncio.to_thread(warm, port, LINKS)
            # Only now: a worker that learns its links waits for Postgres. The reader's connections are made later.
            for pid in (servers.postgres.pid, *children(servers.postgres.pid)):
                os.sched_setaffinity(pid, {LOAD_CORE})
            os.sched_setaffinity(reader_pid(process), {LOAD_CORE})
            most = await asyncio.to_thread(tap, port, links=LINKS, pattern="random", seconds=seconds)
            load = OpenLoop(directory, random_taps())
            return [await asyncio.to_thread(_measured, load, port, most.rate // 4, seconds)]


def _measured(load: OpenLoop, port: int, rate: float, seconds: int) -> Table:
    quiet, stormy, answered = [], [], 0
    for _ in range(_ROUNDS):
        quiet.append(load.run(port, rate=rate, seconds=seconds))
        with _storm(port) as answers:
            stormy.append(load.run(port, rate=rate, seconds=seconds))
        answered += len(answers)
    asked = f"{_ASKERS} ask for a year by influencer"
    rows = [_row("no questions", quiet, quiet, 0), _row(asked, stormy, quiet, answered)]
    columns = ("meanwhile", "taps/s", "p50 ms", "p99 ms", "p99.9 ms", "p99 to quiet", "failed", "answered/s")
    title = (
        f"Taps at {rate:,.0f}/s, a quarter of our most, medians of {_ROUNDS} x {seconds} s, {CLICKS:,} clicks stored"
    )
    return Table(title, columns, rows)


@contextmanager
def _storm(port: int) -> Iterator[Sequence[int]]:
    """Yields the statuses, one an answer. A 503 is one: so many wait that the reader refuses."""
    over, answers = threading.Event(), list[int]()

    def ask() -> None:
        os.sched_setaffinity(0, {LOAD_CORE})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not over.is_set():
            connection.request("GET", _QUESTION, headers={"Authorization": f"Bearer {KEY}"})
            response = connection.getresponse()
            response.read()
            answers.append(response.status)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(_ASKERS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _row(name: str, loads: Sequence[Latencies], quiet: Sequence[Latencies], answered: int) -> tuple[str, ...]:
    return (
        name,
        *median_cells(loads),
        f"{median(one.p99_ms / other.p99_ms for one, other in zip(loads, quiet, strict=True)):.2f}",
        str(sum(load.failed + load.not_302 for load in loads)),
        f"{answered / sum(load.seconds for load in loads):.1f}",
    )
