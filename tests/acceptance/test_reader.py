"""Questions are answered beside the workers: nothing else waits for them."""

import signal
from concurrent.futures import ThreadPoolExecutor
from os import kill
from pathlib import Path

from tests.support.processes import is_alive, pause, resume
from tests.support.up import running_up
from tests.support.waiting import wait_until

QUESTIONS = (
    "/v1/stats?program=main",
    "/v1/reports/journeys?program=main",
    "/v1/reports/attribution?program=main&from=2026-01-01&to=2026-02-01",
)


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
