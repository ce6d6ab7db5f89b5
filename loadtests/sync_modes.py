"""What each sync mode of the journal costs: three workers on the server core, measured in turns."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from attribution.settings import JournalSync

from .report import Table
from .service import backend, make_links, server
from .wrk import CONNECTIONS, Load, tap

LINKS = 100_000
ROUNDS = 5
_WARM_UP_S = 10


async def run(directory: Path, seconds: int) -> list[Table]:
    """One worker each, with a disk directory of its own; ratios are medians of the rounds'."""
    async with backend(directory) as servers:
        await make_links(servers, LINKS)
        with ExitStack() as stack:
            ports = {}
            for mode in JournalSync:
                of_mode = replace(
                    servers, directory=directory / mode.value, settings={"ATTRIBUTION_JOURNAL_SYNC": mode.value}
                )
                of_mode.directory.mkdir()
                ports[mode.value] = stack.enter_context(server(of_mode))[0]
            await asyncio.sleep(_WARM_UP_S)
            rounds = [await asyncio.to_thread(_round, ports, seconds) for _ in range(ROUNDS)]
    return [
        Table(
            f"Sync modes, {LINKS:,} links at random, one core, {CONNECTIONS} connections,"
            f" median of {ROUNDS} x {seconds} s",
            ("mode", "requests/s", "of none", "p50 ms", "p99 ms", "errors"),
            [_row(mode, rounds) for mode in ports],
        )
    ]


def _round(ports: Mapping[str, int], seconds: int) -> Mapping[str, Load]:
    return {mode: tap(port, links=LINKS, pattern="random", seconds=seconds) for mode, port in ports.items()}


def _row(mode: str, rounds: Sequence[Mapping[str, Load]]) -> tuple[str, ...]:
    loads = [by_mode[mode] for by_mode in rounds]
    return (
        mode,
        f"{median(load.rate for load in loads):,.0f}",
        f"{median(by_mode[mode].rate / by_mode[JournalSync.NONE].rate for by_mode in rounds):.2f}",
        f"{median(load.p50_ms for load in loads):.2f}",
        f"{median(load.p99_ms for load in loads):.2f}",
        str(sum(load.errors + load.bad_statuses for load in loads)),
    )
