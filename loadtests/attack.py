"""Warm links while random slugs, which name nothing, come as fast as they are answered."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from .latency import LINKS, random_taps
from .open_loop import Latencies, OpenLoop
from .report import Table
from .service import backend, make_links, server, warm
from .wrk import Load, distinct, tap

_ROUNDS = 3
_SHARE = 0.25
_READS_PER_S = 1_000
_ATTACK_AHEAD_S = 0.5
_COLUMNS = ("taps on warm links", "taps/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "random slugs/s")


async def run(directory: Path, seconds: int) -> list[Table]:
    async with backend(directory, ATTRIBUTION_LINK_READS_PER_S=str(_READS_PER_S)) as servers:
        await make_links(servers, LINKS)
        with server(servers) as (port, _):
            await asyncio.to_thread(warm, port, LINKS)
            most = await asyncio.to_thread(tap, port, links=LINKS, pattern="random", seconds=seconds)
            rate = most.rate * _SHARE // 1
            taps = partial(OpenLoop(directory, random_taps()).run, port, rate=rate, seconds=seconds)
            attack = partial(distinct, port, kind="unknown slugs", seconds=seconds + 1)
            rows = [_row("alone", [await asyncio.to_thread(taps) for _ in range(_ROUNDS)], [])]
            loads, attacks = [], []
            for number in range(_ROUNDS):
                attacking = asyncio.create_task(asyncio.to_thread(attack, first=number * 10**8))
                await asyncio.sleep(_ATTACK_AHEAD_S)
                loads.append(await asyncio.to_thread(taps))
                attacks.append(await attacking)
            rows.append(_row("beside the attack", loads, attacks))
    title = (
        f"Random slugs at full speed on 64 connections, {_READS_PER_S:,} a second at most to Postgres;"
        f" {LINKS:,} warm links"
    )
    return [Table(title, _COLUMNS, rows)]


def _row(name: str, loads: Sequence[Latencies], attacks: Sequence[Load]) -> tuple[str, ...]:
    return (
        name,
        f"{median(load.requests / load.seconds for load in loads):,.0f}",
        f"{median(load.p50_ms for load in loads):.2f}",
        f"{median(load.p99_ms for load in loads):.2f}",
        f"{median(load.p999_ms for load in loads):.2f}",
        str(sum(load.failed + load.not_302 for load in loads)),
        f"{median(attack.rate for attack in attacks):,.0f}" if attacks else "0",
    )
