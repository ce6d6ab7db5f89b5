"""One test per row and rule of the contract's redirect table."""

from datetime import timedelta

import pytest
from tests.redirecting import BOT, NOW, NOW_US, VISITOR, ask, is_ours, make_link

from attribution.domain.clicks import AgentClass, Channel
from attribution.domain.links import Link
from attribution.redirect.decision import Outcome

LINK = make_link()
LATER = NOW + timedelta(microseconds=1)
COOKIE = (b"cookie", b"attribution_visitor=" + VISITOR)
GPC = (b"sec-gpc", b"1")
PREFETCH = (b"sec-purpose", b"prefetch")


def test_live_link() -> None:
    """A tap on a live link is sent on with a click id of ours and recorded."""
    tap = ask(LINK)
    assert (tap.answer.outcome, tap.status) == (Outcome.LIVE, 302)
    assert tap.location == b"https://shop.example/p?click_id=" + tap.token
    assert is_ours(tap.token.decode(), tap.click)


def test_live_headers() -> None:
    """A live answer is not cached, not indexed, and has an empty body."""
    headers = ask(LINK).headers
    assert headers[b"cache-control"] == b"private, no-store"
    assert headers[b"x-robots-tag"] == b"noindex"
    assert headers[b"content-length"] == b"0"
    assert b"date" not in headers


def test_the_record_says_what_happened() -> None:
    """A click's record has the link's part, the moment, the visitor and where they came from."""
    tap = ask(LINK, COOKIE, (b"referer", b"https://L.Instagram.com/?u=1"), query=b"sub1=a&sub5=e")
    click = tap.click
    assert (click.program_id, click.link_id, click.influencer_id, click.channel) == (
        3,
        5,
        7,
        Channel.INSTAGRAM,
    )
    assert (click.campaign_id, click.post_id, click.clicked_at_us) == (None, None, NOW_US)
    assert (click.visitor_id, click.ip) == (VISITOR.decode(), "203.0.113.0")
    assert (click.referrer_host, click.subs) == ("l.instagram.com", ("a", None, None, None, "e"))
    assert click.agent_class is AgentClass.BROWSER


def test_new_visitor_gets_a_cookie() -> None:
    """A browser without a visitor gets one, recorded with the click."""
    tap = ask(LINK)
    visitor = (tap.click.visitor_id or "").encode()
    assert len(visitor) == 22
    assert tap.headers[b"set-cookie"] == (
        b"attribution_visitor=" + visitor + b"; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"
    )


@pytest.mark.parametrize("host", [b"localhost", b"localhost:8000", b"127.0.0.1:8000", b"[::1]:8000", b"[::1]"])
def test_cookie_on_plain_loopback(host: bytes) -> None:
    """On plain loopback the cookie is not Secure, so that trying it out works."""
    cookie = ask(LINK, host=host).headers[b"set-cookie"]
    assert cookie.endswith(b"; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax")


@pytest.mark.parametrize("host", [b"localhost.evil.example", b"127.0.0.1.evil.example", b"", b"10.0.0.1"])
def test_cookie_elsewhere_is_secure(host: bytes) -> None:
    """Only true loopback names are spared."""
    assert ask(LINK, host=host).headers[b"set-cookie"].endswith(b"; Secure")


def test_valid_visitor_keeps_its_cookie() -> None:
    """A valid visitor is recorded and not set again."""
    tap = ask(LINK, COOKIE)
    assert b"set-cookie" not in tap.headers
    assert tap.click.visitor_id == VISITOR.decode()


@pytest.mark.parametrize("value", [b"", b"a b", b'"quoted"', b"x" * 65, b"\xff", b"a=b", b"a,b"])
def test_malformed_cookie_is_replaced(value: bytes) -> None:
    """A malformed visitor is not recorded; a new one is set."""
    tap = ask(LINK, (b"cookie", b"attribution_visitor=" + value))
    assert b"set-cookie" in tap.headers
    assert (tap.click.visitor_id or "").encode() not in (b"", value)


def test_gpc_sets_and_records_no_visitor() -> None:
    """With Sec-GPC: 1 no visitor is set, and one that came is not recorded."""
    for tap in (ask(LINK, GPC), ask(LINK, GPC, COOKIE), ask(LINK, COOKIE, (b"sec-gpc", b" 1 "))):
        assert tap.status == 302
        assert b"set-cookie" not in tap.headers
        assert tap.click.visitor_id is None


def test_other_gpc_values_say_nothing() -> None:
    """Only the value 1 asks not to be known."""
    assert ask(LINK, COOKIE, (b"sec-gpc", b"0")).click.visitor_id == VISITOR.decode()


def test_head() -> None:
    """HEAD gets the live answer without click id and cookie, and is no click."""
    tap = ask(make_link("https://shop.example/p?a=1#f"), method="HEAD", query=b"b=2&click_id=evil")
    assert (tap.answer.outcome, tap.status) == (Outcome.HEAD, 302)
    assert tap.location == b"https://shop.example/p?a=1&b=2#f"
    assert tap.headers.keys() == ask(LINK, COOKIE).headers.keys()
    assert tap.answer.record is None


def test_head_of_a_bot_or_prefetch_is_head() -> None:
    """The HEAD row comes before prefetch and bot."""
    assert ask(LINK, PREFETCH, method="HEAD", agent=BOT).answer.outcome is Outcome.HEAD


@pytest.mark.parametrize("name", [b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"])
@pytest.mark.parametrize("value", [b"prefetch", b"prefetch;prerender", b"PREVIEW", b"Prerender", b"x, preview"])
def test_prefetch(name: bytes, value: bytes) -> None:
    """A prefetch gets 503, so that the real visit comes to us, and is never a click."""
    tap = ask(LINK, (name, value))
    assert (tap.answer.outcome, tap.status) == (Outcome.PREFETCH, 503)
    assert b"no-store" in tap.headers[b"cache-control"]
    assert b"location" not in tap.headers
    assert b"set-cookie" not in tap.headers
    assert tap.answer.record is None


def test_other_purposes_are_taps() -> None:
    """A purpose header that says nothing of the kind changes nothing."""
    assert ask(LINK, (b"purpose", b"navigate"), (b"sec-purpose", b"")).answer.outcome is Outcome.LIVE


def test_a_second_purpose_header_counts() -> None:
    """Each of several purpose headers is read."""
    assert ask(LINK, (b"purpose", b"x"), (b"purpose", b"prefetch")).answer.outcome is Outcome.PREFETCH


def test_prefetch_by_a_bot_is_prefetch() -> None:
    """The prefetch row comes before bot."""
    assert ask(LINK, PREFETCH, agent=BOT).answer.outcome is Outcome.PREFETCH


def test_bot() -> None:
    """A bot is sent on with a click id and without a cookie, and recorded with its class."""
    tap = ask(LINK, agent=BOT)
    assert (tap.answer.outcome, tap.status) == (Outcome.BOT, 302)
    assert tap.location.endswith(b"?click_id=" + tap.token)
    assert b"set-cookie" not in tap.headers
    assert tap.headers[b"x-robots-tag"] == b"noindex"
    assert tap.click.agent_class is AgentClass.SOCIAL_PREVIEW
    assert tap.click.visitor_id is None


@pytest.mark.parametrize("agent", [None, b""])
def test_no_agent_is_a_person(agent: bytes | None) -> None:
    """No or an empty User-Agent is human, class `unknown`."""
    tap = ask(LINK, agent=agent)
    assert tap.answer.outcome is Outcome.LIVE
    assert tap.click.agent_class is AgentClass.UNKNOWN


def test_unknown_slug() -> None:
    """A slug that nobody made is 404."""
    tap = ask(None)
    assert (tap.answer.outcome, tap.status, tap.answer.record) == (Outcome.NOT_FOUND, 404, None)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"",
        b"//anna",
        b"/anna/",
        b"/%73lug",
        b"/a.b",
        b"/" + b"a" * 65,
        b"/anna\n",
        b"/\xff",
        b"anna",
        b"/a/b",
        b"*",
    ],
)
def test_what_is_no_slug(path: bytes) -> None:
    """Any path but a slash and a slug is 404, never a redirect elsewhere."""
    tap = ask(LINK, path=path)
    assert tap.status == 404
    assert b"location" not in tap.headers


def test_longest_slug() -> None:
    """A slug has up to 64 characters, in the case they were sent."""
    assert ask(LINK, path=b"/" + b"aZ-_09" * 10 + b"aaaa").status == 302


def test_not_started() -> None:
    """A link that starts a microsecond later is 404; its start is inclusive."""
    assert ask(make_link(starts_at=LATER)).status == 404
    assert ask(make_link(starts_at=NOW)).answer.outcome is Outcome.LIVE


def test_not_started_comes_before_disabled() -> None:
    """A disabled link that has not started is 404."""
    assert ask(make_link(starts_at=LATER, status="disabled", fallback_url="https://f.example/")).status == 404


def test_expired() -> None:
    """An expired link without fallback is 410; its end is exclusive."""
    tap = ask(make_link(expires_at=NOW))
    assert (tap.answer.outcome, tap.status, tap.answer.record) == (Outcome.GONE, 410, None)
    assert ask(make_link(expires_at=LATER)).answer.outcome is Outcome.LIVE


def test_disabled() -> None:
    """A disabled link without fallback is 410."""
    assert ask(make_link(status="disabled")).status == 410


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("agent", [BOT, None])
def test_fallback(method: str, agent: bytes | None) -> None:
    """The fallback is sent as stored: no click id, no forwarding, no cookie, no click."""
    fallback = "https://f.example/über?click_id=own&x=1#end"
    tap = ask(
        make_link(status="disabled", fallback_url=fallback),
        PREFETCH,
        method=method,
        agent=agent,
        query=b"a=1",
    )
    assert (tap.answer.outcome, tap.status, tap.answer.record) == (Outcome.FALLBACK, 302, None)
    assert tap.location == fallback.encode()
    assert b"set-cookie" not in tap.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""])
@pytest.mark.parametrize("link", [LINK, None])
def test_other_methods(method: str, link: Link | None) -> None:
    """Other methods are 405 with Allow, before anything else is looked at."""
    tap = ask(link, method=method)
    assert (tap.answer.outcome, tap.status) == (Outcome.METHOD_NOT_ALLOWED, 405)
    assert tap.headers[b"allow"] == b"GET, HEAD"
    assert tap.answer.record is None


@pytest.mark.parametrize("outcome", Outcome)
def test_no_answer_is_cached(outcome: Outcome) -> None:
    """Every answer of the lane is `private, no-store`, with an empty body of known length."""
    asked = {
        Outcome.METHOD_NOT_ALLOWED: ask(LINK, method="POST"),
        Outcome.NOT_FOUND: ask(None),
        Outcome.FALLBACK: ask(make_link(status="disabled", fallback_url="https://f.example/")),
        Outcome.GONE: ask(make_link(status="disabled")),
        Outcome.HEAD: ask(LINK, method="HEAD"),
        Outcome.PREFETCH: ask(LINK, PREFETCH),
        Outcome.BOT: ask(LINK, agent=BOT),
        Outcome.LIVE: ask(LINK),
    }[outcome]
    assert asked.answer.outcome is outcome
    assert asked.headers[b"cache-control"] == b"private, no-store"
    assert asked.headers[b"content-length"] == b"0"
