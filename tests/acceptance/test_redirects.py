"""Every row of the contract's redirect table, from outside."""

import random
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.support.up import Up
from tests.support.waiting import wait_until

SHOP = "https://shop.example/p"
TOKEN = "[A-Za-z0-9_-]{56}"
VISITOR = re.compile(
    r"attribution_visitor=[A-Za-z0-9_-]{22}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax(; Secure)?"
)
PREFETCHES = {"Sec_Purpose": "prefetch;prerender", "Purpose": "prefetch", "X_Purpose": "preview", "X_Moz": "prefetch"}
PAST = (datetime.now(UTC) - timedelta(days=1)).isoformat()
FUTURE = (datetime.now(UTC) + timedelta(days=1)).isoformat()
_numbers = count(1)


def make_link(up: Up, destination: str = SHOP, **fields: Any) -> str:
    slug = f"slug{next(_numbers)}"
    up.make("links", program="main", slug=slug, destination=destination, **fields)
    return slug


@pytest.fixture(scope="module")
def slug(up: Up) -> str:
    return make_link(up)


def clicks(up: Up, slug: str) -> tuple[int, int]:
    """Of humans and of bots, that the link has had up to now."""
    totals = up.stats(program="main", link=_link(up, slug))["totals"]
    return totals["clicks"], totals["bot_clicks"]


def _link(up: Up, slug: str) -> str:
    links = up.get("/v1/links", program="main", limit=1000)["data"]
    return next(str(link["id"]) for link in links if link["slug"] == slug)


def raw(up: Up, request: bytes) -> bytes:
    """All that the server says until it closes, or is silent for a moment."""
    with socket.create_connection(("127.0.0.1", up.port), timeout=3) as connection:
        answer = b""
        try:
            connection.sendall(request)
            while data := connection.recv(65536):
                answer += data
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return answer


def get(up: Up, path: bytes, headers: bytes = b"") -> bytes:
    return raw(up, b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b\r\n" % (path, headers))


def test_a_live_link_answers_302_with_click_id_and_cookie_and_is_counted(up: Up) -> None:
    slug = make_link(up, f"{SHOP}?utm=1#top")
    answer = up.tap(slug)
    assert answer.status_code == 302
    assert answer.content == b""
    assert re.fullmatch(re.escape(f"{SHOP}?utm=1&click_id=") + TOKEN + "#top", answer.headers["location"])
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert "date" in answer.headers
    match = VISITOR.fullmatch(answer.headers["set-cookie"])
    assert match is not None
    assert match[1] is None
    assert clicks(up, slug) == (1, 0)


def test_the_cookie_is_secure_but_on_plain_loopback_and_a_valid_one_stays(up: Up, slug: str) -> None:
    assert up.tap(slug, Host="go.brand.example").headers["set-cookie"].endswith("; Secure")
    assert "set-cookie" not in up.tap(slug, Cookie="a=b; attribution_visitor=abcdefghijklmnopqrstuv").headers
    assert "set-cookie" in up.tap(slug, Cookie="attribution_visitor=no%20visitor").headers
    assert "set-cookie" not in up.tap(slug, Sec_GPC="1").headers


def test_head_and_prefetch_are_never_counted(up: Up) -> None:
    slug = make_link(up)
    head = up.tap(slug, "HEAD")
    assert (head.status_code, head.headers["location"]) == (302, SHOP)
    assert "set-cookie" not in head.headers
    for name, value in PREFETCHES.items():
        answer = up.tap(slug, **{name: value})
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "private, no-store")
    assert clicks(up, slug) == (0, 0)


def test_a_bot_is_redirected_with_click_id_and_without_cookie_and_counted_apart(up: Up) -> None:
    slug = make_link(up)
    answer = up.tap(slug, User_Agent="Twitterbot/1.0")
    assert answer.status_code == 302
    assert "click_id=" in answer.headers["location"]
    assert "set-cookie" not in answer.headers
    assert "set-cookie" in up.tap(slug, User_Agent="").headers
    assert clicks(up, slug) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "answer", "location"),
    [
        ({"starts_at": FUTURE}, 404, None),
        ({"starts_at": FUTURE, "fallback_url": "https://a.example/"}, 404, None),
        ({"expires_at": PAST}, 410, None),
        ({"expires_at": PAST, "fallback_url": "https://a.example/x?y"}, 302, "https://a.example/x?y"),
        ({"status": "disabled"}, 410, None),
        ({"status": "disabled", "fallback_url": "https://a.example/"}, 302, "https://a.example/"),
    ],
)
def test_a_link_that_is_not_live_answers_by_the_table_and_is_not_counted(
    fields: dict[str, Any], answer: int, location: str | None, up: Up
) -> None:
    slug = make_link(up, **fields)
    for method in ("GET", "HEAD"):
        got = up.tap(f"{slug}?a=1", method)
        assert (got.status_code, got.headers.get("location")) == (answer, location)
        assert "set-cookie" not in got.headers
        assert got.headers["cache-control"] == "private, no-store"
    assert clicks(up, slug) == (0, 0)


def test_unknown_slugs_and_methods_are_told_so(up: Up, slug: str) -> None:
    assert up.tap("no-such-slug").status_code == 404
    assert up.tap("").status_code == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = up.tap(slug, method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_what_the_visitor_sent_is_forwarded_but_never_what_is_reserved(up: Up) -> None:
    slug = make_link(up, f"{SHOP}?utm=1&click_id=old")
    query = "a=1&utm=2&click_id=evil&CLICK_ID=evil&cl%69ck_id=evil&b=%20x"
    location = up.tap(f"{slug}?{query}").headers["location"]
    assert re.fullmatch(re.escape(f"{SHOP}?utm=1&a=1&b=%20x&click_id=") + TOKEN, location)
    silent = make_link(up, forward_query="none")
    assert re.fullmatch(re.escape(f"{SHOP}?click_id=") + TOKEN, up.tap(f"{silent}?a=1").headers["location"])
    assert len(up.tap(f"{slug}?long={'x' * 9000}").headers["location"]) <= 8192


def test_an_edit_is_seen_within_a_second(up: Up) -> None:
    slug = make_link(up)
    link = _link(up, slug)
    assert up.tap(slug, "HEAD").headers["location"] == SHOP
    for number in range(3):
        up.ask("PATCH", f"/v1/links/{link}", {"destination": f"{SHOP}/{number}"}, params={"program": "main"})
        edited = time.monotonic()
        wait_until(lambda: up.tap(slug, "HEAD").headers["location"] == f"{SHOP}/{number}")  # noqa: B023
        assert time.monotonic() - edited < 1
    up.ask("DELETE", f"/v1/links/{link}", params={"program": "main"})
    wait_until(lambda: up.tap(slug).status_code == 410, timeout=1)


def test_a_slug_that_was_unknown_is_live_at_once_when_it_is_made(up: Up) -> None:
    slug = f"slug{next(_numbers)}"
    assert up.tap(slug).status_code == 404
    up.make("links", program="main", slug=slug, destination=SHOP)
    wait_until(lambda: up.tap(slug).status_code == 302, timeout=1)


def test_odd_paths_never_lead_elsewhere(up: Up, slug: str) -> None:
    name = slug.encode()
    encoded = b"".join(b"%%%02x" % byte for byte in name)
    inside = [b"//" + name, b"/" + name + b"/", b"/" + encoded, b"/%2e%2e/" + name]
    for path in (*inside, b"/\\evil.example", b"//evil.example/" + name):
        answer = get(up, path)
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 302")), path
        assert b"evil" not in answer


def test_a_head_of_70_kb_is_refused_and_the_connection_closed(up: Up, slug: str) -> None:
    filler = b"x" * 70_000
    for request in (
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\nX-Filler: %b\r\n\r\n" % (slug.encode(), filler),
        b"GET /%b?%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (slug.encode(), filler),
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\nX-Endless: %b" % (slug.encode(), filler),
    ):
        assert raw(up, request).startswith(b"HTTP/1.1 431 ")


def test_random_bytes_anywhere_get_an_answer_and_never_kill_the_server(up: Up, slug: str) -> None:
    chance = random.Random(20261120)  # noqa: S311
    servers = up.parts("serve-worker")
    for _ in range(60):
        word, line = (chance.randbytes(40).translate(None, unwanted) for unwanted in (b"\r\n \0", b"\r\n\0"))
        headers = b"User-Agent: %b\r\nCookie: %b\r\nReferer: %b\r\n" % (line, line, line)
        for answer in (get(up, word), get(up, b"/" + word), get(up, b"/%b?%b" % (slug.encode(), word), headers)):
            assert answer.startswith(b"HTTP/1.1 ")
    for _ in range(10):
        raw(up, chance.randbytes(200) + b"\r\n\r\n")
    assert up.tap(slug).status_code == 302
    assert up.parts("serve-worker") == servers


def test_reserved_names_are_no_links(up: Up) -> None:
    assert up.tap("healthz").status_code == 200
    ready = up.tap("readyz")
    assert ready.status_code == 200
    assert ready.json()["dependencies"] == {"database": "ok", "redis": "ok", "journal": "ok"}
    assert up.tap("docs").headers["content-type"].startswith("text/html")
    assert up.tap("openapi.json").json()["openapi"]
    assert up.tap("robots.txt").status_code in (200, 404)
    assert "attribution_redirects_total" in up.tap("metrics").text
    for name in ("healthz", "docs", "v1"):
        response = up.ask("POST", "/v1/links", {"program": "main", "slug": name, "destination": SHOP})
        assert response.status_code == 422
