"""Questions are answered beside the workers: nothing else waits for them."""

import asyncio
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from os import kill
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.support.processes import is_alive, pause, resume
from tests.support.up import running_up
from tests.support.waiting import eventually, wait_until

QUESTIONS = (
    "/v1/stats?program=main",
    "/v1/reports/journeys?program=main",
    "/v1/reports/attribution?program=main&from=2026-01-01&to=2026-02-01",
)

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%sub1%'"


def test_taps_and_the_rest_of_the_api_are_answered_while_questions_wait(tmp_path: Path) -> None:
    with running_up(tmp_path / "data", "--no-demo") as up, ThreadPoolExecutor(len(QUESTIONS)) as threads:
        up.make("programs", key="main", name="Main", currency="EUR", timezone="UTC")
        link = up.make("links", program="main", destination="https://shop.example/")
        reader = up.part("read-stats")
        pause(reader)
        asked = [threads.submit(up.ask, "GET", path) for path in QUESTIONS]
        assert up.tap(link["slug"]).status_code == 302
        assert up.get("/v1/links", program="main")["data"]
        assert not any(question.done() for question in asked)
        resume(reader)
        assert [question.result().status_code for question in asked] == [200] * len(asked)


def test_questions_are_answered_by_the_next_reader_when_one_dies(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as up:
        before = up.get("/v1/stats", program="demo", metrics="clicks")
        reader = up.part("read-stats")
        kill(reader, signal.SIGKILL)
        wait_until(lambda: not is_alive(reader), timeout=10)
        after = up.get("/v1/stats", program="demo", metrics="clicks")
        assert after["definitions"] == before["definitions"]
        assert up.part("read-stats") != reader


def test_errors_of_questions_come_through_as_they_are(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as up:
        refused = up.ask("GET", "/v1/stats", params={"program": "demo", "group_by": "planet"})
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert len(refused.headers.get_list("date")) == 1
        assert up.client.get("/v1/stats").status_code == 401
        table = up.ask("GET", "/v1/stats", params={"program": "demo", "group_by": "day", "format": "csv", "limit": 1})
        assert table.text.startswith("day,")
        assert up.port == int(table.headers["link"].partition("//")[2].partition("/")[0].rpartition(":")[2])


def test_who_has_ended_its_side_goes_on_hearing_an_answer_that_has_begun(tmp_path: Path) -> None:
    with running_up(tmp_path / "data") as up, socket.create_connection(("127.0.0.1", up.port), 20) as follower:
        link = up.make("links", program="demo", destination="https://shop.example/")
        head = f"GET /v1/stats/live?program=demo&metrics=clicks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {up.key}"
        follower.sendall(head.encode() + b"\r\n\r\n")
        _heard(follower)
        follower.shutdown(socket.SHUT_WR)
        up.tap(link["slug"])
        _heard(follower)
        follower.close()
        up.tap(link["slug"])
        up.stats(program="demo", metrics="clicks")
        assert "ASGI callable returned" not in up.log.read_text()


def _heard(follower: socket.socket) -> None:
    """Until there is an event more."""
    heard = b""
    while b"event: stats" not in heard:
        data = follower.recv(65_536)
        assert data, "the answer ended"
        heard += data


async def test_a_question_whose_asker_has_gone_leaves_the_database(tmp_path: Path, database_url: str) -> None:
    blocking, watching = await asyncpg.connect(database_url), await asyncpg.connect(database_url)

    async def waits() -> bool:
        return bool(await watching.fetchval(_WAITING))

    async def is_gone() -> bool:
        return not await waits()

    with running_up(tmp_path / "data", DATABASE_URL=database_url) as up:
        async with blocking.transaction():
            await blocking.execute("LOCK TABLE clicks")
            asked = asyncio.to_thread(up.ask, "GET", "/v1/stats?program=demo&group_by=sub1", timeout=3)
            question = asyncio.create_task(asked)
            await eventually(waits)
            with pytest.raises(httpx.ReadTimeout):
                await question
            await eventually(is_gone)
    await blocking.close()
    await watching.close()
