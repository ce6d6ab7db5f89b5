"""Bad input on every endpoint: the right status, a problem that names the field, and nothing stored."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from tests.support.api import ADMIN_KEY, Api, assert_problem

TIME = "2026-11-20T10:00:00Z"
Body = dict[str, Any]
Values = tuple[Any, ...]

GOOD: dict[str, Body] = {
    "/v1/programs": {"key": "acme", "name": "Acme", "currency": "EUR"},
    "/v1/influencers": {"name": "Anna"},
    "/v1/campaigns": {"name": "Winter"},
    "/v1/posts": {"influencer_id": "1", "channel": "tiktok"},
    "/v1/links": {"destination": "https://shop.example"},
    "/v1/codes": {"code": "ANNA15", "influencer_id": "1"},
    "/v1/rules": {"effective_from": TIME, "model": "linear", "windows": {"default": "P30D"}},
    "/v1/orders": {"order_id": "1", "ordered_at": TIME, "currency": "EUR", "amount": "1.00"},
}
OPTIONAL = {"windows", "amount"}
TIMES = {
    "/v1/campaigns": ("starts_at", "ends_at", "effective_from"),
    "/v1/posts": ("published_at",),
    "/v1/links": ("starts_at", "expires_at"),
    "/v1/codes": ("starts_at", "ends_at"),
    "/v1/rules": ("effective_from",),
    "/v1/orders": ("ordered_at", "updated_at"),
}
ABSURD_TIMES: Values = (
    "",
    "now",
    "2026-11-20",
    "2026-11-20T10:00:00",
    "0000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
)
ABSURD_TIMES += ("1850-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-20T10:00:00+99:00")
TEXTS = {
    "/v1/programs": ("key", "name"),
    "/v1/influencers": ("name", "external_id", "email"),
    "/v1/campaigns": ("name", "external_id"),
    "/v1/posts": ("content_type", "url", "influencer_id"),
    "/v1/links": ("slug", "destination", "external_id", "campaign_id"),
    "/v1/codes": ("code", "influencer_id"),
    "/v1/orders": ("order_id", "source", "customer_id", "visitor_id"),
}
ENUMS = {
    "/v1/influencers": ("status",),
    "/v1/posts": ("channel",),
    "/v1/links": ("channel", "forward_query", "status"),
    "/v1/codes": ("policy",),
    "/v1/rules": ("model",),
    "/v1/orders": ("status",),
}
AMOUNTS = {
    "/v1/programs": ("gross_margin",),
    "/v1/campaigns": ("budget",),
    "/v1/orders": ("amount", "discount"),
}
BAD_AMOUNTS: Values = ("-1", "NaN", "Infinity", "", "1,50", "0x10", "1e3", "9" * 60, -1, True, [], {})
RAW = (
    (b"", 400),
    (b"{", 400),
    (b"not json", 400),
    (b'{"amount": NaN}', 400),
    (b'{"amount": -Infinity}', 400),
    (b'{"name": "\xff\xfe"}', 400),
    (b'\xef\xbb\xbf{"name": "x"}', 400),
    (b'{"name": "x", "name": "y"}', 400),
    (b"[" * 200_000, 400),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
    (b'{"amount": ' + b"9" * 10_000 + b"}", 400),
    (b"null", 422),
    (b"7", 422),
    (b'"text"', 422),
)
PATCHED = ("/v1/influencers/1", "/v1/campaigns/1", "/v1/links/1")
TABLES = ("programs", "influencers", "campaigns", "posts", "links", "codes", "rules", "conversion_events")


def fields(table: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((path, field) for path, names in table.items() for field in names)


@pytest.fixture
async def bad(api: Api) -> AsyncIterator[Api]:
    """With one influencer, campaign and link to point at; afterwards there must be nothing more."""
    await api.make("influencers", name="Anna")
    await api.make("campaigns", name="Winter")
    await api.make("links", destination="https://shop.example", slug="winter")
    before = [await api.rows(table) for table in TABLES]
    yield api
    assert [await api.rows(table) for table in TABLES] == before


async def post_raw(api: Api, path: str, raw: bytes, method: str = "POST", **headers: str) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | headers
    return await api.ask(method, path, content=raw, headers=headers)


async def test_missing_fields_are_named(bad: Api) -> None:
    for path, body in GOOD.items():
        for field in body.keys() - OPTIONAL:
            without = {name: value for name, value in body.items() if name != field}
            assert_problem(await bad.ask("POST", path, without), 422, "body", field)
    assert_problem(await bad.ask("POST", "/v1/orders", GOOD["/v1/orders"] | {"amount": None}), 422, "body", "items")


async def test_unknown_fields_are_named(bad: Api) -> None:
    for path, body in GOOD.items():
        for field in ("nope", "id", "created_at", "", "__proto__", "x" * 5_000):
            assert_problem(await bad.ask("POST", path, body | {field: 1}), 422, "body", field[:200])
    for path in PATCHED:
        assert_problem(await bad.ask("PATCH", path, {"nope": 1}), 422, "body", "nope")


async def test_wrong_types_are_named(bad: Api) -> None:
    for path, body in GOOD.items():
        for field in body:
            wrong: Values = ([], True) if field in OPTIONAL else ([], {"a": [1]}, 7, True)
            for value in wrong:
                response = await bad.ask("POST", path, body | {field: value})
                assert_problem(response, 422)
                assert response.json()["errors"][0]["loc"][:2] == ["body", field]


async def test_nulls_are_refused_where_something_must_be_said(bad: Api) -> None:
    for path, body in GOOD.items():
        for field in body.keys() - OPTIONAL:
            assert_problem(await bad.ask("POST", path, body | {field: None}), 422, "body", field)
    for path, field in (("/v1/influencers/1", "name"), ("/v1/links/1", "destination"), ("/v1/links/1", "status")):
        assert_problem(await bad.ask("PATCH", path, {field: None}), 422, "body", field)


async def test_empty_blank_and_unprintable_texts_are_named(bad: Api) -> None:
    for path, field in fields(TEXTS):
        for text in ("", " ", "a\nb", "a\0b", "\ud800", "x" * 5_000):
            body = GOOD[path] | {field: text}
            assert_problem(await bad.ask("POST", path, body), 422, "body", field)


async def test_values_outside_their_list_are_named(bad: Api) -> None:
    for path, field in fields(ENUMS):
        values: Values = ("", "nope", "ACTIVE", 1, [])
        for value in values:
            assert_problem(await bad.ask("POST", path, GOOD[path] | {field: value}), 422, "body", field)


async def test_absurd_times_are_named(bad: Api) -> None:
    for path, field in fields(TIMES):
        values: Values = (*ABSURD_TIMES, 0, 1_700_000_000, 1.5, True, {})
        for value in values:
            body = GOOD[path] | {field: value}
            assert_problem(await bad.ask("POST", path, body), 422, "body", field)


async def test_what_is_no_money_is_named(bad: Api) -> None:
    for path, field in fields(AMOUNTS):
        for value in BAD_AMOUNTS:
            body = GOOD[path] | {field: value}
            assert_problem(await bad.ask("POST", path, body), 422, "body", field)
    order = GOOD["/v1/orders"]
    for amount in ("0.001", "1e-3", "1e400000"):
        raw = json.dumps(order).replace('"1.00"', amount).encode()
        assert_problem(await post_raw(bad, "/v1/orders", raw), 422, "body", "amount")
    for currency in ("", "eur", "EURO", "XXX", "XAU", "ZZZ", "É" * 3):
        body = order | {"currency": currency}
        assert_problem(await bad.ask("POST", "/v1/orders", body), 422, "body", "currency")


async def test_bad_items_codes_and_lists_are_named(bad: Api) -> None:
    order = {name: value for name, value in GOOD["/v1/orders"].items() if name != "amount"}
    items: tuple[tuple[object, tuple[str | int, ...]], ...] = (
        ({}, ("items", 0, "amount")),
        ({"amount": "-1"}, ("items", 0, "amount")),
        ({"amount": "1", "quantity": 0}, ("items", 0, "quantity")),
        ({"amount": "1", "quantity": 1.5}, ("items", 0, "quantity")),
        ({"amount": "1", "quantity": "1"}, ("items", 0, "quantity")),
        ({"amount": "1", "quantity": 10**30}, ("items", 0, "quantity")),
        ({"amount": "1", "price": "1"}, ("items", 0, "price")),
        ("x", ("items", 0)),
    )
    for item, loc in items:
        assert_problem(await bad.ask("POST", "/v1/orders", order | {"items": [item]}), 422, "body", *loc)
    lists: tuple[tuple[object, tuple[str | int, ...]], ...] = (
        ("ANNA15", ("discount_codes",)),
        (["a"] * 51, ("discount_codes",)),
        (["a", "A\x00B"], ("discount_codes", 1)),
        ([7], ("discount_codes", 0)),
    )
    for codes, loc in lists:
        body = GOOD["/v1/orders"] | {"discount_codes": codes}
        assert_problem(await bad.ask("POST", "/v1/orders", body), 422, "body", *loc)


async def test_bodies_that_do_not_parse_are_400(bad: Api) -> None:
    for path in GOOD:
        for raw, status in RAW:
            assert_problem(await post_raw(bad, path, raw), status)
    for raw, status in RAW:
        assert_problem(await post_raw(bad, "/v1/links/1", raw, "PATCH"), status)
        assert_problem(await post_raw(bad, "/v1/links/bulk", raw), status)
        assert_problem(await post_raw(bad, "/v1/clicks", raw), status)


async def test_other_content_types_are_415(bad: Api) -> None:
    raw = json.dumps(GOOD["/v1/influencers"]).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json", ";"):
        assert_problem(await post_raw(bad, "/v1/influencers", raw, **{"Content-Type": content_type}), 415)
    assert_problem(await bad.ask("POST", "/v1/influencers", content=raw), 415)


async def test_json_types_with_parameters_are_read(api: Api) -> None:
    raw = json.dumps(GOOD["/v1/influencers"]).encode()
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"):
        response = await post_raw(api, "/v1/influencers", raw, **{"Content-Type": content_type})
        assert response.status_code == 201


async def test_bodies_over_8_mib_are_413_with_and_without_a_length(bad: Api) -> None:
    raw = b'{"name": "' + b"x" * 10_000_000 + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 65_536):
            yield raw[start : start + 65_536]

    for path in ("/v1/influencers", "/v1/orders", "/v1/clicks", "/v1/links/bulk"):
        assert_problem(await post_raw(bad, path, raw), 413)
        response = await bad.client.post(
            path,
            content=in_pieces(),
            headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"},
        )
        assert_problem(response, 413)


async def test_ids_of_nothing_are_404(bad: Api) -> None:
    for noun in ("programs", "influencers", "campaigns", "posts", "links", "codes", "rules"):
        for wrong in ("0", "999999", "-1", "x", "1.0", "9" * 40, "%00", "%FF", "1%2F2", "1;DROP"):
            assert_problem(await bad.ask("GET", f"/v1/{noun}/{wrong}"), 404)
            if noun not in ("programs", "rules"):
                assert_problem(await bad.ask("PATCH", f"/v1/{noun}/{wrong}", {"external_id": "e"}), 404)
                assert_problem(await bad.ask("DELETE", f"/v1/{noun}/{wrong}"), 404)


async def test_unknown_parameters_are_named_everywhere(bad: Api) -> None:
    for path, body in GOOD.items():
        assert_problem(await bad.ask("POST", path, body, params={"verbose": "1"}), 422, "query", "verbose")
    for path in ("/v1/orders/1", "/v1/links/1", "/v1/stats", "/v1/programs"):
        assert_problem(await bad.ask("GET", path, params={"verbose": "1"}), 422, "query", "verbose")
    assert_problem(await bad.ask("DELETE", "/v1/links/1", params={"force": "1"}), 422, "query", "force")
    assert (await bad.ask("GET", "/v1/links/1")).json()["status"] == "active"
    for source in ("", "a\0b", "x" * 256):
        assert_problem(await bad.ask("GET", "/v1/orders/1", params={"source": source}), 422, "query", "source")
