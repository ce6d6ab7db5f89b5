"""Ours, as real processes: embedded servers on the load core, one redirect worker on the server core."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from attribution.embedded.postgres import EmbeddedPostgres
from attribution.embedded.valkey import EmbeddedValkey
from attribution.entrypoints.migrate import migrate
from attribution.settings import Settings

from .processes import SERVER_CORE, children, cpu_seconds, free_port, running
from .wrk import tap
from .yardsticks import DESTINATION

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_RESTING = 0.1
"""Of a core."""
ATTRIBUTION = [sys.executable, "-m", "attribution"]


@dataclass(frozen=True, slots=True)
class Backend:
    directory: Path
    database_url: str
    redis_url: str
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "DATA_DIR": str(self.directory / "data"),
            "ATTRIBUTION_LOG_LEVEL": "warning",
            **self.settings,
        }

    async def execute(self, sql: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def value(self, sql: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()


@asynccontextmanager
async def backend(directory: Path, **environment: str) -> AsyncIterator[Backend]:
    """`environment`: of the roles that run over it."""
    async with EmbeddedPostgres(directory / "postgres") as postgres, EmbeddedValkey(directory / "valkey") as valkey:
        settings = Settings(database_url=postgres.url, redis_url=valkey.url, data_dir=directory / "data")
        await asyncio.to_thread(migrate, settings)
        yield Backend(directory, postgres.url, valkey.url, postgres, valkey, environment)


async def make_links(backend: Backend, links: int) -> None:
    await backend.execute(
        "INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)"
        " VALUES ('bench', 'Bench', 'EUR', 'UTC', 'click_id', 1)"
    )
    await backend.execute(
        "INSERT INTO influencers (program_id, name, status)"
        " SELECT 1, 'Influencer ' || n, 'active' FROM generate_series(1, 5000) n"
    )
    await backend.execute(
        "INSERT INTO links (program_id, slug, destination, influencer_id, channel, forward_query, status)"
        " SELECT 1, 's' || lpad(n::text, 6, '0'), replace($2, '{number}', n::text), 1 + n % 5000, 'instagram',"
        " 'append', 'active' FROM generate_series(0, $1 - 1) n",
        links,
        DESTINATION,
    )


@contextmanager
def server(
    backend: Backend, *, core: int | None = SERVER_CORE, workers: int = 1
) -> "Iterator[tuple[int, subprocess.Popen[bytes]]]":
    port = free_port()
    argv = [*ATTRIBUTION, "serve", "--port", str(port), "--workers", str(workers)]
    log = backend.directory / "server.log"
    with running(argv, core=core, env=backend.environment, port=port, log=log) as process:
        yield port, process


@contextmanager
def consumer(backend: Backend, *, core: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    log = backend.directory / "consumer.log"
    with running([*ATTRIBUTION, "worker"], core=core, env=backend.environment, log=log) as process:
        yield process


def worker_pids(server: "subprocess.Popen[bytes]") -> list[int]:
    return children(server.pid)


def reader_pid(server: "subprocess.Popen[bytes]") -> int:
    """It may start a moment later than the workers."""
    for _ in range(100):
        for pid in worker_pids(server):
            if b"read-stats" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        time.sleep(0.1)
    raise RuntimeError("there is no reader")


def rest(server: "subprocess.Popen[bytes]") -> None:
    """Until its start is over: the workers take the links into memory beside what they are asked."""
    for _ in range(120):
        used = cpu_seconds(server.pid)
        time.sleep(1)
        if cpu_seconds(server.pid) - used < _RESTING:
            return
    raise RuntimeError("the server does not come to rest")


def warm(port: int, links: int) -> None:
    """Until each link was tapped, so that the worker holds them all; gives up on a machine that never gets there."""
    for seconds in (2, 4, 8, 16, 32, 64, 128):
        if tap(port, links=links, pattern="sequential", seconds=seconds).requests > 2 * links:
            return
    raise RuntimeError(f"{links} links are not warm yet")
