"""HTTP is the same on both lanes: raw bytes sent to a server with the fast lane and to one without it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.redirecting import BOT, BROWSER, VISITOR
from tests.support.lanes import Answer, Client, LaneServer, normal_click

from attribution.domain.clicks import Click

Lanes = tuple[LaneServer, LaneServer]
HEAD = b"Host: go.brand.example\r\nUser-Agent: " + BROWSER + b"\r\n"
COOKIE = b"Cookie: attribution_visitor=" + VISITOR + b"\r\n"
REFERER = b"Referer: https://l.instagram.com/\r\n"
PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
LIMIT = 64 * 1024


def request(
    target: bytes = b"/anna",
    headers: bytes = b"",
    body: bytes = b"",
    *,
    method: bytes = b"GET",
    version: bytes = b"1.1",
) -> bytes:
    return b"%b %b HTTP/%b\r\n%b%b\r\n%b" % (method, target, version, HEAD, headers, body)


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))[:-2] + trailer + b"\r\n"


TAP = request(headers=COOKIE + REFERER)


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(LaneServer(tmp_path_factory.mktemp("fast"), fast=True)),
            stack.enter_context(LaneServer(tmp_path_factory.mktemp("general"), fast=False)),
        )


@dataclass(frozen=True)
class Conversation:
    answers: list[Answer]
    stays_open: bool
    clicks: list[Click]

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def conversation(server: LaneServer, segments: tuple[bytes, ...], count: int) -> Conversation:
    before = len(server.clicks())
    with Client(server) as client:
        for segment in segments:
            client.send(segment)
            server.turn()
        answers = client.answers(count)
        client.send(PROBE)
        probed = client.answer()
    assert probed is None or probed.body == b"alive", probed
    clicks = server.clicks()[before:]
    # Each click id that was given away is one record, in the order of the answers. Before a body turns out to be
    # malformed, the tap may have been recorded.
    given = [token.click_id for answer in answers if (token := answer.token)]
    recorded = [click.click_id for click in clicks]
    assert recorded[: len(given)] == given
    assert len(recorded) == len(given) or answers[-1].status in {400, 431}
    return Conversation(
        [answer.normal() for answer in answers], probed is not None, [normal_click(click) for click in clicks]
    )


def both(lanes: Lanes, *segments: bytes, count: int = 1) -> Conversation:
    fast, general = (conversation(server, segments, count) for server in lanes)
    assert fast == general
    return fast


@pytest.mark.parametrize(
    ("sent", "statuses", "stays_open"),
    [
        pytest.param([TAP], [302], True, id="a tap"),
        pytest.param([TAP] * 5, [302] * 5, True, id="several in a row"),
        pytest.param([request(headers=b"Connection: close\r\n")], [302], False, id="close"),
        pytest.param([request(headers=b"connection: CLOSE\r\n"), TAP], [302], False, id="nothing after close"),
        pytest.param([request(headers=b"Connection: keep-alive\r\n")], [302], True, id="keep-alive"),
        pytest.param([request(headers=b"Connection: x, close\r\n")], [302], False, id="close among others"),
        pytest.param(
            [b"GET /anna?a=\xc3", b"\xa4 HTTP/1.1\r\nA: \xc3\xa4\r\n\r\n"], [302], True, id="umlaut in two pieces"
        ),
        pytest.param([request(version=b"1.0")], [302], False, id="HTTP/1.0"),
        pytest.param(
            [request(headers=b"Connection: keep-alive\r\n", version=b"1.0")], [302], False, id="HTTP/1.0 keep-alive"
        ),
        pytest.param([b"GET /anna\r\n\r\n"], [302], False, id="HTTP/0.9"),
        pytest.param([b"GET /anna HTTP/1.1\r\n\r\n"], [302], True, id="no headers"),
        pytest.param([b"GET /anna HTTP/3.0\r\n\r\n"], [400], False, id="another version"),
        pytest.param([request(method=b"HEAD")], [302], True, id="HEAD"),
        pytest.param([request(method=b"OPTIONS")], [405], True, id="OPTIONS"),
        pytest.param([request(method=b"get")], [400], False, id="method in small letters"),
        pytest.param([request(method=b"GETS")], [400], False, id="unknown method"),
        pytest.param(
            [request(method=b"POST", headers=b"Content-Length: 3\r\n", body=b"abc"), TAP], [405, 302], True, id="POST"
        ),
        pytest.param(
            [request(b"/healthz", b"Content-Length: 3\r\n", b"abc", method=b"POST"), TAP], [200, 302], True,
            id="POST to the API",
        ),
        pytest.param(
            [request(headers=b"Content-Length: 3\r\n", body=b"abc"), TAP], [302, 302], True, id="body on GET"
        ),
        pytest.param([request(headers=b"Content-Length: 3\r\n"), b"a", b"bc", TAP], [302, 302], True, id="late body"),
        pytest.param([request(headers=b"Content-Length: 0\r\n"), TAP], [302, 302], True, id="empty body"),
        pytest.param(
            [request(headers=b"Content-Length: %d\r\n" % len(TAP), body=TAP), TAP], [302, 302], True,
            id="a body that looks like a tap",
        ),
        pytest.param(
            [request(headers=b"Content-Length: %d\r\n" % len(TAP)), TAP, TAP], [302, 302], True,
            id="a late body that looks like a tap",
        ),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\n", body=chunked(b"abc", b"de")), TAP], [302, 302], True,
            id="chunked",
        ),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\n"), b"3\r\nabc\r\n", b"0\r\n", b"\r\n", TAP],
            [302, 302], True, id="chunked in pieces",
        ),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\n", body=chunked(b"a", trailer=COOKIE)), TAP],
            [302, 302], True, id="trailers are no headers",
        ),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", body=b"abc")], [400], False,
            id="two lengths",
        ),
        pytest.param(
            [request(headers=b"Content-Length: 3\r\nContent-Length: 4\r\n")], [400], False,
            id="lengths differ",
        ),
        pytest.param([request(headers=b"Content-Length: -1\r\n")], [400], False, id="negative length"),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\n", body=b"z\r\n")], [400], False, id="bad chunk"
        ),
        pytest.param(
            [request(headers=b"Transfer-Encoding: chunked\r\n"), b"z\r\n"], [302], False,
            id="bad chunk after the answer",
        ),
        pytest.param(
            [TAP + request(headers=b"Transfer-Encoding: chunked\r\n", body=b"z\r\n")], [302, 400], False,
            id="bad chunk behind a tap",
        ),
        pytest.param(
            [request(headers=b"Expect: 100-continue\r\nContent-Length: 3\r\n"), b"abc", TAP], [302, 302], True,
            id="expect on a tap",
        ),
        pytest.param(
            [request(b"/v1", b"Expect: 100-continue\r\nContent-Length: 3\r\n", method=b"POST"), b"abc", TAP],
            [100, 200, 302], True, id="expect",
        ),
        pytest.param(
            [request(headers=b"Upgrade: websocket\r\nConnection: Upgrade\r\n"), TAP], [302, 302], True, id="upgrade"
        ),
        pytest.param([request(headers=b"Upgrade: h2c\r\n"), TAP], [302, 302], True, id="upgrade without connection"),
        pytest.param([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [400], False, id="HTTP/2"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], [400], False, id="TLS"),
        pytest.param([b"CONNECT go.brand.example:443 HTTP/1.1\r\n\r\n"], [400], False, id="CONNECT"),
        pytest.param([b"\r\n\r\n" + TAP], [302], True, id="empty lines first"),
        pytest.param([TAP + b"\r\n", TAP], [302, 302], True, id="empty lines between"),
        pytest.param([b"\r\n", TAP, TAP], [302, 302], True, id="an empty line alone"),
        pytest.param([TAP + b"garbage\r\n\r\n"], [302, 400], False, id="garbage behind a tap"),
        pytest.param([TAP, b"garbage\r\n\r\n"], [302, 400], False, id="garbage after a tap"),
        pytest.param([TAP * 3 + b"garbage\r\n\r\n" + TAP], [302] * 3 + [400], False, id="garbage behind taps"),
        pytest.param([TAP * 2], [302] * 2, True, id="two in one"),
        pytest.param([TAP + TAP[:50], TAP[50:]], [302] * 2, True, id="one and a half"),
        pytest.param([TAP + TAP[:-2], TAP[-2:] + TAP], [302] * 3, True, id="nearly two"),
        pytest.param([TAP[:9], TAP[9:] + TAP[:9], TAP[9:]], [302] * 2, True, id="half after half"),
    ],
)  # fmt: skip
def test_messages(lanes: Lanes, sent: list[bytes], statuses: list[int], stays_open: bool) -> None:  # noqa: FBT001
    """Answers, records, and whether the connection stays, are those of HTTP and the same on both lanes."""
    said = both(lanes, *sent, count=len(statuses))
    assert (said.statuses, said.stays_open) == (statuses, stays_open)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/anna", 302),
        (b"/anna?", 302),
        (b"/anna?a=1", 302),
        (b"/anna?a=1#x", 302),
        (b"/anna?a=1?b=2", 302),
        (b"/anna?click_id=evil&a=%0d%0a", 302),
        (b'/anna?a="<>\\^`{|}', 302),
        (b"/anna?sub1=a&sub2=b", 302),
        (b"/anna?" + b"a" * 8000, 302),
        (b"/anna?" + b"a=1&" * 4000, 302),
        (b"/anna#x", 302),
        (b"/ben?a=2&b=3", 302),
        (b"/cold1", 302),
        (b"/gone", 410),
        (b"/elsewhere?a=1", 302),
        (b"/nobody", 404),
        (b"/Anna", 404),
        (b"//anna", 404),
        (b"///anna", 404),
        (b"/anna/", 404),
        (b"/anna/x", 404),
        (b"/./anna", 404),
        (b"/%61nna", 404),
        (b"/%61nna?a", 404),
        (b"/anna%20", 404),
        (b"/", 404),
        (b"/" + b"a" * 64, 404),
        (b"/" + b"a" * 65, 404),
        (b"/\xc3\xa4nna", 404),
        (b"/anna?\xc3\xa4", 302),
        (b"http://other.example/anna", 302),
        (b"https://u:p@other.example/anna?a=1", 302),
        (b"HTTP://other.example//anna", 404),
        (b"/healthz", 200),
        (b"/healthz?a", 200),
        (b"/v1/links", 200),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_targets(lanes: Lanes, method: bytes, target: bytes, status: int) -> None:
    """Whatever is asked for, in whatever form, both lanes understand the same."""
    said = both(lanes, request(target, COOKIE, method=method))
    assert (said.statuses, said.stays_open) == ([status], True)


@pytest.mark.parametrize(
    "headers",
    [
        COOKIE.lower(),
        COOKIE.upper(),
        b"cOOKIE:attribution_visitor=abc\r\n",
        b"Cookie: \t attribution_visitor=abc \t\r\n",
        b"Cookie:\tattribution_visitor=abc\r\n",
        b"Cookie: a=1; attribution_visitor=abc; b=2\r\n",
        b"Cookie: attribution_visitor=bad!\r\n",
        b"Cookie:\r\n",
        b"Cookie: \r\n",
        COOKIE + b"Cookie: attribution_visitor=abc\r\n",
        b"Cookie: a=1\r\n" + COOKIE,
        b"cookie: a=1\r\n" + COOKIE,
        COOKIE + b"cookie: attribution_visitor=abc\r\n",
        b"cookie: attribution_visitor=abc\r\n" + COOKIE,
        b"X-Cookie: attribution_visitor=abc\r\n",
        b"X: \r\nCookie2: attribution_visitor=abc\r\n",
        b"Some-Referer: https://a.example/\r\n",
        b"Referer2: https://a.example/\r\n",
        REFERER + b"Referer: https://b.example/\r\n",
        REFERER + b"referer: https://b.example/\r\n",
        b"referer: https://b.example/\r\n" + REFERER,
        b"Referer: /no\r\n" + REFERER,
        b"Referer: https://b.example \t\r\n",
        b"Referer:   https://b.example\r\n",
        b"Referer:\r\n",
        b"Referer: \r\nCookie: attribution_visitor=abc\r\n",
        b"Cookie: a\r\nReferer: https://b.example/\r\n",
        b"Host: localhost\r\n",
        b"Host: localhost \t\r\n",
        b"Host: localhost\r\nHost: other.example\r\n",
        b"User-Agent: " + BOT + b"\r\n",
        b"User-Agent:\r\nUser-Agent: " + BOT + b"\r\n",
        b"Sec-GPC: 1\r\n" + COOKIE,
        b"Sec-GPC:\t1\t\r\n",
        b"Sec-GPC: 0\r\nSec-GPC: 1\r\n",
        b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n",
        b"!#$%&'*+-.^_`|~9: x\r\n",
        b"A: \xc3\xa4\xff\x80\r\nB: a\tb\r\n",
        b"A:" + b" " * 5000 + b"b\r\n",
        b"A: " + b"x" * 15_000 + b"\r\n",
        b"A: " + b"x" * 40_000 + b"\r\n",
        b"A: b\r\n" * 1000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_headers(lanes: Lanes, headers: bytes, first: bool) -> None:  # noqa: FBT001
    """Case, spaces, repetition and look-alikes of headers mean the same on both lanes, seen once and again."""
    sent = b"GET /anna HTTP/1.1\r\n" + (headers + HEAD if first else HEAD + headers) + b"\r\n"
    said = both(lanes, sent, sent, count=2)
    assert (said.statuses, said.stays_open) == ([302, 302], True)


@pytest.mark.parametrize(
    ("headers", "cookie", "referrer"),
    [
        (b"Cookie: attribution_visitor=abc\r\n", "abc", None),
        (b"X-Cookie: attribution_visitor=abc\r\n", "NEW", None),
        (b"X-Referer: https://b.example/\r\n", "NEW", None),
        (b"Cookie: a=1\r\nCookie: attribution_visitor=abc\r\n", "abc", None),
        (b"Referer: https://a.example/\r\nReferer: https://b.example/\r\n", "NEW", "a.example"),
        (b"Referer: https://a.example \r\n", "NEW", "a.example"),
    ],
)
def test_records(lanes: Lanes, headers: bytes, cookie: str, referrer: str | None) -> None:
    """Only Cookie and Referer say who came from where."""
    click = both(lanes, request(headers=headers)).clicks[0]
    assert (click.visitor_id, click.referrer_host) == (cookie, referrer)


def test_trailers_say_nothing(lanes: Lanes) -> None:
    """What comes after a body is not read as a header, whenever it comes."""
    sent = request(headers=b"Transfer-Encoding: chunked\r\n", body=chunked(b"a", trailer=COOKIE))
    assert both(lanes, sent).clicks[0].visitor_id == "NEW"


@pytest.mark.parametrize(
    "headers",
    [
        b"A: b\r\n folded\r\n",
        b"Cookie: a\r\n\tb\r\n",
        b" A: b\r\n",
        b"no colon\r\n",
        b": no name\r\n",
        b"Cookie : a\r\n",
        b"A b: c\r\n",
        b"A\x00: b\r\n",
        b"A: \x00\r\n",
        b"Cookie: a\x00\r\n",
        b"Referer: https://a.example/\x00\r\n",
        b"A: b\rc\r\n",
        b"Cookie: a\rb\r\n",
        b"Referer: a\rb\r\n",
        b"A: b\nc: d\r\n",
        b"Cookie: a\nb\r\n",
        b"\xc3\xa4: b\r\n",
        b"A: \x7f\r\n",
        b"A: \x01\r\n",
    ],
)
def test_malformed_headers(lanes: Lanes, headers: bytes) -> None:
    """What is no header is refused, and the connection with it, or read alike by both lanes."""
    said = both(lanes, request(headers=headers))
    assert said.statuses[0] in {302, 400}
    assert said.stays_open == (said.statuses == [302])


def test_a_refusal_is_not_cached(lanes: Lanes) -> None:
    """A refusal has no body, says that it closes, and has the headers that every answer has."""
    refused = both(lanes, b"garbage\r\n\r\n").answers[0]
    assert refused.header(b"cache-control") == b"private, no-store"
    assert refused.header(b"connection") == b"close"
    assert refused.header(b"date")
    assert refused.body == b""


def test_plain_taps_take_the_fast_lane(lanes: Lanes) -> None:
    """A plain tap on a held link is not handed to the application, what is not plain is."""
    fast, _ = lanes
    for sent, handed_on in (
        (TAP, 0),
        (request(b"/gone"), 0),
        (request(b"/anna?a=1"), 0),
        (request(method=b"HEAD"), 1),
    ):
        before = fast.asgi_requests
        with Client(fast) as client:
            client.send(sent)
            assert client.answer()
        assert fast.asgi_requests - before == handed_on


MIXED = [
    (TAP, 302),
    (request(method=b"HEAD"), 302),
    (PROBE, 200),
    (request(b"/nobody"), 404),
    (request(b"/gone"), 410),
    (request(method=b"POST", headers=b"Content-Length: 2\r\n", body=b"ab"), 405),
    (request(b"/ben?a=2", b"Transfer-Encoding: chunked\r\n", chunked(b"x")), 302),
    (request(b"/v1", b"Content-Length: 2\r\n", b"ab", method=b"POST"), 200),
]


@pytest.mark.parametrize("count", [2, 3, 5, 8, 20])
@pytest.mark.parametrize("start", range(len(MIXED)))
def test_pipelines_of_mixed_lanes(lanes: Lanes, count: int, start: int) -> None:
    """Requests that were sent without waiting are answered in their order, whichever lane each takes."""
    mixed = [MIXED[(start + 3 * index) % len(MIXED)] for index in range(count)]
    cold = request(b"/cold-%d-%d" % (count, start))
    statuses = [*(status for _, status in mixed), 302]
    everything = b"".join(sent for sent, _ in mixed) + cold
    for segments in ((everything,), (*(sent for sent, _ in mixed), cold)):
        assert both(lanes, *segments, count=count + 1).statuses == statuses


@pytest.mark.parametrize(
    "sent", [TAP, request(method=b"POST", headers=b"Content-Length: 3\r\n", body=b"abc"), TAP + request(b"/ben")]
)
def test_split_at_every_byte(lanes: Lanes, sent: bytes) -> None:
    """Wherever the network cuts, the answers are the same."""
    count = sent.count(b" HTTP/1.1\r\n")
    whole = both(lanes, sent, count=count)
    for server in lanes:
        with Client(server) as client:
            for at in range(1, len(sent)):
                client.send(sent[:at])
                server.turn()
                client.send(sent[at:])
                assert [answer.normal() for answer in client.answers(count)] == whole.answers
    assert both(lanes, *(bytes((byte,)) for byte in sent), count=count) == whole


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param([b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\n\r\n"], id="target"),
        pytest.param([b"GET /anna?" + b"a" * LIMIT], id="target without end"),
        pytest.param([b"GET /anna?", *[b"a" * 1000] * 80], id="target without end in pieces"),
        pytest.param([request(headers=b"A: " + b"b" * LIMIT + b"\r\n")], id="line"),
        pytest.param([b"GET /anna HTTP/1.1\r\nA: " + b"b" * (LIMIT + 100)], id="line without end"),
        pytest.param([b"GET /anna HTTP/1.1\r\nA: ", *[b"b" * 1000] * 80], id="line without end in pieces"),
        pytest.param([b"GET /anna HTTP/1.1\r\n" + b"b" * (LIMIT + 100)], id="name without end"),
        pytest.param([request(headers=b"A: b\r\n" * (LIMIT // 6))], id="lines"),
        pytest.param([b"GET /anna HTTP/1.1\r\n" + b"A: b\r\n" * (LIMIT // 5)], id="lines without end"),
        pytest.param([b"GET /anna HTTP/1.1\r\n", *[b"A: b\r\n" * 100] * 150], id="lines without end in pieces"),
    ],
)
@pytest.mark.parametrize("before", [[], [TAP]])
def test_large_heads(lanes: Lanes, segments: list[bytes], before: list[bytes]) -> None:
    """A head over 64 KiB is 431 and the connection's end, after the answers to what came before."""
    said = both(lanes, *before, *segments, count=len(before) + 1)
    assert (said.statuses, said.stays_open) == ([302] * len(before) + [431], False)
    assert said.answers[-1].header(b"cache-control") == b"private, no-store"


def test_large_head_behind_a_tap(lanes: Lanes) -> None:
    """Also when both came in one piece."""
    said = both(lanes, TAP + request(headers=b"A: " + b"b" * LIMIT + b"\r\n"), count=2)
    assert (said.statuses, said.stays_open) == ([302, 431], False)


def test_trailers_are_bounded(lanes: Lanes) -> None:
    """Trailers count with the head, and what is too large ends the connection."""
    body = chunked(b"a", trailer=b"A: b\r\n" * (LIMIT // 4))
    said = both(lanes, request(headers=b"Transfer-Encoding: chunked\r\n", body=body))
    assert not said.stays_open


@pytest.mark.parametrize("size", [1, 70_000, 1_000_000])
@pytest.mark.parametrize("piece", [1000, 100_000, 2_000_000])
def test_bodies_come_through_whole(lanes: Lanes, size: int, piece: int) -> None:
    """A body of any size in any pieces reaches the application, and what follows it is answered."""
    body = bytes(range(256)) * (size // 256 + 1)
    sent = request(b"/v1", b"Content-Length: %d\r\n" % len(body), body, method=b"POST") + TAP
    segments = [sent[at : at + piece] for at in range(0, len(sent), piece)]
    said = both(lanes, *segments, count=2)
    assert said.statuses == [200, 302]
    assert said.answers[0].body == body
