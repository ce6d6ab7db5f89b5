"""Orders credited a second by one process, beside one SQL query that only fetches the same touches.

What credits add to the rollups waits while orders do; what rolling it up costs afterwards is measured alone.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.ingest.roller import RollerPolicy
from attribution.settings import Settings

from .history import make_clicks, make_orders, queue_orders
from .processes import LOAD_CORE, SERVER_CORE, cpu_seconds
from .report import Table
from .service import Backend, backend, consumer

CLICKS = (1_000_000, 10_000_000)
ORDERS = 50_000
# Thirty days back, by the visitor that each order names.
_TOUCHES = """
SELECT c.conversion_id, k.*
FROM conversions c
CROSS JOIN LATERAL (
    SELECT click_id, clicked_at, link_id, influencer_id, campaign_id, post_id, channel, is_bot
    FROM clicks k
    WHERE k.program_id = c.program_id AND k.visitor_id = c.visitor_id
      AND k.clicked_at BETWEEN c.occurred_at - interval '30 days' AND c.occurred_at
) k
"""


@dataclass(frozen=True, slots=True)
class Run:
    clicks: int
    seconds: float
    client_cpu_s: float
    postgres_cpu_s: float
    rolling_up_cpu_s: float
    query_s: float
    touches: int

    def row(self, base: "Run") -> tuple[str, ...]:
        return (
            f"{self.clicks:,}", f"{ORDERS / self.seconds:,.0f}", f"{self.seconds / base.seconds:.2f}",
            f"{self.client_cpu_s / ORDERS * 1e6:.0f}", f"{self.postgres_cpu_s / ORDERS * 1e6:.0f}",
            f"{self.rolling_up_cpu_s / ORDERS * 1e6:.0f}", f"{self.touches / ORDERS:.1f}",
            f"{self.seconds / self.query_s:.1f}",
        )  # fmt: skip


async def run(directory: Path, _: int) -> list[Table]:
    runs = [await _measured(directory / str(clicks), clicks) for clicks in CLICKS]
    columns = (
        "clicks stored", "orders/s", "time of an order to that at the first", "process us/order", "Postgres us/order",
        "Postgres us/order to roll up", "touches/order", "time to that of the query",
    )  # fmt: skip
    title = f"{ORDERS:,} orders credited, the attributor on one core and Postgres on the other"
    return [Table(title, columns, [run.row(runs[0]) for run in runs])]


async def _measured(directory: Path, clicks: int) -> Run:
    async with backend(directory) as servers:
        await make_clicks(servers, clicks)
        await make_orders(servers, ORDERS)
        await _roll_up(servers)
        await servers.execute("CHECKPOINT")  # what the history has still to write is not the orders' cost
        os.sched_setaffinity(servers.postgres.pid, {LOAD_CORE})
        touches, query_s = await _query(servers)
        return await _credit(servers, clicks, query_s, touches)


async def _roll_up(servers: Backend) -> float:
    """Seconds of Postgres' CPU."""
    database = Database(Settings(database_url=servers.database_url), timeout_s=600)
    rollups, before = Rollups(database), cpu_seconds(servers.postgres.pid)
    try:
        # What a consumer that was just ended was at may hold it off for a moment.
        while await rollups.waiting(1):
            await rollups.roll_up(RollerPolicy().at_once)
    finally:
        await database.close()
    return cpu_seconds(servers.postgres.pid) - before


async def _query(servers: Backend) -> tuple[int, float]:
    """The second time: both then find the pages in memory."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        await connection.fetch(_TOUCHES)
        began = time.perf_counter()
        touches = await connection.fetch(_TOUCHES)
        return len(touches), time.perf_counter() - began
    finally:
        await connection.close()


async def _credit(servers: Backend, clicks: int, query_s: float, touches: int) -> Run:
    """By a consumer process, to which all orders appear at once."""
    with consumer(servers, core=SERVER_CORE) as process:
        while not await servers.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%credit_queue%'"):
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        connection = await asyncpg.connect(servers.database_url)
        client, postgres = cpu_seconds(process.pid), cpu_seconds(servers.postgres.pid)
        began = time.perf_counter()
        await queue_orders(servers)
        while await connection.fetchval("SELECT EXISTS (SELECT FROM credit_queue)"):
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - began
        client, postgres = cpu_seconds(process.pid) - client, cpu_seconds(servers.postgres.pid) - postgres
        await connection.close()
    credited = await servers.value("SELECT count(DISTINCT conversion_id) FROM credit_entries")
    if credited != ORDERS:
        raise RuntimeError(f"{credited} of {ORDERS} orders are credited")
    return Run(clicks, seconds, client, postgres, await _roll_up(servers), query_s, touches)
