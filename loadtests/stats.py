"""Questions about a year to the API, with one and ten million clicks; beside plain SQL, and DuckDB over Parquet."""

import asyncio
import http.client
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg

from .history import ORDERS, history
from .packages import installed
from .report import Table
from .service import Backend, rest, server
from .stats_questions import QUESTIONS, TABLES, Question

CLICKS = (1_000_000, 10_000_000)
"""The sizes of the history that are measured, one after the other."""
TIMES = 200
KEY = "load-test-admin-key"
_PATIENCE_S = 16
"""For all times of one question: what takes long is asked less often, twice at least."""
_PLAIN_PATIENCE_S = 6
"""In plain SQL, once at least."""
_PLAIN_TIMES = 5
_MAKING_TIMEOUT_S = 3_600
_DUCKDB = "duckdb==2.0.0"
_SCRIPT = str(Path(__file__).with_name("stats_duckdb.py"))
_INSTANTS = (
    "instant >= timestamp '{}' AT TIME ZONE 'Europe/Berlin' AND instant < timestamp '{}' AT TIME ZONE 'Europe/Berlin'"
)
_MOMENTS = "moment >= '{}' AND moment < '{}'"


@dataclass(frozen=True, slots=True)
class Answer:
    """Milliseconds, infinite where the API gave up; of plain SQL and DuckDB the median, None without such SQL."""

    p50: float
    p99: float
    sql: float | None
    duckdb: float | None


async def run(directory: Path, _: int) -> list[Table]:
    python = await asyncio.to_thread(installed, directory / "packages", _DUCKDB)
    return [table([await _measured(directory, clicks, python) for clicks in CLICKS])]


def table(by_size: Sequence[Mapping[str, Answer]]) -> Table:
    sizes = [f"{clicks:,}" for clicks in CLICKS]
    figures = ("p50 ms", "p99 ms", "plain SQL ms", "DuckDB ms")
    columns = ("question", *(f"{figure}, {size}" for figure in figures for size in sizes), "p99 growth")
    title = f"Stats by HTTP of {' and '.join(sizes)} clicks, {ORDERS:,} orders, each asked up to {TIMES} times"
    return Table(title, columns, [_row(q.name, [answers[q.name] for answers in by_size]) for q in QUESTIONS])


def _row(name: str, answers: Sequence[Answer]) -> tuple[str, ...]:
    least, most = answers[0], answers[-1]
    figures = [[getattr(answer, figure) for answer in answers] for figure in ("p50", "p99", "sql", "duckdb")]
    return (name, *(_shown(ms) for sizes in figures for ms in sizes), f"{most.p99 / least.p99:.2f}")


def _shown(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.1f}"


async def _measured(directory: Path, clicks: int, python: str) -> dict[str, Answer]:
    async with history(directory, clicks, ATTRIBUTION_ADMIN_KEY=KEY) as servers:
        await _export(servers, python)
        with server(servers, core=None) as (port, process):
            await asyncio.to_thread(rest, process)
            return {question.name: await _answer(servers, question, port, python) for question in QUESTIONS}


async def _export(servers: Backend, python: str) -> None:
    if all((servers.directory / f"{table}.parquet").exists() for table in TABLES):
        return
    connection = await asyncpg.connect(servers.database_url)
    try:
        for table, rows in TABLES.items():
            file = servers.directory / f"{table}.csv"
            await connection.copy_from_query(rows, output=file, format="csv", header=True, timeout=_MAKING_TIMEOUT_S)
    finally:
        await connection.close()
    await asyncio.to_thread(_duckdb, python, "load", servers.directory)


def _duckdb(python: str, command: str, directory: Path, said: str = "") -> str:
    argv = [python, "-P", _SCRIPT, command, str(directory), *TABLES]
    return subprocess.run(argv, input=said, check=True, stdout=subprocess.PIPE, text=True).stdout


async def _answer(servers: Backend, question: Question, port: int, python: str) -> Answer:
    """The three in turns: what else the machine does meanwhile meets them all."""
    ours, answer = await asyncio.to_thread(_asked, port, question)
    p99 = quantiles(ours, n=100, method="inclusive")[98] if answer else inf
    if not question.sql:
        return Answer(median(ours), p99, None, None)
    plain = await _plain(servers, question, answer)
    statements = question.statements({table: table for table in TABLES}, _MOMENTS)
    duckdb = json.loads(await asyncio.to_thread(_duckdb, python, "ask", servers.directory, json.dumps(statements)))
    return Answer(median(ours), p99, median(plain), median(duckdb))


def _asked(port: int, question: Question) -> tuple[list[float], Any]:
    """Milliseconds of each time but the first, which may find nothing in memory and takes no patience either."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    took: list[float] = []
    while len(took) < 3 or (len(took) <= TIMES and sum(took[1:]) < _PATIENCE_S * 1e3):
        began = time.perf_counter()
        connection.request("GET", question.path, headers={"Authorization": f"Bearer {KEY}"})
        response = connection.getresponse()
        body = response.read()
        took.append((time.perf_counter() - began) * 1e3)
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return [inf], {}
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"{question.path}: {response.status} {body[:500]!r}")
    connection.close()
    return took[1:], json.loads(body)


async def _plain(servers: Backend, question: Question, answer: Any) -> list[float]:
    statements = question.statements({table: f"({rows}) {table}" for table, rows in TABLES.items()}, _INSTANTS)
    connection = await asyncpg.connect(servers.database_url)
    took: list[float] = []
    while not took or (len(took) <= _PLAIN_TIMES and sum(took) < _PLAIN_PATIENCE_S * 1e3):
        began = time.perf_counter()
        found = [await connection.fetch(statement) for statement in statements]
        took.append((time.perf_counter() - began) * 1e3)
    await connection.close()
    _check(question, answer, found)
    return took[1:] or took


def _check(question: Question, answer: Any, found: Sequence[Sequence[Any]]) -> None:
    """That both answered the same question: the sums over all rows are the totals."""
    totals = answer.get("totals", {})
    for rows in found[: len(question.sql)]:
        for column, metric in (("clicks", "clicks"), ("net", "revenue")):
            if (
                rows
                and column in rows[0]
                and isinstance(totals.get(metric), int | str)
                and "by=click" not in question.path
            ):
                minor = sum(row[column] or 0 for row in rows)
                ours = totals[metric] if metric == "clicks" else int(totals[metric].replace(".", ""))
                if minor != ours:
                    raise RuntimeError(f"{question.name}: {metric} {ours}, but by plain SQL {minor}")
