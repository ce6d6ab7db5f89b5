"""Refunds over HTTP: kept whenever they come, counted once, taken from their order's net."""

from typing import Any

import pytest
from tests.support.api import Api, assert_problem

ORDER: dict[str, Any] = {
    "order_id": "1001",
    "ordered_at": "2026-11-20T10:00:00Z",
    "currency": "EUR",
    "items": [{"sku": "A", "quantity": 2, "amount": "30.00"}, {"sku": "B", "amount": "9.80"}],
}
REFUND: dict[str, Any] = {"refund_id": "r1", "refunded_at": "2026-11-22T10:00:00Z", "amount": "10.00"}
PATH = "/v1/orders/1001/refunds"


async def state(api: Api) -> tuple[str, str, str, bool, str]:
    order = (await api.ask("GET", "/v1/orders/1001")).json()
    return order["gross"], order["refunded"], order["net"], order["over_refund"], order["over_refunded"]


async def flags(api: Api) -> dict[str, list[str]]:
    order = (await api.ask("GET", "/v1/orders/1001")).json()
    return {refund["refund_id"]: refund["flags"] for refund in order["refunds"]}


async def refund(api: Api, **changes: Any) -> str:
    fields = {name: value for name, value in (REFUND | changes).items() if value is not None}
    response = await api.ask("POST", PATH, fields)
    assert response.status_code == 200, response.text
    answer: dict[str, str] = response.json()
    assert (answer["order_id"], answer["refund_id"]) == ("1001", fields["refund_id"])
    return answer["status"]


async def listed(api: Api, **query: str) -> list[tuple[str, str]]:
    response = await api.ask("GET", "/v1/refunds", params=query)
    assert response.status_code == 200, response.text
    return [(found["refund_id"], found["state"]) for found in response.json()["data"]]


async def test_refunds_by_amount_and_by_item_are_taken_from_the_net(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    assert await refund(api) == "stored"
    items = [{"sku": "A", "quantity": 1, "amount": "15"}]
    assert await refund(api, refund_id="r2", amount=None, items=items) == "stored"
    assert await state(api) == ("39.80", "25.00", "14.80", False, "0.00")


async def test_a_refund_counts_once_however_often_it_is_said(api: Api) -> None:
    """Of two contents under one id the greater hash counts, whichever came first."""
    await api.ask("POST", "/v1/orders", ORDER)
    assert await refund(api) == "stored"
    assert await refund(api, amount="10.0") == "duplicate"
    assert await refund(api, source="default") == "duplicate"
    again = {await refund(api, amount="11"), await refund(api, amount="12")}
    assert again <= {"stored", "stale"}
    first = await state(api)
    assert first[1] in {"10.00", "11.00", "12.00"}
    for amount in ("12", "11", "10"):
        assert await refund(api, amount=amount) == "duplicate"
    assert await state(api) == first
    assert len(await listed(api)) == 1


async def test_a_refund_waits_for_its_order(api: Api) -> None:
    assert await refund(api) == "stored"
    assert await listed(api, state="waiting") == [("r1", "waiting")]
    assert await listed(api, state="applied") == []
    await api.ask("POST", "/v1/orders", ORDER | {"source": "another shop"})
    assert await listed(api, state="waiting") == [("r1", "waiting")]
    await api.ask("POST", "/v1/orders", ORDER)
    assert await state(api) == ("39.80", "10.00", "29.80", False, "0.00")
    assert await listed(api, state="waiting") == []
    assert await listed(api, state="applied") == [("r1", "applied")]


async def test_refunds_are_listed_by_order_in_pages(api: Api) -> None:
    for number in range(3):
        await refund(api, refund_id=f"r{number}")
    await api.ask("POST", "/v1/orders/2/refunds", REFUND | {"source": "b"})
    assert len(await listed(api, order_id="1001")) == 3
    assert await listed(api, source="b") == [("r1", "waiting")]
    first = (await api.ask("GET", "/v1/refunds", params={"limit": "3"})).json()
    assert [found["refund_id"] for found in first["data"]] == ["r0", "r1", "r2"]
    second = await api.ask("GET", "/v1/refunds", params={"cursor": first["next_cursor"]})
    assert [found["order_id"] for found in second.json()["data"]] == ["2"]
    assert second.json()["next_cursor"] is None
    assert_problem(await api.ask("GET", "/v1/refunds", params={"state": "lost"}), 422, "query", "state")
    assert_problem(await api.ask("GET", "/v1/refunds", params={"cursor": "x"}), 422, "query", "cursor")


async def test_what_is_asked_beyond_an_order_is_recorded_and_flagged(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    await refund(api, amount="30")
    await refund(api, refund_id="r2", refunded_at="2026-11-23T10:00:00Z", amount="20")
    assert await state(api) == ("39.80", "50.00", "0.00", True, "10.20")
    assert await flags(api) == {"r1": [], "r2": ["over_refund"]}


async def test_items_that_the_order_does_not_have_count_and_are_flagged(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    await refund(api, amount=None, items=[{"sku": "Z", "amount": "1"}])
    await refund(api, refund_id="r2", amount=None, items=[{"sku": "B", "quantity": 2, "amount": "9.80"}])
    await refund(api, refund_id="r3", amount=None, items=[{"sku": "B", "amount": "0.01"}])
    assert (await state(api))[1] == "10.81"
    assert await flags(api) == {
        "r1": ["unknown_item"],
        "r2": ["quantity_beyond_item"],
        "r3": ["quantity_beyond_item", "amount_beyond_item"],
    }


async def test_a_cancelled_order_has_no_net_and_an_uncancelled_one_what_refunds_leave(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    await refund(api)
    await api.ask("POST", "/v1/orders", ORDER | {"updated_at": "2026-11-23T00:00:00Z", "status": "cancelled"})
    assert await state(api) == ("39.80", "10.00", "0.00", False, "0.00")
    await api.ask("POST", "/v1/orders", ORDER | {"updated_at": "2026-11-24T00:00:00Z"})
    assert await state(api) == ("39.80", "10.00", "29.80", False, "0.00")


async def test_an_amount_finer_than_the_orders_currency_is_refused_or_rounded_when_it_waited(api: Api) -> None:
    """An update of the order may also bring another currency: then all amounts are read anew."""
    assert await refund(api, amount="1.005") == "stored"
    await api.ask("POST", "/v1/orders", ORDER)
    assert (await state(api))[1] == "1.01"
    assert await flags(api) == {"r1": ["rounded"]}
    assert_problem(await api.ask("POST", PATH, REFUND | {"amount": "2.005"}), 422, "body", "amount")
    items = {"refund_id": "r2", "refunded_at": REFUND["refunded_at"], "items": [{"amount": "1"}, {"amount": "0.001"}]}
    assert_problem(await api.ask("POST", PATH, items), 422, "body", "items", 1, "amount")
    dinars = ORDER | {"currency": "KWD", "updated_at": "2026-11-24T00:00:00Z"}
    await api.ask("POST", "/v1/orders", dinars)
    assert await state(api) == ("39.800", "1.005", "38.795", False, "0.000")
    assert await flags(api) == {"r1": []}


async def test_in_a_list_a_bad_refund_is_reported_and_the_others_stand(api: Api) -> None:
    await api.ask("POST", "/v1/orders", ORDER)
    refunds = [
        REFUND,
        REFUND | {"refund_id": ""},
        REFUND | {"refund_id": "r2", "amount": "0.001"},
        REFUND | {"refund_id": "r3"},
        REFUND,
    ]
    results = (await api.ask("POST", PATH, refunds)).json()["results"]
    assert [result.get("status") for result in results] == ["stored", None, None, "stored", "duplicate"]
    assert results[1]["errors"][0]["loc"] == ["body", 1, "refund_id"]
    assert results[2]["errors"][0]["loc"] == ["body", 2, "amount"]
    assert await state(api) == ("39.80", "20.00", "19.80", False, "0.00")


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"amount": None}, ("items",)),
        ({"items": []}, ("items",)),
        ({"amount": "-1"}, ("amount",)),
        ({"amount": "0.00001"}, ("amount",)),
        ({"amount": "1000000000000000000"}, ("amount",)),
        ({"refunded_at": "yesterday"}, ("refunded_at",)),
        ({"refunded_at": "1999-01-01T00:00:00Z"}, ("refunded_at",)),
        ({"currency": "EUR"}, ("currency",)),
        ({"amount": None, "items": [{"quantity": 0, "amount": "1"}]}, ("items", 0, "quantity")),
    ],
)
async def test_a_refund_that_cannot_be_is_refused_by_its_field(
    api: Api, changes: dict[str, Any], loc: tuple[str | int, ...]
) -> None:
    fields = {name: value for name, value in (REFUND | changes).items() if value is not None}
    assert_problem(await api.ask("POST", PATH, fields), 422, "body", *loc)
    assert await api.rows("refund_events") == 0


async def test_a_programme_sees_its_own_refunds_only(api: Api) -> None:
    acme = await api.make("programs", key="acme", name="Acme", currency="EUR")
    await api.ask("POST", "/v1/orders", ORDER)
    await api.ask("POST", PATH, REFUND, bearer=acme["api_key"])
    assert await state(api) == ("39.80", "0.00", "39.80", False, "0.00")
    assert await listed(api) == []
    assert await listed(api, program="acme") == [("r1", "waiting")]
