"""The roles as processes over servers of the test's own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import redis.asyncio
from tests.support.load import Ledger
from tests.support.processes import children, is_alive, redirect_workers
from tests.support.waiting import eventually, wait_until

from attribution.adapters.click_stream import stream_key
from attribution.domain.click_id import ClickTokens, SignedClick
from attribution.embedded.postgres import EmbeddedPostgres
from attribution.embedded.valkey import EmbeddedValkey
from attribution.entrypoints.secrets import load_click_id_keys
from attribution.settings import Settings

ROLE = (sys.executable, "-P", "-m", "attribution")
SLUGS = ("anna", "ben", "chris", "dora")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Role:
    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self._argv = (*ROLE, name)
        self._environment = {**os.environ, **environment}
        self._log = log
        self.process = self._spawn()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(self._argv, env=self._environment, stderr=log, stdout=log)

    def start(self) -> None:
        self.process = self._spawn()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def children(self) -> list[int]:
        return children(self.process.pid)

    def redirect_workers(self) -> list[int]:
        return redirect_workers(self.process.pid)

    def stop(self) -> int:
        """As an operator does; what does not end is killed."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


class Service:
    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.postgres = EmbeddedPostgres(root / "postgres")
        self.valkey = EmbeddedValkey(root / "valkey")
        self.port = free_port()
        self._environment = environment
        self.server: Role
        self.consumer: Role
        self.links: dict[int, str] = {}

    @property
    def log(self) -> Path:
        return self.root / "roles.log"

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "PORT": str(self.port),
            "DATA_DIR": str(self.root),
            "ATTRIBUTION_CONSUME_CLAIM_IDLE_MS": "500",
            **self._environment,
        }

    async def start(self) -> None:
        environment = {**os.environ, **self.environment()}
        await asyncio.to_thread(subprocess.run, [*ROLE, "migrate"], env=environment, check=True)
        await self._make_program()
        await self.make_links(SLUGS)
        self.server = Role("serve", self.environment(), self.log)
        self.consumer = Role("worker", self.environment(), self.log)
        await self.is_ready()

    async def is_ready(self) -> None:
        await eventually(self._answers, timeout=30)

    async def _answers(self) -> bool:
        async with httpx.AsyncClient() as client:
            try:
                response = await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5)
            except httpx.TransportError:
                return False
        return response.status_code == 200 and set(response.json()["dependencies"].values()) == {"ok"}

    async def _make_program(self) -> None:
        await self.execute(
            "INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)"
            " VALUES ('default', 'D', 'EUR', 'UTC', 'click_id', 1) ON CONFLICT DO NOTHING"
        )

    async def make_links(self, slugs: Sequence[str]) -> None:
        await self.execute(
            "INSERT INTO links (program_id, slug, destination, forward_query, status)"
            " SELECT program_id, slug, 'https://shop.example/' || slug, 'append', 'active'"
            " FROM programs, unnest($1::text[]) AS slug WHERE key = 'default'",
            list(slugs),
        )
        self.links = {row["link_id"]: row["slug"] for row in await self.fetch("SELECT link_id, slug FROM links")}

    async def execute(self, statement: str, *arguments: Any) -> None:
        await self.fetch(statement, *arguments)

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.postgres.url, timeout=5)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def stored(self) -> list[tuple[bytes, str]]:
        """Click id and slug of each row."""
        rows = await self.fetch("SELECT click_id, link_id FROM clicks")
        return [(row["click_id"].bytes, self.links[row["link_id"]]) for row in rows]

    def tapped(self, ledger: Ledger) -> dict[bytes, str]:
        """What the ledger's tokens say, by our keys."""
        tokens = ClickTokens(load_click_id_keys(Settings(data_dir=self.root)))
        found: dict[bytes, str] = {}
        for token, slug in ledger.taps.items():
            click = tokens.parse(token)
            assert isinstance(click, SignedClick)
            assert self.links[click.link_id] == slug
            found[click.click_id] = slug
        assert len(found) == len(ledger.taps)
        return found

    async def left_in_stream(self) -> int:
        async with redis.asyncio.from_url(self.valkey.url) as client:
            return int(await client.xlen(stream_key(0)))

    async def assert_exactly_once(self, ledger: Ledger) -> None:
        """Every 302 of the ledger is one row with its link, and nothing is left in the stream."""
        tapped = self.tapped(ledger)

        async def landed() -> bool:
            with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                return tapped.keys() <= {click_id for click_id, _ in await self.stored()}
            return False

        try:
            await eventually(landed, timeout=30)
        except AssertionError:
            missing = tapped.keys() - {click_id for click_id, _ in await self.stored()}
            raise AssertionError(f"{len(missing)} of {len(tapped)} clicks are lost") from None
        rows = await self.stored()
        by_id = dict(rows)
        assert len(by_id) == len(rows), "a click is doubled"
        assert {click_id: by_id[click_id] for click_id in tapped} == tapped
        await eventually(self._stream_is_empty)
        assert await self.fetch("SELECT reason FROM dead_letters") == []

    async def _stream_is_empty(self) -> bool:
        return await self.left_in_stream() == 0

    def stop(self) -> None:
        roles = [role for role in (getattr(self, "server", None), getattr(self, "consumer", None)) if role]
        workers = [pid for role in roles if role.process.poll() is None for pid in role.children()]
        for role in roles:
            role.stop()
        wait_until(lambda: not any(is_alive(pid) for pid in workers))


@asynccontextmanager
async def service(root: Path, **environment: str) -> AsyncIterator[Service]:
    running = Service(root, environment)
    async with running.postgres, running.valkey:
        try:
            await running.start()
            yield running
        finally:
            await asyncio.to_thread(running.stop)
