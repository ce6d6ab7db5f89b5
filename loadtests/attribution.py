"""Orders credited a second by one process, beside one SQL query that only fetches the same touches."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.settings import Settings

from .history import make_clicks, make_orders
from .processes import LOAD_CORE, SERVER_CORE, cpu_seconds
from .report import Table
from .service import Backend, backend

CLICKS = (1_000_000, 10_000_000)
ORDERS = 50_000

# The touches of all orders, thirty days back, by the visitor that each names.
_TOUCHES = """
SELECT count(k.click_id)
FROM conversions c
CROSS JOIN LATERAL (
    SELECT click_id
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
    query_s: float
    touches: int

    def row(self, base: "Run") -> tuple[str, ...]:
        return (
            f"{self.clicks:,}", f"{ORDERS / self.seconds:,.0f}", f"{self.seconds / base.seconds:.2f}",
            f"{self.client_cpu_s / ORDERS * 1e6:.0f}", f"{self.postgres_cpu_s / ORDERS * 1e6:.0f}",
            f"{self.touches / ORDERS:.1f}", f"{self.seconds / self.query_s:.1f}",
        )  # fmt: skip


async def run(directory: Path, _: int) -> list[Table]:
    runs = [await _measured(directory / str(clicks), clicks) for clicks in CLICKS]
    columns = (
        "clicks stored", "orders/s", "time of an order to that at the first", "process us/order", "Postgres us/order",
        "touches/order", "time to that of the query",
    )  # fmt: skip
    title = f"{ORDERS:,} orders credited, the attributor on one core and Postgres on the other"
    return [Table(title, columns, [run.row(runs[0]) for run in runs])]


async def _measured(directory: Path, clicks: int) -> Run:
    async with backend(directory) as servers:
        await make_clicks(servers, clicks)
        await make_orders(servers, ORDERS)
        os.sched_setaffinity(servers.postgres.pid, {LOAD_CORE})
        os.sched_setaffinity(0, {SERVER_CORE})
        touches, query_s = await _query(servers)
        return await _credit(servers, clicks, query_s, touches)


async def _query(servers: Backend) -> tuple[int, float]:
    """The second time: both then find the pages in memory."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        await connection.fetchval(_TOUCHES)
        began = time.perf_counter()
        touches = int(await connection.fetchval(_TOUCHES))
        return touches, time.perf_counter() - began
    finally:
        await connection.close()


async def _credit(servers: Backend, clicks: int, query_s: float, touches: int) -> Run:
    database = Database(Settings(database_url=servers.database_url), timeout_s=120)
    attributor = Attributor(CreditTable(database), AttributorPolicy(Settings().credit_batch_conversions, 0.1))
    try:
        client, postgres = time.process_time(), cpu_seconds(servers.postgres.pid)
        began = time.perf_counter()
        while await attributor.step():
            pass
        seconds = time.perf_counter() - began
        client, postgres = time.process_time() - client, cpu_seconds(servers.postgres.pid) - postgres
    finally:
        await database.close()
    credited = await servers.value("SELECT count(DISTINCT conversion_id) FROM credit_entries")
    if credited != ORDERS:
        raise RuntimeError(f"{credited} of {ORDERS} orders are credited")
    return Run(clicks, seconds, client, postgres, query_s, touches)
