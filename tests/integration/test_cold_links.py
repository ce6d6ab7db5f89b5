"""What cold links and random slugs cost Redis and Postgres: counted there, behind the real server."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import pytest_asyncio
import redis.asyncio
from tests.support.service import SLUGS, Service, service
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
READS_PER_S = 5
ASKERS = 50
RANDOM_SLUGS = 200
_PARAMETERS = re.compile(r"Parameters: \$1 = '\{([\w,]*)\}'", re.IGNORECASE)
_COPY = re.compile(rb"HMGET attribution:link:(\w+) ")


class Counted:
    """`redis`, `postgres`: how often each was asked for a slug."""

    def __init__(self, running: Service) -> None:
        self._running = running
        self._log = running.root / "postgres" / "server.log"
        self._logged = 0
        self.redis: Counter[str] = Counter()
        self.postgres: Counter[str] = Counter()

    async def begin(self) -> None:
        await self._running.execute("ALTER SYSTEM SET log_statement = 'all'")
        await self._running.execute("SELECT pg_reload_conf()")
        async with redis.asyncio.from_url(self._running.valkey.url) as client:
            await client.config_set("slowlog-max-len", 100_000)
            await client.config_set("slowlog-log-slower-than", 0)
            await client.slowlog_reset()
        self._logged = self._log.stat().st_size

    async def end(self) -> None:
        async with redis.asyncio.from_url(self._running.valkey.url) as client:
            commands = [entry["command"] + b" " for entry in await client.slowlog_get(100_000)]
        self.redis.update(match[1].decode() for command in commands if (match := _COPY.match(command)))
        with self._log.open() as log:
            log.seek(self._logged)
            for parameters in _PARAMETERS.findall(log.read()):
                self.postgres.update(parameters.split(","))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    settings = {
        "ATTRIBUTION_LINK_READS_PER_S": str(READS_PER_S),
        "ATTRIBUTION_LINK_CACHE_SIZE": str(2 * len(SLUGS)),
        "ATTRIBUTION_UNKNOWN_SLUG_CACHE_SIZE": "100",
    }
    async with service(tmp_path_factory.mktemp("service"), **settings) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def counted(running: Service) -> Counted:
    counting = Counted(running)
    await counting.begin()
    return counting


async def _tapped(running: Service, slugs: Sequence[str], connections: int) -> list[int]:
    """Their statuses, in the same order."""
    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", limits=limits, timeout=60) as client:
        return [answer.status_code for answer in await asyncio.gather(*(client.get(f"/{slug}") for slug in slugs))]


async def test_a_cold_link_costs_one_look_up_however_many_ask_at_once(running: Service, counted: Counted) -> None:
    await running.execute(
        "INSERT INTO links (program_id, slug, destination, forward_query, status)"
        " SELECT program_id, 'cold', 'https://shop.example/', 'append', 'active' FROM programs WHERE key = 'default'"
    )
    assert await _tapped(running, ["cold"] * ASKERS, connections=ASKERS) == [302] * ASKERS
    await counted.end()
    assert counted.redis["cold"] == 1
    assert counted.postgres["cold"] == 1


async def test_random_slugs_evict_no_warm_link_and_reach_postgres_at_the_set_rate(
    running: Service, counted: Counted
) -> None:
    await eventually(lambda: _all_found(running))
    await counted.begin()
    began = time.monotonic()
    slugs = [f"random{number}" for number in range(RANDOM_SLUGS)]
    statuses = await _tapped(running, slugs, connections=20)
    seconds = time.monotonic() - began
    assert await _tapped(running, SLUGS, connections=1) == [302] * len(SLUGS)
    await counted.end()
    # Postgres knows that they name nothing; of those it was not asked for, nobody can tell.
    assert set(statuses) == {404, 503}
    asked = {slug: count for slug, count in counted.postgres.items() if slug.startswith("random")}
    assert 0 < sum(asked.values()) <= READS_PER_S * (seconds + 1)
    found = {slug for slug, status in zip(slugs, statuses, strict=True) if status == httpx.codes.NOT_FOUND}
    assert found <= asked.keys()
    assert not (counted.redis.keys() | counted.postgres.keys()) & set(SLUGS)


async def _all_found(running: Service) -> bool:
    return set(await _tapped(running, SLUGS, connections=1)) == {302}
