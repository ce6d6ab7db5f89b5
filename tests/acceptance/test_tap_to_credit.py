"""The main job: a tap on a link becomes a credited order, through the public surface alone."""

import hmac
import json
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import count
from typing import Any

import httpx
import pytest
from tests.support.processes import pause, resume
from tests.support.up import Up
from tests.support.waiting import wait_until

SECRET = "shpss_of_the_tests"
_numbers = count(1)


@dataclass
class Shop:
    """A programme with an influencer, a campaign, a link and codes, and the orders of its customers."""

    up: Up
    program: str
    influencer: str
    rival: str
    campaign: str
    link: dict[str, Any]
    code: str

    def tap(self) -> tuple[str, str]:
        """Click id and visitor."""
        answer = self.up.tap(self.link["slug"])
        token = re.search("click_id=([A-Za-z0-9_-]{56})", answer.headers["location"])
        visitor = re.match("attribution_visitor=([^;]+)", answer.headers["set-cookie"])
        assert token
        assert visitor
        return token[1], visitor[1]

    def order(self, order_id: str | None = None, **fields: Any) -> dict[str, Any]:
        order = {
            "order_id": order_id or f"order-{next(_numbers)}",
            "ordered_at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat(),
            "currency": "EUR",
            "items": [{"sku": "A", "quantity": 1, "amount": "39.80"}],
        }
        return order | fields

    def post(self, order: dict[str, Any]) -> str:
        response = self.up.ask("POST", "/v1/orders", order, params={"program": self.program})
        assert response.status_code == 200, response.text
        status: str = response.json()["status"]
        return status

    def explained(self, order_id: str, source: str = "default") -> dict[str, Any]:
        return self.up.get(f"/v1/orders/{order_id}/attribution", program=self.program, source=source)

    def credited(self, order_id: str, source: str = "default") -> dict[str, Any]:
        """Its explanation, when all that was accepted is judged."""
        self.stats()
        return self.explained(order_id, source)

    def credit(
        self, via: str = "click", influencer: str | None = None, revenue: str = "39.80"
    ) -> list[dict[str, Any]]:
        return [{"influencer_id": influencer or self.influencer, "via": via, "weight": "1", "revenue": revenue}]

    def shopify(self, body: dict[str, Any], *, secret: str = SECRET, topic: str = "orders/create") -> httpx.Response:
        raw = json.dumps(body).encode()
        signed = b64encode(hmac.new(secret.encode(), raw, sha256).digest()).decode()
        return self.up.client.post(
            "/v1/webhooks/shopify",
            params={"program": self.program},
            content=raw,
            headers={"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": signed, "Content-Type": "application/json"},
        )

    def stats(self, **parameters: Any) -> dict[str, Any]:
        """Orders of these tests are a second ahead of their taps."""
        period = {"from": "2020-01-01", "to": "2098-01-01"}
        return self.up.stats(program=self.program, **period, **parameters)


@pytest.fixture
def shop(up: Up) -> Shop:
    key = f"shop-{next(_numbers)}"
    up.make(
        "programs", key=key, name=key, currency="EUR", timezone="Europe/Berlin", webhook_secrets={"shopify": SECRET}
    )
    anna, ben = (up.make("influencers", program=key, name=name)["id"] for name in ("Anna", "Ben"))
    campaign = up.make("campaigns", program=key, name="Winter", windows={"purchase": "P7D"})["id"]
    link = up.make(
        "links",
        program=key,
        destination="https://shop.example/winter",
        influencer_id=anna,
        campaign_id=campaign,
        channel="instagram",
    )
    code = up.make("codes", program=key, code=f"BEN{next(_numbers)}", influencer_id=ben, policy="always")["code"]
    return Shop(up, key, anna, ben, campaign, link, code)


def test_an_order_with_its_click_id_is_credited_and_explained(shop: Shop) -> None:
    token, _ = shop.tap()
    order = shop.order(click_id=token)
    assert shop.post(order) == "stored"
    explained = shop.credited(order["order_id"])
    assert (explained["status"], explained["model"], explained["rule_id"]) == ("attributed", "last_touch", None)
    assert [(touch["click_id"], touch["verdict"]) for touch in explained["touches"]] == [(token, "credited")]
    assert explained["touches"][0]["link_id"] == shop.link["id"]
    assert explained["touches"][0]["campaign_id"] == shop.campaign
    assert explained["credits"] == shop.credit()
    state = shop.up.get(f"/v1/orders/{order['order_id']}", program=shop.program)
    assert (state["status"], state["net"], state["attribution"]) == ("confirmed", "39.80", explained)


def test_an_order_with_its_visitor_only_is_credited(shop: Shop) -> None:
    _, visitor = shop.tap()
    order = shop.order(visitor_id=visitor)
    shop.post(order)
    assert shop.credited(order["order_id"])["credits"] == shop.credit()


def test_an_order_with_a_code_only_is_credited_to_its_owner(shop: Shop) -> None:
    order = shop.order(discount_codes=[f" {shop.code.lower()} "])
    shop.post(order)
    assert shop.credited(order["order_id"])["credits"] == shop.credit("code", shop.rival)


def test_a_model_asked_for_answers_and_stores_nothing(shop: Shop) -> None:
    token, visitor = shop.tap()
    order = shop.order(click_id=token, visitor_id=visitor)
    shop.post(order)
    stored = shop.credited(order["order_id"])
    path = f"/v1/orders/{order['order_id']}/attribution"
    assert shop.up.get(path, program=shop.program, model="linear")["model"] == "linear"
    assert shop.explained(order["order_id"]) == stored


def test_repeats_and_older_versions_change_nothing(shop: Shop) -> None:
    token, _ = shop.tap()
    newer = shop.order(click_id=token, updated_at="2097-01-01T00:00:05Z")
    older = newer | {
        "updated_at": "2097-01-01T00:00:00Z",
        "items": [{"sku": "A", "amount": "10.00"}],
        "click_id": None,
    }
    assert shop.post(newer) == "stored"
    credited = shop.credited(newer["order_id"])
    assert [shop.post(newer), shop.post(older), shop.post(older), shop.post(newer)] == [
        "duplicate",
        "stale",
        "duplicate",
        "duplicate",
    ]
    assert shop.stats()["totals"]["orders"] == 1
    assert shop.explained(newer["order_id"]) == credited
    assert credited["credits"] == shop.credit()


def test_an_order_before_its_click_is_credited_from_the_id_and_ends_the_same(shop: Shop) -> None:
    early, late = shop.order(), shop.order()
    shop.tap()
    valkey = shop.up.part("valkey-server")
    pause(valkey)
    try:
        token, visitor = shop.tap()
        early |= {"click_id": token}
        assert shop.post(early) == "stored"
        wait_until(lambda: shop.explained(early["order_id"])["status"] == "pending", timeout=15)
        assert shop.explained(early["order_id"])["credits"] == shop.credit()
    finally:
        resume(valkey)
    late |= {"click_id": token}
    shop.post(late)
    first, second = (shop.credited(order["order_id"]) for order in (early, late))
    for one in (first, second):
        assert one["status"] == "attributed"
        assert one["credits"] == shop.credit()
    # The orders are not of the same moment.
    assert [touch | {"age": None} for touch in first["touches"]] == [
        touch | {"age": None} for touch in second["touches"]
    ]
    assert visitor


def test_a_forged_or_foreign_click_id_is_ignored_with_its_reason(shop: Shop) -> None:
    token, _ = shop.tap()
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    for click_id, reason in ((forged, "forged_click_id"), ("fb.1.123", "unknown_click_id")):
        order = shop.order(click_id=click_id)
        assert shop.post(order) == "stored"
        explained = shop.credited(order["order_id"])
        assert (explained["status"], explained["reason"]) == ("unattributed", reason)


def shopify_order(number: int, **fields: Any) -> dict[str, Any]:
    """The shape of Shopify's REST Admin order, and fields that we do not know."""
    moment = (datetime.now(UTC) + timedelta(seconds=1)).replace(microsecond=0).isoformat()
    order = {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "name": "#1001",
        "test": False,
        "created_at": moment,
        "updated_at": moment,
        "processed_at": moment,
        "cancelled_at": None,
        "currency": "EUR",
        "financial_status": "paid",
        "subtotal_price": "99.00",
        "total_price": "120.00",
        "total_discounts": "5.00",
        "taxes_included": True,
        "line_items": [
            {
                "id": 1,
                "sku": "A",
                "quantity": 2,
                "price": "20.00",
                "total_discount": "0.00",
                "discount_allocations": [{"amount": "5.00", "discount_application_index": 0}],
                "tax_lines": [{"price": "6.00", "rate": 0.19, "title": "VAT"}],
            },
            {"id": 2, "sku": None, "quantity": 1, "price": "4.80", "discount_allocations": []},
        ],
        "discount_codes": [],
        "note_attributes": [],
        "landing_site": "/",
        "customer": {"id": 207119551, "email": "a@example.com"},
        "shipping_lines": [{"price": "10.00"}],
    }
    return order | fields


def test_shopify_s_orders_are_credited_when_signed_and_nothing_is_stored_when_not(shop: Shop) -> None:
    token, _ = shop.tap()
    by_note = shopify_order(5001, note_attributes=[{"name": "click_id", "value": token}])
    by_landing = shopify_order(5002, landing_site=f"/winter?utm=1&click_id={token}")
    for order in (by_note, by_landing):
        assert shop.shopify(order).status_code == 200
        assert shop.shopify(order, topic="orders/paid").json()["status"] == "duplicate"
        explained = shop.credited(str(order["id"]), source="shopify")
        assert explained["credits"] == shop.credit()
    assert shop.shopify(shopify_order(5003), secret="another").status_code == 401
    missing = shop.up.ask("GET", "/v1/orders/5003", params={"program": shop.program, "source": "shopify"})
    assert missing.status_code == 404


def test_imported_clicks_are_idempotent_and_credit_like_taps(shop: Shop) -> None:
    clicked_at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    click = {"slug": shop.link["slug"], "clicked_at": clicked_at, "external_id": "e1", "visitor_id": "imported-1"}
    bot = {"slug": shop.link["slug"], "clicked_at": clicked_at, "external_id": "e2", "user_agent": "Twitterbot/1.0"}
    bad = {"slug": "no-such-slug", "clicked_at": clicked_at}
    answers = [
        shop.up.ask("POST", "/v1/clicks", [click, bot, bad], params={"program": shop.program}) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    answer = answers[0].json()
    assert (answer["accepted"], [rejected["index"] for rejected in answer["rejected"]]) == (2, [2])
    totals = shop.stats()["totals"]
    assert (totals["clicks"], totals["bot_clicks"]) == (1, 1)
    order = shop.order(visitor_id="imported-1")
    shop.post(order)
    assert shop.credited(order["order_id"])["credits"] == shop.credit()


def test_stats_count_by_every_dimension_and_add_up(shop: Shop) -> None:
    tokens = [shop.tap()[0] for _ in range(4)]
    shop.up.tap(shop.link["slug"], User_Agent="Twitterbot/1.0")
    for order in (shop.order(click_id=tokens[0]), shop.order(discount_codes=[shop.code]), shop.order()):
        shop.post(order)
        shop.credited(order["order_id"])
    whole = shop.stats()
    assert whole["rows"] == [whole["totals"]]
    assert whole["totals"]["clicks"] == 4
    assert whole["totals"]["bot_clicks"] == 1
    assert whole["totals"]["unique_visitors"] == 4
    assert whole["totals"]["orders"] == 3
    assert whole["totals"]["revenue"] == "119.40"
    assert Decimal(whole["totals"]["conversion_rate"]) == Decimal("0.75")
    assert set(whole["definitions"]) == set(whole["totals"])
    today = datetime.now(UTC).date().isoformat()
    expected = {
        "influencer": {shop.influencer: (4, 1), shop.rival: (0, 1), None: (0, 1)},
        "campaign": {shop.campaign: (4, 1), None: (0, 2)},
        "channel": {"instagram": (4, 1), None: (0, 2)},
        "link": {shop.link["id"]: (4, 1), None: (0, 2)},
        "code": {shop.code: (0, 1), None: (4, 2)},
    }
    for dimension, counts in expected.items():
        answer = shop.stats(group_by=dimension)
        assert {row[dimension]: (row["clicks"], row["orders"]) for row in answer["rows"]} == counts
        assert answer["totals"] == whole["totals"]
    days = shop.stats(group_by="day")
    assert sum(row["clicks"] for row in days["rows"]) == 4
    assert min(row["day"] for row in days["rows"]) >= today
    mine = shop.stats(influencer=shop.influencer)
    assert (mine["totals"]["clicks"], mine["totals"]["revenue"]) == (4, "39.80")
