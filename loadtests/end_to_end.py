"""From tap to row with everything on two cores: how many clicks a second arrive, and how late."""

import asyncio
import time
from pathlib import Path

from .redirects import LINKS
from .report import Table
from .service import Backend, backend, consumer, make_links, server
from .wrk import tap

_DRAIN_LIMIT_S = 120


async def run(directory: Path, seconds: int) -> list[Table]:
    """wrk taps as fast as it is answered; server, consumer, Postgres and Valkey share the two cores with it."""
    async with backend(directory) as servers:
        await make_links(servers, LINKS)
        with server(servers, core=None) as (port, _), consumer(servers, core=None):
            await asyncio.to_thread(tap, port, links=1, pattern="hot", seconds=1)
            before = await _drained(servers, 0)
            load = asyncio.create_task(asyncio.to_thread(tap, port, links=LINKS, pattern="hot", seconds=seconds))
            lags = []
            while not load.done():
                await asyncio.sleep(0.5)
                lags.append(await _lag_ms(servers))
            result = await load
            began = time.monotonic()
            stored = await _drained(servers, before + result.requests) - before
            drain_s = time.monotonic() - began
    sustained = result.requests / (result.seconds + drain_s)
    row = (
        f"{result.rate:,.0f}", f"{sustained:,.0f}", f"{stored / result.requests:.4f}",
        f"{sorted(lags)[len(lags) // 2]:,.0f}", f"{max(lags):,.0f}", f"{drain_s:.1f}",
    )  # fmt: skip
    columns = (
        "taps/s answered", "clicks/s from tap to row", "rows per 302 that wrk counted", "lag ms, median",
        "lag ms, most", "drain s",
    )  # fmt: skip
    return [Table("End to end on two shared cores: tap to row", columns, [row])]


async def _lag_ms(servers: Backend) -> float:
    """How far the newest row is behind the clock."""
    return 1000 * float(
        await servers.value("SELECT extract(epoch FROM clock_timestamp() - max(clicked_at)) FROM clicks")
    )


async def _drained(servers: Backend, at_least: int) -> int:
    """Rows, when they are as many or come no more."""
    give_up_at = time.monotonic() + _DRAIN_LIMIT_S
    rows, last_growth = -1, time.monotonic()
    while time.monotonic() < give_up_at and time.monotonic() - last_growth < 3:
        now = int(await servers.value("SELECT count(*) FROM clicks"))
        if now >= at_least > 0:
            return now
        if now != rows:
            rows, last_growth = now, time.monotonic()
        await asyncio.sleep(0.1)
    return rows
