"""Orders judged anew a second, beside one SQL query that only fetches the same paths, and the worker's memory."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from .history import instant, make_clicks, make_orders
from .processes import cpu_seconds, peak_mb
from .report import Table
from .service import Backend, backend, consumer

CLICKS, ORDERS = 10_000_000, 1_000_000
_YEAR = instant(1) + timedelta(days=366)
_TENTH = instant(2, 6)
_FETCHED = 10_000
"""Rows at a time, so that the query's memory is bounded too."""
_ASK = """
INSERT INTO recomputations (program_id, start_at, end_at, model, dry_run)
VALUES (1, $1, $2, $3, $4) RETURNING recomputation_id
"""
_STATE = """
SELECT status, error, done, extract(epoch FROM finished_at - started_at)::float8 AS seconds
FROM recomputations WHERE recomputation_id = $1
"""
_PATHS = """
WITH wanted AS (
    SELECT program_id, conversion_id, occurred_at, visitor_id, customer_id
    FROM conversions
    WHERE occurred_at >= $1 AND occurred_at < $2
), named AS (
    SELECT program_id, conversion_id, occurred_at, visitor_id FROM wanted
    UNION
    SELECT w.program_id, w.conversion_id, w.occurred_at, v.visitor_id
    FROM wanted w JOIN conversion_visitors v USING (program_id, conversion_id)
    UNION
    SELECT w.program_id, w.conversion_id, w.occurred_at, o.visitor_id
    FROM wanted w JOIN conversions o USING (program_id, customer_id)
    WHERE o.occurred_at <= w.occurred_at
)
SELECT n.conversion_id, k.click_id, k.clicked_at, k.link_id, k.influencer_id, k.campaign_id, k.post_id, k.channel,
       k.is_bot, k.country, k.device
FROM named n
JOIN clicks k USING (program_id, visitor_id)
WHERE k.clicked_at BETWEEN n.occurred_at - interval '30 days' AND n.occurred_at
ORDER BY n.occurred_at, n.conversion_id, k.clicked_at
"""
"""The touches of thirty days, path after path: by the visitors whom an order and its click name, and by those of the
customer's earlier orders.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    name: str
    end: datetime
    model: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """`cpu_s`: of Postgres, and of the client that takes the rows."""

    seconds: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    orders: int
    seconds: float
    query: Query
    worker_cpu_s: float
    postgres_cpu_s: float
    peak_mb: float

    def row(self) -> tuple[str, ...]:
        return (
            self.name, f"{self.orders:,}", f"{self.orders / self.seconds:,.0f}",
            f"{self.seconds / self.query.seconds:.1f}",
            f"{(self.worker_cpu_s + self.postgres_cpu_s) / self.query.cpu_s:.1f}",
            f"{self.worker_cpu_s / self.orders * 1e6:.0f}", f"{self.postgres_cpu_s / self.orders * 1e6:.0f}",
            f"{self.peak_mb:.0f}",
        )  # fmt: skip


_ASKED = (
    Asked("a year, dry run, no credits yet", _YEAR, "linear", dry_run=True),
    Asked("a tenth applied, no credits yet", _TENTH, "linear"),
    Asked("a tenth, dry run", _TENTH, "first_touch", dry_run=True),
    Asked("a tenth applied", _TENTH, "first_touch"),
    Asked("a tenth applied again", _TENTH, "first_touch"),
)


async def run(directory: Path, _: int) -> list[Table]:
    async with backend(directory) as servers:
        await make_clicks(servers, CLICKS)
        await make_orders(servers, ORDERS)
        runs = [await _measured(servers, asked) for asked in _ASKED]
    columns = (
        "recomputation", "orders", "orders/s", "time to that of the query", "CPU time to that of the query",
        "worker us/order", "Postgres us/order", "worker MB, most",
    )  # fmt: skip
    title = f"Orders judged anew over {CLICKS:,} clicks, worker and Postgres on two cores"
    return [Table(title, columns, [run.row() for run in runs])]


async def _measured(servers: Backend, asked: Asked) -> Run:
    with consumer(servers, core=None) as process:
        await asyncio.sleep(2)
        worker, postgres = cpu_seconds(process.pid), cpu_seconds(servers.postgres.pid)
        orders, seconds = await _recomputed(servers, asked)
        worker, postgres = cpu_seconds(process.pid) - worker, cpu_seconds(servers.postgres.pid) - postgres
        memory = peak_mb(process.pid)
    # Afterwards, when its pages are in memory.
    query = await _query(servers, asked.end)
    return Run(asked.name, orders, seconds, query, worker, postgres, memory)


async def _recomputed(servers: Backend, asked: Asked) -> tuple[int, float]:
    """How many orders, in how many seconds."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        number = await connection.fetchval(_ASK, instant(1), asked.end, asked.model, asked.dry_run)
        while True:
            (state,) = await connection.fetch(_STATE, number)
            if state["status"] == "done":
                return state["done"], state["seconds"]
            if state["status"] == "failed":
                raise RuntimeError(state["error"])
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _query(servers: Backend, end: datetime) -> Query:
    connection = await asyncpg.connect(servers.database_url)
    try:
        began, cpu_s = time.perf_counter(), time.process_time() + cpu_seconds(servers.postgres.pid)
        async with connection.transaction():
            cursor = await connection.cursor(_PATHS, instant(1), end)
            while await cursor.fetch(_FETCHED):
                pass
        cpu_s = time.process_time() + cpu_seconds(servers.postgres.pid) - cpu_s
        return Query(time.perf_counter() - began, cpu_s)
    finally:
        await connection.close()
