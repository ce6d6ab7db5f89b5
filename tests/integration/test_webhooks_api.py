"""Shopify's webhooks: proved by their signature, or nothing is stored."""

from typing import Any

import httpx
import orjson
from tests.support.api import Api, assert_problem

from attribution.api.webhooks import signature

SECRET = "hush"
ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "created_at": "2026-11-20T10:00:00+01:00",
    "updated_at": "2026-11-20T10:00:00+01:00",
    "cancelled_at": None,
    "currency": "EUR",
    "total_discounts": "4.20",
    "discount_codes": [{"code": "ANNA15", "amount": "4.20", "type": "percentage"}],
    "note_attributes": [{"name": "click_id", "value": "T"}],
    "landing_site": "/",
    "customer": {"id": 7},
    "line_items": [{"price": "44.00", "quantity": 1, "discount_allocations": [{"amount": "4.20"}]}],
}


async def deliver(api: Api, raw: bytes, *, secret: str = SECRET, **headers: str) -> httpx.Response:
    signed = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signature(secret, raw)}
    return await api.client.post(
        "/v1/webhooks/shopify",
        content=raw,
        params={"program": "acme"},
        headers={"Content-Type": "application/json"} | signed | headers,
    )


async def make_acme(api: Api, **fields: Any) -> dict[str, Any]:
    secrets = {"shopify": SECRET}
    return await api.make("programs", key="acme", name="Acme", currency="EUR", webhook_secrets=secrets, **fields)


async def test_a_signed_order_is_stored(api: Api) -> None:
    await make_acme(api)
    raw = orjson.dumps(ORDER)
    first = await deliver(api, raw)
    assert (first.status_code, first.json()) == (
        200,
        {"status": "stored", "order_id": "820982911946154508"},
    )
    assert (await deliver(api, raw, **{"X-Shopify-Topic": "orders/paid"})).json()["status"] == "duplicate"
    order = await api.ask("GET", "/v1/orders/820982911946154508", params={"source": "shopify", "program": "acme"})
    assert order.json()["net"] == "39.80"


async def test_updates_cancellations_and_refunds_fold_into_the_order(api: Api) -> None:
    """Whichever webhook is first, and whichever is lost: an order tells its refunds again."""
    await make_acme(api)
    line = {"quantity": 1, "subtotal": "10.00", "line_item": {"sku": None}}
    refund = {"id": 5, "created_at": "2026-11-21T10:00:00Z", "refund_line_items": [line]}
    shipping = {"id": 6, "created_at": "2026-11-21T10:00:00Z", "refund_line_items": []}

    async def send(topic: str, body: dict[str, Any]) -> tuple[str, str, str, bool]:
        answer = await deliver(api, orjson.dumps(body), **{"X-Shopify-Topic": topic})
        assert answer.status_code == 200, answer.text
        query = {"source": "shopify", "program": "acme"}
        state = (await api.ask("GET", f"/v1/orders/{ORDER['id']}", params=query)).json()
        return answer.json()["status"], state.get("status"), state.get("net"), state.get("over_refund")

    assert (await send("refunds/create", refund | {"order_id": ORDER["id"]}))[0] == "stored"
    assert await send("orders/create", ORDER) == ("stored", "confirmed", "29.80", False)
    updated = ORDER | {"updated_at": "2026-11-21T11:00:00Z", "refunds": [refund, shipping]}
    assert await send("orders/updated", updated) == ("stored", "confirmed", "29.80", False)
    cancelled = updated | {"updated_at": "2026-11-22T11:00:00Z", "cancelled_at": "2026-11-22T11:00:00Z"}
    assert await send("orders/cancelled", cancelled) == ("stored", "cancelled", "0.00", False)
    assert await send("orders/updated", cancelled) == ("duplicate", "cancelled", "0.00", False)
    assert await send("orders/create", ORDER) == ("duplicate", "cancelled", "0.00", False)
    assert await api.rows("refund_events") == 2


async def test_an_order_whose_prices_include_tax_counts_without_it_if_wished(api: Api) -> None:
    """So do its refunds, which do not say that they include it: whichever comes first. All of them leave nothing."""
    program = await make_acme(api, deduct_included_tax=True)
    lines = [
        {"price": "60.00", "quantity": 2, "sku": "A", "discount_allocations": [{"amount": "1.00"}],
         "tax_lines": [{"price": "19.00"}]},
        {"price": "10.70", "quantity": 1, "sku": "B", "tax_lines": [{"price": "0.70"}]},
    ]  # fmt: skip
    order = ORDER | {"taxes_included": True, "line_items": lines}
    said = (("A", "59.50", 9.5), ("A", "59.50", 9.500000000000002), ("B", "10.70", 0.7))
    refunds = [
        {
            "id": number,
            "created_at": "2026-11-21T10:00:00Z",
            "refund_line_items": [{"quantity": 1, "subtotal": subtotal, "total_tax": tax, "line_item": {"sku": sku}}],
        }
        for number, (sku, subtotal, tax) in enumerate(said, 1)
    ]
    query = {"source": "shopify", "program": "acme"}

    async def send(topic: str, body: dict[str, Any]) -> tuple[str, str, list[str], list[str]]:
        answer = await deliver(api, orjson.dumps(body), **{"X-Shopify-Topic": topic})
        assert answer.status_code == 200, answer.text
        state = (await api.ask("GET", f"/v1/orders/{ORDER['id']}", params=query)).json()
        told = state.get("refunds", [])
        flags = [flag for refund in told for flag in refund["flags"]]
        return state.get("gross"), state.get("net"), [refund["amount"] for refund in told], flags

    await send("refunds/create", refunds[0] | {"order_id": ORDER["id"]})
    assert await send("orders/create", order) == ("110.00", "60.00", ["50.00"], [])
    await send("refunds/create", refunds[1] | {"order_id": ORDER["id"]})
    updated = order | {"updated_at": "2026-11-21T11:00:00Z", "refunds": refunds}
    assert await send("orders/updated", updated) == ("110.00", "0.00", ["50.00", "50.00", "10.00"], [])
    listed = (await api.ask("GET", "/v1/refunds", params={"program": "acme"})).json()["data"]
    assert [refund["amount"] for refund in listed] == ["50", "50", "10"]
    assert listed[0]["items"] == [{"sku": "A", "quantity": 1, "amount": "50"}]
    excluded = order | {"updated_at": "2026-11-21T12:00:00Z", "refunds": refunds, "taxes_included": False}
    assert await send("orders/updated", excluded) == ("129.70", "0.00", ["59.50", "59.50", "10.70"], [])
    changed = await api.ask("PATCH", f"/v1/programs/{program['id']}", {"deduct_included_tax": False})
    assert changed.json()["deduct_included_tax"] is False
    undeducted = order | {"updated_at": "2026-11-21T13:00:00Z"}
    assert await send("orders/updated", undeducted) == ("129.70", "0.00", ["59.50", "59.50", "10.70"], [])


async def test_the_signature_is_over_the_raw_bytes(api: Api) -> None:
    await make_acme(api)
    raw = b'{ "unknown\\u0000": "\\ud800",\n' + orjson.dumps(ORDER)[1:]
    assert (await deliver(api, raw)).status_code == 200


async def test_without_a_good_signature_nothing_is_stored(api: Api) -> None:
    await make_acme(api)
    await api.make("programs", key="bare", name="Without secret", currency="EUR")
    raw = orjson.dumps(ORDER)
    for headers in ({"X-Shopify-Hmac-Sha256": ""}, {"X-Shopify-Hmac-Sha256": "AAAA"}):
        assert_problem(await deliver(api, raw, **headers), 401)
    assert_problem(await deliver(api, raw, **{"X-Shopify-Hmac-Sha256": signature(SECRET, raw + b" ")}), 401)
    assert_problem(await deliver(api, raw, secret="other"), 401)
    for parameters in ({"program": "bare"}, {"program": "nobody"}, {}):
        response = await api.client.post(
            "/v1/webhooks/shopify",
            content=raw,
            params=parameters,
            headers={"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": signature("", raw)},
        )
        assert_problem(response, 401)
    assert_problem(await api.client.post("/v1/webhooks/shopify", content=b"{"), 401)
    assert await api.rows("conversion_events") == 0


async def test_a_changed_secret_holds_at_once(api: Api) -> None:
    acme = await make_acme(api)
    raw = orjson.dumps(ORDER)
    assert (await deliver(api, raw)).status_code == 200
    path = f"/v1/programs/{acme['id']}"
    await api.ask("PATCH", path, {"webhook_secrets": {"shopify": "new"}})
    assert_problem(await deliver(api, raw), 401)
    assert (await deliver(api, raw, secret="new")).status_code == 200
    await api.ask("PATCH", path, {"webhook_secrets": {"shopify": None}})
    assert_problem(await deliver(api, raw, secret="new"), 401)


async def test_what_concerns_no_one_is_answered_and_not_stored(api: Api) -> None:
    await make_acme(api)
    other_topic = await deliver(api, b"{}", **{"X-Shopify-Topic": "products/update"})
    assert (other_topic.status_code, other_topic.json()["status"]) == (200, "ignored")
    trial = await deliver(api, orjson.dumps(ORDER | {"test": True}))
    assert (trial.status_code, trial.json()["status"]) == (200, "ignored")
    assert await api.rows("conversion_events") == 0


async def test_a_signed_body_that_is_no_order_is_refused(api: Api) -> None:
    await make_acme(api)
    assert_problem(await deliver(api, b"{"), 400)
    assert_problem(await deliver(api, b"\xff"), 400)
    assert_problem(await deliver(api, b"[" * 100_000), 400)
    assert_problem(await deliver(api, b"x" * 9_000_000), 413)
    assert_problem(await deliver(api, orjson.dumps(ORDER | {"currency": None})), 422, "body", "currency")
    without = {name: value for name, value in ORDER.items() if name != "created_at"}
    assert_problem(await deliver(api, orjson.dumps(without)), 422, "body", "created_at")
    assert await api.rows("conversion_events") == 0
