"""Explanations over HTTP and from the command line: every candidate with the numbers behind its verdict."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.api import Api, assert_problem
from tests.support.reference import Code, Version, World
from tests.support.worlds import HOUR, START, found_program, token_of

from attribution import cli
from attribution.adapters.postgres import Database
from attribution.settings import Settings

RULE = Version(START - 999 * HOUR, {"default": 10 * HOUR}, "linear", 60_000_000, rule_id=7)
QUERY = {"program": f"programme-{PROGRAM}", "source": "shop"}
EARLY, NAMED, NEXT = click(1, 1, "v1"), click(15, 2, "v2"), click(16, 1, "v2")
ORDER = sale("A", 20, customer_id="c1", click_id=token_of(NAMED), discount_codes=("ANNA15", "what"))


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """An earlier order of the customer names a visitor; the order names a click, whose visitor clicked again."""
    database = Database(Settings(database_url=database_url))
    world = World(LINKS, rules=[RULE], codes=[Code("ANNA15", 1, "if_winner")])
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, world)
    service = Service(database)
    await service.store(EARLY, NAMED, NEXT)
    await service.accept(sale("before", 2, customer_id="c1", visitor_id="v1"), ORDER)
    yield service
    await database.close()


async def explained(api: Api, **parameters: str) -> dict[str, Any]:
    response = await api.ask("GET", "/v1/orders/A/attribution", params=QUERY | parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_each_touch_has_the_numbers_behind_its_verdict(service: Service, api: Api) -> None:
    await service.settle()
    touches = (await explained(api))["touches"]
    assert [(t["verdict"], t["age"], t["named_by"], t["slug"]) for t in touches] == [
        ("outside_window", "PT68400S", "customer", "p1-1"),
        ("credited", "PT18000S", "click_id", "p1-2"),
        ("credited", "PT14400S", "visitor_of_click", "p1-1"),
    ]
    assert touches[0]["named_by_conversion"] == {"source": "shop", "type": "purchase", "id": "before"}
    assert {(t["window"], t["window_from"], t["stored"], t["agent_class"]) for t in touches} == {
        ("PT36000S", "rule_default", True, "browser")
    }


async def test_each_code_shows_what_it_was_when_it_judged(service: Service, api: Api) -> None:
    await service.settle()
    known, unknown = (await explained(api))["codes"]
    [version] = known["known"]
    assert (known["verdict"], known["code_id"]) == ("agrees", version["code_id"])
    assert (version["influencer_id"], version["policy"], version["status"]) == ("1", "if_winner", "active")
    assert unknown == {"code": "what", "verdict": "unknown", "code_id": None, "known": []}


async def test_what_is_recorded_is_told_from_what_is_explained(service: Service, api: Api) -> None:
    """Not yet judged; judged; and judged before something new that waits in the queue."""
    before = (await explained(api))["recorded"]
    nothing = {"status": None, "judged_at": None, "bound_at": None, "recomputation": None}
    assert before == nothing | {"waiting": True, "as_explained": False}
    await service.settle()
    judged = (await explained(api))["recorded"]
    assert (judged["status"], judged["waiting"], judged["as_explained"]) == ("attributed", False, True)
    assert judged["bound_at"] is not None
    late = click(17, 2, "v2")
    await service.store(late)
    await service.reopen(late)
    waiting = (await explained(api))["recorded"]
    assert (waiting["waiting"], waiting["as_explained"]) == (True, False)
    assert (await explained(api, model="last_touch"))["model"] == "last_touch"


async def test_people_get_the_same_as_text(service: Service, api: Api) -> None:
    await service.settle()
    path, accept = "/v1/orders/A/attribution", {"Accept": "text/plain"}
    text = await api.ask("GET", path, params=QUERY, headers=accept)
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Influencer 2 (influencer 2) through click: weight 0.5, 0.50 EUR" in text.text
    asked = await api.ask("GET", path, params=QUERY | {"influencer_id": "3"}, headers=accept)
    assert "Influencer 3 (influencer 3) has no credit for this order" in asked.text
    for accepted in ("*/*", "application/json, text/plain;q=0.5", "text/html", "text/plain;q=x"):
        answer = await api.ask("GET", path, params=QUERY, headers={"Accept": accepted})
        assert answer.headers["content-type"] == "application/json", accepted


async def test_bad_questions_are_named(service: Service, api: Api) -> None:
    path, accept = "/v1/orders/A/attribution", {"Accept": "text/plain"}
    for unknown in ("999", "x"):
        asked = await api.ask("GET", path, params=QUERY | {"influencer_id": unknown}, headers=accept)
        assert_problem(asked, 422, "query", "influencer_id")
    asked = await api.ask("GET", path, params=QUERY | {"influencer_id": "1"})
    assert_problem(asked, 422, "query", "influencer_id")
    assert_problem(await api.ask("GET", "/v1/orders/B/attribution", params=QUERY, headers=accept), 404)
    assert_problem(await api.ask("GET", path, params=QUERY | {"source": "x"}, headers=accept), 404)
    assert service is not None


async def test_the_command_prints_the_page(
    service: Service, api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await service.settle()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ATTRIBUTION_CLICK_ID_KEYS", f"1:{'6b' * 32}")

    async def status(line: str) -> int:
        return await asyncio.to_thread(cli.main, ["explain", *line.split()])

    page = await api.ask("GET", "/v1/orders/A/attribution", params=QUERY, headers={"Accept": "text/plain"})
    assert await status("A --program programme-1 --source shop") == 0
    assert capsys.readouterr().out == page.text
    assert await status("A --program programme-1 --source shop --influencer 1 --model first_touch") == 0
    assert "Influencer 1 (influencer 1) has no credit" in capsys.readouterr().out
    for line, named in (
        ("A --program nowhere", "nowhere"),
        ("B --program programme-1 --source shop", "B"),
        ("A --program programme-1 --source shop --type lead", "lead"),
        ("A --program programme-1 --source shop --model psychic", "model"),
        ("A --program programme-1 --source shop --influencer 99", "influencer_id"),
    ):
        assert await status(line) == 1
        assert named in capsys.readouterr().err
