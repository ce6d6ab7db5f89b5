"""Orders, clicks from elsewhere and the pages of the host, over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.support.api import TOKEN, Api, assert_problem

ORDER: dict[str, Any] = {
    "source": "shop-eu",
    "order_id": "1001",
    "ordered_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-20T10:00:05Z",
    "status": "confirmed",
    "currency": "EUR",
    "items": [{"sku": "A", "quantity": 1, "amount": "39.80"}],
    "discount": "4.20",
    "discount_codes": ["ANNA15"],
    "click_id": "...",
    "visitor_id": None,
    "customer_id": "c77",
    "new_customer": True,
}


async def test_an_order_is_stored_once_and_the_newest_stands(api: Api) -> None:
    async def post(**changes: Any) -> str:
        response = await api.ask("POST", "/v1/orders", ORDER | changes)
        assert response.status_code == 200, response.text
        answer: dict[str, str] = response.json()
        assert answer["order_id"] == "1001"
        return answer["status"]

    assert await post() == "stored"
    assert await post() == "duplicate"
    newer = {"updated_at": "2026-11-21T00:00:00Z", "items": [{"amount": "10"}]}
    assert await post(**newer) == "stored"
    assert await post(updated_at="2026-11-20T12:00:00Z") == "stale"
    state = (await api.ask("GET", "/v1/orders/1001", params={"source": "shop-eu"})).json()
    assert state["order_id"] == "1001"
    assert state["source"] == "shop-eu"
    assert (state["gross"], state["net"], state["refunded"], state["over_refund"]) == (
        "10.00",
        "10.00",
        "0.00",
        False,
    )
    assert state["attribution"]["reason"] == "unknown_click_id"


async def test_codes_are_trimmed_before_anything_is_said_of_them(api: Api) -> None:
    """No order is refused for what a shop has round its codes; a code that is only that is none."""
    codes = ["AA\n", "", " Alw\t", " \r\n"]
    posted = await api.ask("POST", "/v1/orders", ORDER | {"discount_codes": codes})
    assert posted.json() == {"order_id": "1001", "status": "stored"}
    again = await api.ask("POST", "/v1/orders", ORDER | {"discount_codes": ["AA", "Alw"]})
    assert again.json()["status"] == "duplicate"
    state = (await api.ask("GET", "/v1/orders/1001", params={"source": "shop-eu"})).json()
    assert [(code["code"], code["verdict"]) for code in state["attribution"]["codes"]] == [
        ("AA", "unknown"), ("Alw", "unknown"),
    ]  # fmt: skip


async def test_an_order_is_of_its_source(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    assert_problem(await api.ask("GET", "/v1/orders/1001"), 404)
    assert_problem(await api.ask("GET", "/v1/orders/1001/attribution"), 404)
    path = "/v1/orders/1001/attribution"
    explained = await api.ask("GET", path, params={"source": "shop-eu", "model": "linear"})
    assert explained.json()["model"] == "linear"
    wrong = await api.ask("GET", path, params={"source": "shop-eu", "model": "psychic"})
    assert_problem(wrong, 422, "query", "model")


async def test_an_order_id_may_hold_what_a_path_separates(api: Api) -> None:
    order_id = "2026/11 ü?#%"
    await api.ask("POST", "/v1/orders", ORDER | {"source": "default", "order_id": order_id})
    path = "/v1/orders/2026%2F11%20%C3%BC%3F%23%25"
    assert (await api.ask("GET", path)).json()["order_id"] == order_id
    assert (await api.ask("GET", f"{path}/attribution")).status_code == 200
    for nobody in ("/v1/orders/%00", "/v1/orders/", "/v1/orders/%FF"):
        assert_problem(await api.ask("GET", nobody), 404)


@pytest.mark.parametrize("order_id", ["7/attribution", "7/history", "7/refunds", "/attribution"])
async def test_an_order_id_may_end_as_a_path_does(api: Api, order_id: str) -> None:
    """Its last slash is `%2F` then; the order whose id is the rest is another."""
    for named in ("7", order_id):
        await api.ask("POST", "/v1/orders", ORDER | {"source": "default", "order_id": named})
    path = "/v1/orders/" + quote(order_id, safe="")
    assert (await api.ask("GET", path)).json()["order_id"] == order_id
    assert (await api.ask("GET", path.replace("%2F", "%2f"))).json()["order_id"] == order_id
    assert (await api.ask("GET", path + "/attribution")).json()["reason"] == "unknown_click_id"
    assert (await api.ask("GET", path + "/history")).json()["data"] == []
    refund = {"refund_id": "r", "refunded_at": "2026-11-21T10:00:00Z", "amount": "1"}
    assert (await api.ask("POST", path + "/refunds", refund)).json()["order_id"] == order_id
    assert (await api.ask("GET", "/v1/orders/7")).json()["order_id"] == "7"
    assert (await api.ask("GET", "/v1/orders/7/history")).json()["data"] == []


async def test_in_a_list_a_bad_order_is_reported_and_the_others_stand(api: Api) -> None:
    await api.make("programs", key="acme", name="Acme", currency="EUR")
    orders = [
        ORDER,
        ORDER | {"order_id": ""},
        ORDER | {"order_id": "2", "currency": "XXX"},
        ORDER | {"order_id": "3", "program": "acme"},
        ORDER,
        ORDER | {"order_id": "4", "program": "nobody"},
        ORDER | {"order_id": "5", "items": [{"amount": "0.001"}]},
        ORDER | {"order_id": "6\0"},
        None,
        ORDER | {"order_id": "7"},
    ]
    response = await api.ask("POST", "/v1/orders", orders)
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["index"] for result in results] == list(range(10))
    assert [result.get("order_id") for result in results] == (
        ["1001", None, None, "3", "1001", None, None, None, None, "7"]
    )
    assert (results[0]["status"], results[4]["status"]) == ("stored", "duplicate")
    assert results[1]["errors"][0]["loc"] == ["body", 1, "order_id"]
    assert results[6]["errors"][0]["loc"] == ["body", 6, "items", 0, "amount"]
    assert await api.rows("conversions") == 3
    assert (await api.ask("GET", "/v1/orders/3", params={"source": "shop-eu", "program": "acme"})).is_success


async def test_a_list_of_orders_has_at_most_a_thousand(api: Api) -> None:
    assert (await api.ask("POST", "/v1/orders", [])).json() == {"results": []}
    assert_problem(await api.ask("POST", "/v1/orders", [ORDER] * 1001), 422, "body")
    assert await api.rows("conversion_events") == 0


async def test_numbers_in_a_body_are_exact(api: Api) -> None:
    raw = (
        b'{"order_id": "n", "ordered_at": "2026-11-20T10:00:00Z", "currency": "EUR",'
        b' "items": [{"amount": 90071992547409.93}, {"amount": 1e1}]}'
    )
    response = await api.ask("POST", "/v1/orders", content=raw, headers={"Content-Type": "application/json"})
    assert_problem(response, 422, "body", "items", 0, "amount")
    raw = raw.replace(b"90071992547409.93", b"9007199254740.93")
    response = await api.ask("POST", "/v1/orders", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    assert (await api.ask("GET", "/v1/orders/n")).json()["gross"] == "9007199254750.93"


async def test_clicks_from_elsewhere_are_answered_in_their_order(api: Api) -> None:
    clicks = [
        {"slug": "a", "clicked_at": "2026-11-20T11:00:00+01:00", "ip": "2001:DB8::1", "external_id": "x"},
        {"slug": "unknown", "clicked_at": "2026-11-20T10:00:00Z"},
        {"slug": "a"},
        {"slug": "b", "clicked_at": "2026-11-20T10:00:00Z", "visitor_id": "v 1"},
        {"slug": "b", "clicked_at": "2026-11-20T10:00:00Z", "ip": "here"},
        {"slug": "b", "clicked_at": "2026-11-20T10:00:00Z", "user_agent": "\ud800"},
        {"slug": "c", "clicked_at": "2026-11-20T10:00:00Z", "user_agent": "", "referrer": ""},
    ]
    response = await api.ask("POST", "/v1/clicks", clicks)
    assert response.status_code == 202
    answer = response.json()
    assert answer["accepted"] == 2
    assert answer["click_ids"] == [TOKEN, None, None, None, None, None, TOKEN]
    assert [(refused["index"], refused["reason"]) for refused in answer["rejected"]] == [
        (1, "unknown_slug"),
        (2, "invalid"),
        (3, "invalid"),
        (4, "invalid"),
        (5, "invalid"),
    ]
    first = api.clicks.clicks[0]
    assert (first.ip, first.clicked_at.isoformat()) == ("2001:db8::1", "2026-11-20T10:00:00+00:00")


async def test_clicks_come_as_a_list_of_at_most_ten_thousand(api: Api) -> None:
    click = {"slug": "a", "clicked_at": "2026-11-20T10:00:00Z"}
    assert (await api.ask("POST", "/v1/clicks", [click] * 10_000)).json()["accepted"] == 10_000
    assert_problem(await api.ask("POST", "/v1/clicks", [click] * 10_001), 422, "body")
    assert_problem(await api.ask("POST", "/v1/clicks", click), 422, "body")
    assert (await api.ask("POST", "/v1/clicks", [])).json() == {
        "accepted": 0,
        "rejected": [],
        "click_ids": [],
    }


async def test_the_pages_of_the_host_need_no_key(api: Api) -> None:
    alive = await api.client.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    ready = await api.client.get("/readyz")
    assert ready.json() == {"ready": True, "dependencies": {"database": "up"}}
    assert (await api.client.get("/metrics")).text == "# metrics\n"
    assert "Disallow: /" in (await api.client.get("/robots.txt")).text
    assert (await api.client.get("/favicon.ico")).status_code == 204
    assert (await api.client.get("/docs")).status_code == 200
    assert (await api.client.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    for path in ("/v1", "/v1/", "/v1/nothing", "/v1/links/", "/v2/links"):
        assert_problem(await api.ask("GET", path), 404)
    for path, allowed in (
        ("/v1/links/1", "GET, PATCH, DELETE"),
        ("/v1/rules", "GET, POST"),
        ("/v1/clicks", "POST"),
    ):
        refused = await api.ask("PUT", path, {})
        assert_problem(refused, 405)
        assert refused.headers["allow"] == allowed
