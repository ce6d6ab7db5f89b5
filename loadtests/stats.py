"""Questions about a year to the API, with one and ten million clicks; beside plain SQL, and DuckDB over Parquet.

Both answer with less than the API does: clicks, and the sums of credits, by the same dimensions.
"""

import asyncio
import http.client
import json
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

import asyncpg

from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.domain.ids import ProgramId
from attribution.settings import Settings

from .history import make_clicks, make_facts, make_orders, queue_orders
from .packages import installed
from .report import Table
from .service import Backend, backend, consumer, server

CLICKS, ORDERS = (1_000_000, 10_000_000), 200_000
TIMES = 30
_SQL_TIMES = 3
_QUARTERS = 2_000
"""Of an hour, sketched at once: three weeks."""
_KEY = "load-test-admin-key"
_DUCKDB = "duckdb==2.0.0"
_SCRIPT = str(Path(__file__).with_name("stats_duckdb.py"))
_YEAR, _MONTH = ("2025-01-01", "2026-01-01"), ("2025-06-01", "2025-07-01")
_COLUMNS = "influencer_id, campaign_id, channel, post_id, link_id"
_ZONE = "AT TIME ZONE 'Europe/Berlin' AS moment"
_CLICKS = f"SELECT clicked_at {_ZONE}, {_COLUMNS}, clicked_at AS instant FROM clicks WHERE NOT is_bot"
_CREDITS = f"""
SELECT c.occurred_at {_ZONE}, {_COLUMNS}, e.code, e.weight, e.net_minor, c.occurred_at AS instant
FROM credit_entries e JOIN conversions c USING (program_id, conversion_id)
WHERE c.status <> 'cancelled'
"""


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    group_by: str
    columns: str
    """In SQL, of `moment` and the columns of rows; empty: totals."""
    period: tuple[str, str] = _YEAR
    more: str = ""
    """Of the API's query."""
    where: str = "true"

    @property
    def path(self) -> str:
        start, end = self.period
        return f"/v1/stats?program=history&from={start}&to={end}&group_by={self.group_by}{self.more}"

    def sql(self, clicks: str, credited: str, period: str) -> list[str]:
        """`period`: how a moment is compared, with its two dates to be filled in."""
        listed, grouped = (f"{self.columns}, ", f"GROUP BY {self.columns}") if self.columns else ("", "")
        where = f"WHERE {period.format(*self.period)} AND {self.where} {grouped}"
        of_credits = f"SELECT {listed}sum(weight), sum(net_minor) FROM {credited} {where}"
        if "code" in self.columns:
            return [of_credits]
        return [f"SELECT {listed}count(*) FROM {clicks} {where}", of_credits]


_QUESTIONS = (
    Question("year by influencer", "influencer", "influencer_id"),
    Question("year by day", "day", "date_trunc('day', moment)"),
    Question("year by campaign, channel", "campaign,channel", "campaign_id, channel"),
    Question("year by link, first 100", "link", "link_id", more="&sort=-clicks&limit=100"),
    Question("year by post", "post", "post_id"),
    Question("year by code", "code", "code"),
    Question("a month's totals", "", "", _MONTH),
    Question("year by influencer, month", "influencer,month", "influencer_id, date_trunc('month', moment)"),
    Question(
        "year of one influencer by day",
        "day",
        "date_trunc('day', moment)",
        more="&influencer=7",
        where="influencer_id = 7",
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    p50: float
    p99: float
    sql: float
    duckdb: float


async def run(directory: Path, _: int) -> list[Table]:
    python = await asyncio.to_thread(installed, directory / "packages", _DUCKDB)
    by_size = [await _measured(directory / str(clicks), clicks, python) for clicks in CLICKS]
    sizes = [f"{clicks:,}" for clicks in CLICKS]
    columns = (
        "question", *(f"p50 ms, {size}" for size in sizes), *(f"p99 ms, {size}" for size in sizes), "p99 growth",
        f"plain SQL ms, {sizes[-1]}", f"DuckDB ms, {sizes[-1]}",
    )  # fmt: skip
    title = f"Stats by HTTP, all default metrics, {ORDERS:,} orders, each asked {TIMES} times"
    return [Table(title, columns, [_row(q.name, [answers[q.name] for answers in by_size]) for q in _QUESTIONS])]


def _row(name: str, answers: list[Answer]) -> tuple[str, ...]:
    least, most = answers[0], answers[-1]
    return (
        name, *(f"{answer.p50:.1f}" for answer in answers), *(f"{answer.p99:.1f}" for answer in answers),
        f"{most.p99 / least.p99:.2f}", f"{most.sql:.1f}", f"{most.duckdb:.1f}",
    )  # fmt: skip


async def _measured(directory: Path, clicks: int, python: str) -> dict[str, Answer]:
    async with backend(directory, ATTRIBUTION_ADMIN_KEY=_KEY) as servers:
        await make_clicks(servers, clicks)
        await make_orders(servers, ORDERS)
        await make_facts(servers)
        await _credit(servers)
        await _roll_up(servers)
        await _export(servers, python)
        with server(servers, core=None) as (port, _):
            return {question.name: await _answer(servers, question, port, python) for question in _QUESTIONS}


async def _credit(servers: Backend) -> None:
    await queue_orders(servers)
    with consumer(servers, core=None):
        while await servers.value("SELECT EXISTS (SELECT FROM credit_queue)"):
            await asyncio.sleep(0.5)
    await servers.execute("VACUUM ANALYZE credit_entries, attributions")


async def _roll_up(servers: Backend) -> None:
    database = Database(Settings(database_url=servers.database_url), timeout_s=900)
    try:
        await Rollups(database).rebuild(ProgramId(1))
        while await VisitorSketches(database).step(datetime.now(UTC) + timedelta(days=1), _QUARTERS):
            pass
    finally:
        await database.close()
    await servers.execute("ANALYZE")


async def _export(servers: Backend, python: str) -> None:
    connection = await asyncpg.connect(servers.database_url)
    try:
        for table, rows in (("clicks", _CLICKS), ("credits", _CREDITS)):
            file = servers.directory / f"{table}.csv"
            await connection.copy_from_query(rows, output=file, format="csv", header=True)
    finally:
        await connection.close()
    await asyncio.to_thread(_duckdb, python, "load", servers.directory)


def _duckdb(python: str, command: str, directory: Path, said: str = "") -> str:
    argv = [python, "-P", _SCRIPT, command, str(directory)]
    return subprocess.run(argv, input=said, check=True, stdout=subprocess.PIPE, text=True).stdout


async def _answer(servers: Backend, question: Question, port: int, python: str) -> Answer:
    """The three in turns: what else the machine does meanwhile meets them all."""
    ours = await asyncio.to_thread(_asked, port, question)
    plain = await _plain(servers, question.sql(f"({_CLICKS}) k", f"({_CREDITS}) k", _INSTANTS))
    said = json.dumps(question.sql("clicks", "credits", "moment >= '{}' AND moment < '{}'"))
    duckdb = json.loads(await asyncio.to_thread(_duckdb, python, "ask", servers.directory, said))
    return Answer(median(ours), quantiles(ours, n=100, method="inclusive")[98], median(plain), median(duckdb))


_INSTANTS = (
    "instant >= timestamp '{}' AT TIME ZONE 'Europe/Berlin' AND instant < timestamp '{}' AT TIME ZONE 'Europe/Berlin'"
)


def _asked(port: int, question: Question) -> list[float]:
    """Milliseconds of each time; the first, which may find nothing in memory, is not among them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    took = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        connection.request("GET", question.path, headers={"Authorization": f"Bearer {_KEY}"})
        response = connection.getresponse()
        body = response.read()
        took.append((time.perf_counter() - began) * 1e3)
        if response.status != 200:
            raise RuntimeError(f"{question.path}: {response.status} {body[:500]!r}")
    connection.close()
    return took[1:]


async def _plain(servers: Backend, statements: list[str]) -> list[float]:
    connection = await asyncpg.connect(servers.database_url)
    took = []
    for _ in range(_SQL_TIMES):
        began = time.perf_counter()
        for statement in statements:
            await connection.fetch(statement)
        took.append((time.perf_counter() - began) * 1e3)
    await connection.close()
    return took
