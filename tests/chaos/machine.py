"""The service as real processes over servers of its own, each within reach of the faults."""

import asyncio
import os
import random
import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import redis.asyncio
from tests.support.processes import is_alive
from tests.support.reference import Code, Link, Version, World
from tests.support.service import ROLE, Role, free_port
from tests.support.waiting import eventually, wait_until
from tests.support.worlds import found_program

from attribution.adapters.click_stream import stream_key
from attribution.adapters.postgres import connect
from attribution.embedded.postgres import EmbeddedPostgres
from attribution.embedded.valkey import EmbeddedValkey
from attribution.settings import Settings

from .clock import Clock
from .disk import Disk
from .proxy import Proxy, to_unix

PROGRAM = 1
PROGRAM_KEY = "programme-1"
_MINUTE = 60_000_000
WORLD = World(
    links={
        1: Link(1, None, "instagram", None),
        2: Link(2, 1, "tiktok", 2),
        3: Link(3, 2, "email", None),
        4: Link(1, 1, None, 1),
        5: Link(None, None, None, None),
    },
    rules=[Version(0, {"default": 120 * _MINUTE}, "linear", rule_id=1)],
    campaign_windows=[Version(0, {"purchase": 10 * _MINUTE}, campaign=1)],
    codes=[Code("ANNA15", 1, "always"), Code("bella", 2, "if_involved"), Code("Clara", 3, "if_winner")],
)
SLUGS = [f"p{PROGRAM}-{link}" for link in WORLD.links]
WORKERS = 2
MEMORY_BYTES = 8000
_SETTINGS = {
    "WORKERS": str(WORKERS),
    "ATTRIBUTION_ADMIN_KEY": "the-admin-key-of-chaos",
    "ATTRIBUTION_CLICK_ID_KEYS": f"1:{'6b' * 32}",
    "ATTRIBUTION_CONSUME_CLAIM_IDLE_MS": "500",
    # Small, so that segments are left, budgets reached and links looked up again all the time.
    "ATTRIBUTION_JOURNAL_SEGMENT_BYTES": str(64 * 1024),
    "ATTRIBUTION_JOURNAL_MEMORY_BYTES": str(MEMORY_BYTES),
    "ATTRIBUTION_STREAM_BUDGET_BYTES": "200000",
    "ATTRIBUTION_SHIP_BATCH_CLICKS": "50",
    "ATTRIBUTION_LINK_CACHE_TTL_S": "1",
}
_ANSWERS_WITHIN_S = 60
_LOST = re.compile(r'^attribution_clicks_lost_total\{reason="journal_full"\} (\S+)$', re.MULTILINE)


class ClockedPostgres(EmbeddedPostgres):
    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory)
        self._clock = clock

    @property
    def _argv(self) -> Sequence[str]:
        return [*self._clock.command, *super()._argv]


class ClockedValkey(EmbeddedValkey):
    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory)
        self._clock = clock

    @property
    def _argv(self) -> Sequence[str]:
        return [*self._clock.command, *super()._argv]


class Kept:
    """A role that is started again when it ends, as an operator's init does; not while it is `held`."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.role = Role(name, environment, log)
        self.held = False

    async def keep(self) -> None:
        while True:
            if not self.held and self.role.process.poll() is not None:
                self.role.start()
            await asyncio.sleep(0.2)

    @property
    def pid(self) -> int:
        return self.role.process.pid

    def children(self) -> list[int]:
        try:
            return self.role.children()
        except FileNotFoundError:
            return []

    def stop(self) -> None:
        family = [self.pid, *self.children()]
        self.role.stop()
        wait_until(lambda: not any(is_alive(pid) for pid in family), timeout=30)


class Machine:
    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root = root
        self.data_dir = root / "data"
        self.journals = self.data_dir / "journals"
        self.clock = Clock(root)
        self.disk = Disk(self.data_dir)
        self.postgres = ClockedPostgres(root / "postgres", self.clock)
        self.valkey = ClockedValkey(root / "valkey", self.clock)
        self.port = free_port()
        self.to_postgres = Proxy(lambda: to_unix(self.postgres._socket_directory / ".s.PGSQL.5432"), rng)
        self.to_redis = Proxy(lambda: to_unix(self.valkey._socket), rng)
        self.to_service = Proxy(lambda: asyncio.open_connection("127.0.0.1", self.port), rng)
        self.server: Kept
        self.consumers: list[Kept] = []

    @property
    def log(self) -> Path:
        return self.root / "roles.log"

    @property
    def admin_key(self) -> str:
        return _SETTINGS["ATTRIBUTION_ADMIN_KEY"]

    @property
    def click_id_keys(self) -> str:
        return _SETTINGS["ATTRIBUTION_CLICK_ID_KEYS"]

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.to_postgres.port}/postgres?sslmode=disable",
            "REDIS_URL": f"redis://127.0.0.1:{self.to_redis.port}",
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            **self.clock.environment,
            **_SETTINGS,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._migrate)
        connection = await connect(Settings(database_url=self.postgres.url, data_dir=self.data_dir))
        await found_program(connection, PROGRAM, WORLD)
        # A clock that is moved back must not make them rules of later.
        for table in ("rules", "campaign_windows", "code_versions"):
            await connection.execute(f"UPDATE {table} SET created_at = '2000-01-01Z'")  # noqa: S608
        await connection.close()
        self.server = Kept("serve", self.environment(), self.log)
        self.consumers = [Kept("worker", self.environment(), self.log) for _ in range(2)]
        await self.is_ready()

    def _migrate(self) -> None:
        environment = {**os.environ, **self.environment()}
        with self.log.open("ab") as log:
            subprocess.run([*ROLE, "migrate"], env=environment, stdout=log, stderr=log, check=True)

    async def is_ready(self) -> None:
        await eventually(self._answers, timeout=60)

    async def _answers(self) -> bool:
        async with httpx.AsyncClient() as client:
            try:
                response = await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5)
            except httpx.TransportError:
                return False
        return response.status_code == 200 and set(response.json()["dependencies"].values()) == {"ok"}

    async def counted_lost(self) -> int:
        """What the service says it lost since its supervisor was started."""
        found = _LOST.search(await self._metrics())
        return int(float(found[1])) if found else 0

    async def serves(self) -> None:
        """Whatever else is away."""
        await eventually(lambda: len(self.server.children()) == WORKERS + 1, timeout=_ANSWERS_WITHIN_S)
        await self._metrics()

    async def _metrics(self) -> str:
        async with asyncio.timeout(_ANSWERS_WITHIN_S), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    return (await client.get(f"http://127.0.0.1:{self.port}/metrics", timeout=20)).text
                await asyncio.sleep(0.1)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.postgres.url, timeout=10)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def left_in_stream(self) -> int:
        async with redis.asyncio.from_url(self.valkey.url) as client:
            return int(await client.xlen(stream_key(0)))

    def stop(self) -> None:
        for kept in (*self.consumers, *([self.server] if hasattr(self, "server") else [])):
            with suppress(subprocess.TimeoutExpired):
                kept.stop()


@asynccontextmanager
async def machine(root: Path, rng: random.Random) -> AsyncIterator[Machine]:
    async with AsyncExitStack() as stack:
        made = Machine(root, rng)
        stack.callback(made.disk.close)
        for part in (made.postgres, made.valkey, made.to_postgres, made.to_redis, made.to_service):
            await stack.enter_async_context(part)
        stack.push_async_callback(asyncio.to_thread, made.stop)
        await made.start()
        keepers = [asyncio.create_task(kept.keep()) for kept in (made.server, *made.consumers)]
        try:
            yield made
        finally:
            for keeper in keepers:
                keeper.cancel()
