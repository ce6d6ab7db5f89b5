"""/v1/stats/live: who follows is told of what changed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import uvicorn
from tests.integration.test_credit_convergence import until_idle
from tests.support.api import ADMIN_KEY, Api, assert_problem

from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.stats_table import StatsTable
from attribution.conversions.attributor import judge_and_value
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program
from attribution.errors import DatabaseUnavailableError, UnavailableError
from attribution.settings import Settings
from attribution.stats.live import LiveEvent, LiveKind, LivePolicy, LiveStats
from attribution.stats.query import Stats, StatsQuery

PROGRAMME = Program(ProgramId(1), "default", "USD", "UTC", "click_id")
POLICY = LivePolicy(followers=3, interval_s=0.01)
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}


class Counting(Stats):
    """Round the real one: counts how often it is asked, and can be away."""

    def __init__(self, database: Database) -> None:
        super().__init__(StatsTable(database), judge_and_value)
        self.asked = 0
        self.away = False

    async def query(self, program: Program, query: StatsQuery) -> Mapping[str, Any]:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailableError
        return await super().query(program, query)


@dataclass
class World:
    live: LiveStats
    stats: Counting
    database: Database

    async def change(self) -> None:
        """`as_of` is another one from now on."""
        at = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=self.stats.asked)
        await ClickTable(self.database).report_watermark(0, int(at.timestamp()) * 1_000_000)


@pytest_asyncio.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(Settings(database_url=database_url))
    stats = Counting(database)
    yield World(LiveStats(stats, lambda answer: str(answer["as_of"]).encode(), POLICY), stats, database)
    await database.close()


def clicks_until(now: datetime) -> StatsQuery:
    return StatsQuery(now - timedelta(days=1), now, metrics=("clicks",))


def following(world: World, key: str = "clicks") -> Any:
    return world.live.follow(PROGRAMME, key, clicks_until)


async def soon(events: AsyncIterator[LiveEvent]) -> LiveEvent:
    async with asyncio.timeout(20):
        return await anext(events)


async def test_an_event_comes_at_once_and_then_only_when_something_changed(world: World) -> None:
    async with following(world) as events:
        first = await soon(events)
        asked = world.stats.asked
        waiting = asyncio.ensure_future(anext(events))
        while world.stats.asked < asked + 5:
            assert not waiting.done()
            await asyncio.sleep(0.01)
        await world.change()
        async with asyncio.timeout(20):
            second = await waiting
    assert (first.kind, second.kind) == (LiveKind.STATS, LiveKind.STATS)
    assert first.text != second.text


async def test_equal_questions_are_computed_once_and_nobody_is_asked_when_nobody_follows(world: World) -> None:
    async with following(world) as one, following(world) as other, following(world, "another") as third:
        assert (await soon(one)).text == (await soon(other)).text == (await soon(third)).text
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "live stats"]
        assert len(tasks) == 2
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.done() for task in tasks)
    assert world.live.followers == 0


async def test_followers_are_bounded_and_a_place_becomes_free(world: World) -> None:
    async with following(world), following(world, "a"):
        async with following(world, "b"):
            with pytest.raises(UnavailableError):
                async with following(world, "c"):
                    pass
        async with following(world, "c") as events:
            assert (await soon(events)).kind is LiveKind.STATS


async def test_an_outage_is_an_event_and_the_stream_goes_on(world: World) -> None:
    async with following(world) as events:
        before = await soon(events)
        world.stats.away = True
        away = await soon(events)
        world.stats.away = False
        back = await soon(events)
    assert (away.kind, away.text) == (LiveKind.ERROR, "The database is away; try again")
    assert back == before


async def test_all_streams_end_when_the_server_drains(world: World) -> None:
    async with following(world) as events:
        await soon(events)
        world.live.close()
        async with asyncio.timeout(20):
            assert [event async for event in events] == []
        with pytest.raises(UnavailableError):
            async with following(world):
                pass


# Over HTTP


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(api.app, port=0, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def events_of(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, orjson.loads(line.removeprefix("data: "))


async def test_an_order_is_in_the_stream_once_it_is_credited(api: Api) -> None:
    """The data is what /v1/stats answers; the end of an open period goes with the time."""
    async with served(api) as url, httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=20) as client:
        async with client.stream("GET", "/v1/stats/live", params={"metrics": "orders,revenue"}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            events = events_of(response)
            kind, empty = await anext(events)
            assert (kind, empty["totals"]) == ("stats", {"orders": 0, "revenue": "0.00"})
            now = datetime.now(UTC).isoformat()
            await api.ask(
                "POST", "/v1/orders", {"order_id": "1", "ordered_at": now, "currency": "USD", "amount": "5"}
            )
            await until_idle(api.database)
            async with asyncio.timeout(20):
                while (answer := (await anext(events))[1])["totals"]["orders"] == 0:
                    pass
        assert answer["totals"] == {"orders": 1, "revenue": "5.00"}
        assert answer["to"] > empty["to"]
        plain = (await client.get("/v1/stats", params={"metrics": "orders,revenue"})).json()
        assert plain.keys() == answer.keys()
        assert plain["totals"] == answer["totals"]
        for wrong in ({"metrics": "luck"}, {"group_by": "planet"}, {"planet": "mars"}, {"from": "x"}):
            [parameter] = wrong
            refused = await client.get("/v1/stats/live", params=wrong)
            assert_problem(refused, 422, "query", parameter)
        assert_problem(await client.get("/v1/stats/live", headers={"Authorization": "Bearer no"}), 401)
