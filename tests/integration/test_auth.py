"""Who may do what, and whose objects they see."""

import asyncio
from typing import Any

import pytest
from tests.support.api import ADMIN_KEY, Api, assert_problem

from attribution.adapters.postgres import Database
from attribution.errors import DatabaseUnavailableError

ORDER = {"order_id": "1", "ordered_at": "2026-11-20T10:00:00Z", "currency": "EUR", "amount": "1.00"}
NOUNS = ("programs", "influencers", "campaigns", "posts", "links", "codes", "rules")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Basic {ADMIN_KEY}", "Bearer wrong", ADMIN_KEY, "Bearer \u00e9\u00e9"],
)
async def test_a_request_without_a_valid_key_is_401_before_all_else(api: Api, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    for method, path in [("GET", f"/v1/{noun}") for noun in NOUNS] + [
        ("POST", "/v1/orders"),
        ("POST", "/v1/clicks"),
        ("POST", "/v1/links/bulk"),
        ("GET", "/v1/stats"),
        ("PATCH", "/v1/links/1"),
    ]:
        response = await api.client.request(method, path, headers=headers, content=b"{", params={"x": "1"})
        assert_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    response = await api.client.get("/v1/links", headers={"Authorization": f"bearer  {ADMIN_KEY} "})
    assert response.status_code == 200


async def test_a_programmes_key_reaches_only_its_own(api: Api) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    other = await api.make("programs", key="other", name="Other", currency="EUR")
    bearer = acme["api_key"]
    made = await api.make("influencers", name="Anna", bearer=bearer)
    assert (await api.ask("GET", f"/v1/influencers/{made['id']}", params={"program": "acme"})).status_code == 200
    for wrong in ("other", "default", "nobody"):
        assert_problem(await api.ask("GET", "/v1/links", bearer=bearer, params={"program": wrong}), 404)
        body = {"name": "Ben", "program": wrong}
        assert_problem(await api.ask("POST", "/v1/influencers", body, bearer=bearer), 404)
        assert_problem(await api.ask("POST", "/v1/orders", ORDER | {"program": wrong}, bearer=bearer), 404)
    named = await api.ask("POST", "/v1/influencers", {"name": "Ben", "program": "acme"}, bearer=bearer)
    assert named.status_code == 201
    listed = await api.ask("GET", "/v1/programs", bearer=bearer)
    assert [programme["key"] for programme in listed.json()["data"]] == ["acme"]
    reached: tuple[tuple[str, str, dict[str, str] | None], ...] = (
        ("GET", f"/v1/programs/{other['id']}", None),
        ("PATCH", f"/v1/programs/{other['id']}", {"name": "Mine"}),
        ("POST", f"/v1/programs/{other['id']}/api-keys", None),
    )
    for method, path, change in reached:
        assert_problem(await api.ask(method, path, change, bearer=bearer), 404)
    assert (await api.rows("conversion_events"), await api.rows("influencers")) == (0, 2)


async def test_a_programmes_key_makes_no_programmes(api: Api) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    body = {"key": "sub", "name": "Sub", "currency": "EUR"}
    assert_problem(await api.ask("POST", "/v1/programs", body, bearer=acme["api_key"]), 403)
    assert await api.rows("programs") == 1


async def test_a_further_key_opens_the_same_programme(api: Api) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    made = await api.ask("POST", f"/v1/programs/{acme['id']}/api-keys", bearer=acme["api_key"])
    assert made.status_code == 201
    further = made.json()["api_key"]
    assert further != acme["api_key"]
    listed = await api.ask("GET", "/v1/programs", bearer=further)
    assert [programme["key"] for programme in listed.json()["data"]] == ["acme"]


async def test_the_objects_of_another_programme_do_not_exist(api: Api) -> None:
    other = await api.make("programs", key="other", name="Other", currency="EUR")
    anna = await api.make("influencers", name="Anna")
    made: dict[str, dict[str, Any]] = {
        "influencers": anna,
        "campaigns": await api.make("campaigns", name="W"),
        "posts": await api.make("posts", influencer_id=anna["id"], channel="x"),
        "links": await api.make("links", destination="https://shop.example"),
        "codes": await api.make("codes", code="A", influencer_id=anna["id"]),
        "rules": await api.make("rules", effective_from="2026-01-01T00:00:00Z", model="linear"),
    }
    bearer = other["api_key"]
    for noun, thing in made.items():
        path = f"/v1/{noun}/{thing['id']}"
        assert_problem(await api.ask("GET", path, bearer=bearer), 404)
        assert_problem(await api.ask("GET", path, params={"program": "other"}), 404)
        assert (await api.ask("GET", f"/v1/{noun}", bearer=bearer)).json()["data"] == []
        if noun != "rules":
            assert_problem(await api.ask("PATCH", path, {"external_id": "mine"}, bearer=bearer), 404)
            assert_problem(await api.ask("DELETE", path, bearer=bearer), 404)
        assert (await api.ask("GET", path)).json() == thing
    await api.ask("POST", "/v1/orders", ORDER)
    assert (await api.ask("GET", "/v1/orders/1")).status_code == 200
    assert_problem(await api.ask("GET", "/v1/orders/1", bearer=bearer), 404)
    assert_problem(await api.ask("GET", "/v1/orders/1/attribution", bearer=bearer), 404)


async def test_the_default_programme_is_there_once_however_many_ask_first(api: Api) -> None:
    answers = await asyncio.gather(*(api.ask("GET", "/v1/links") for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert await api.rows("programs") == 1


async def test_an_unknown_programme_is_404_and_two_names_are_422(api: Api) -> None:
    assert_problem(await api.ask("GET", "/v1/links", params={"program": "nobody"}), 404)
    assert_problem(await api.ask("POST", "/v1/influencers", {"name": "A", "program": "nobody"}), 404)
    response = await api.ask(
        "POST", "/v1/influencers", {"name": "A", "program": "default"}, params={"program": "other"}
    )
    assert_problem(response, 422, "body", "program")


async def test_keys_are_stored_only_as_hashes(api: Api) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    async with api.database.connection() as connection:
        stored = await connection.fetchval("SELECT key_hash FROM api_keys")
    assert len(stored) == 32
    assert acme["api_key"].encode() not in stored


async def test_known_keys_and_programmes_outlive_the_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    bearer = acme["api_key"]
    body = ORDER | {"order_id": "2"}
    assert (await api.ask("POST", "/v1/orders", ORDER, bearer=bearer)).status_code == 200
    assert (await api.ask("POST", "/v1/orders", ORDER, params={"program": "acme"})).status_code == 200
    gate = api.app.state.gate
    gate._directory.expire()
    real, away = Database.connection, False

    def connection(self: Database) -> Any:
        if away:
            raise DatabaseUnavailableError
        return real(self)

    monkeypatch.setattr(Database, "connection", connection)
    away = True
    assert_problem(await api.ask("GET", "/v1/links", bearer=bearer), 503)
    for options in ({"bearer": bearer}, {"params": {"program": "acme"}}):
        response = await api.ask("POST", "/v1/orders", body, **options)
        assert_problem(response, 503)
        assert response.headers["retry-after"]
    # The key was found; only the intake of these tests has no journal to turn to.
    assert_problem(await api.ask("POST", "/v1/orders", {"order_id": ""}, bearer=bearer), 422)
    assert_problem(await api.ask("GET", "/v1/links", bearer="unknown"), 503)
