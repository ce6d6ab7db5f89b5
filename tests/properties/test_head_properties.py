"""The fast lane's reading of a request beside the general parser's: where it reads one at all, it reads the same."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, note
from hypothesis import strategies as st
from tests.redirecting import BOT, BROWSER, VISITOR, tap_reader
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from attribution.entrypoints.http_protocol import BoundedHttpProtocol
from attribution.entrypoints.sweeper import Sweeper
from attribution.redirect.head import HeadReader, KnownHeads
from attribution.redirect.tap import Tap

NAMES = [
    b"Host", b"User-Agent", b"Cookie", b"Referer", b"X-Forwarded-For", b"Sec-GPC", b"Sec-Purpose", b"Purpose",
    b"X-Moz", b"X-Cookie", b"Some-Referer", b"Accept", b"Connection", b"Content-Length", b"Transfer-Encoding",
    b"Expect", b"Upgrade", b"Proxy-Connection", b"Trailer", b"!#$%&'*+.^_`|~", b"",
]  # fmt: skip
VALUES = [
    b"go.brand.example", b"localhost:8000", b"127.0.0.1", BROWSER, BOT, b"attribution_visitor=" + VISITOR,
    b"a=1; attribution_visitor=x; b=2", b"attribution_visitor=bad!", b"attribution_visitor=", b"https://L.Example/p?q",
    b"//no", b"203.0.113.9, 10.0.0.1", b"1", b"0", b"prefetch", b"*/*", b"keep-alive", b"Keep-Alive, close", b"close",
    b"chunked", b"100-continue", b"websocket", b"\xff\xfe", b"a\tb", b"", b"x" * 3000,
]  # fmt: skip
COOKIES = [
    b"attribution_visitor=" + VISITOR, b"attribution_visitor=other", b"attribution_visitor=bad!",
    b"attribution_visitor=",
    b"a=1; attribution_visitor=x", b"a=1", b"", b"attribution_visitor=x\r\nContent-Length: 5",
    b"attribution_visitor=x\r\nCookie: attribution_visitor=y", b"attribution_visitor=x\r\n\r\n",
    b"a\r\nSec-GPC: 1",
]  # fmt: skip
HEADS_OF_ONE_BROWSER = [
    b"Host: a.example", b"Referer: https://a.example/", b"Sec-GPC: 1", b"Cookie: attribution_visitor=first",
    b"X-Forwarded-For: 203.0.113.9",
]  # fmt: skip
SPACES = [b"", b" ", b"\t", b" \t "]
TARGETS = [
    b"/anna", b"/anna?", b"/anna?a=1&b=%20", b"/anna?a?b", b'/anna?"<>\\^`{|}', b"/anna?a#b", b"/anna?\xff",
    b"/anna/", b"//anna", b"/%61nna", b"/", b"*", b"/healthz", b"http://go.brand.example/anna", b"/anna?'",
    b"/" + b"a" * 65,
]  # fmt: skip
LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\r\n", b"\r\n\t"]


def mostly(usual: bytes, others: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from([usual] * 40 + others)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(NAMES))
    name = draw(st.sampled_from([name, name, name.lower(), name.swapcase()]))
    value = draw(st.one_of(st.sampled_from(VALUES), st.binary(max_size=6)))
    colon = draw(mostly(b":", [b"", b" :", b"::"]))
    before, after = draw(mostly(b" ", SPACES)), draw(mostly(b"", SPACES))
    return name + colon + before + value + after + draw(mostly(b"\r\n", LINE_ENDS))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(mostly(b"GET", [b"HEAD", b"POST", b"get", b"CONNECT"]))
    version = draw(mostly(b"HTTP/1.1", [b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "]))
    target = draw(st.one_of(mostly(b"/anna", TARGETS), st.binary(max_size=3).map(b"/anna?".__add__)))
    head = b"".join(draw(st.lists(lines(), max_size=5)))
    after = draw(mostly(b"", [b"body", b"GET /anna HTTP/1.1\r\n\r\n", b"\r\n", b"Cookie: x\r\n\r\n"]))
    data = method + b" " + target + b" " + version + b"\r\n" + head + b"\r\n" + after
    at = draw(st.integers(0, len(data)))
    damage = draw(
        mostly(b"", [b"\x00", b"\r", b"\n", b" ", b"\r\n", b"\x7f", b"\x80", b":", b"Cookie: ", b"\r\nReferer: "])
    )
    return data[:at] + damage + data[at:]


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class Parsing(BoundedHttpProtocol):
    """uvicorn's protocol up to where it would call the application."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycles: list[RequestResponseCycle] = []

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        del app
        self.cycles.append(cycle)


async def application(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send


CONFIG = Config(application, http=Parsing, lifespan="off", log_config=None)
CONFIG.load()


@pytest.fixture(scope="module")
def loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> RequestResponseCycle | None:
    """The one plain GET that `data` is to the general parser, with which the connection stays open."""
    protocol = Parsing(Sweeper(), config=CONFIG, server_state=ServerState(), app_state={}, _loop=loop)
    transport = Transport()
    protocol.connection_made(transport)
    protocol.data_received(data)
    match protocol.cycles:
        case [cycle] if cycle.keep_alive and not (cycle.more_body or transport.closing or protocol.pipeline):
            return cycle
    return None


def facts(tap: Tap) -> tuple[object, ...]:
    """A visitor that asks not to be known is none."""
    return tap.method, tap.slug, tap.query, tap.visitor, tap.said._replace(visitor=b"")


@given(st.lists(requests(), min_size=1, max_size=3))
@example([b"GET /anna HTTP/1.1\r\nHost: localhost \t\r\nUser-Agent: a \r\n\r\n"])
@example([b"GET /anna HTTP/1.1\r\nCookie: attribution_visitor=a \r\nReferer: https://a.example/ \r\n\r\n"])
@example([b"GET /anna HTTP/1.1\r\n\r\nCookie: a\r\n\r\n", b"GET /anna HTTP/1.1\r\n\r\n"])
@example([b"GET /anna HTTP/1.1\r\nA: b\r\n\r\nReferer: a\r\n\r\n", b"GET /anna HTTP/1.1\r\nA: b\r\n\r\n"])
def test_the_fast_lane_reads_what_the_general_parser_reads(
    loop: asyncio.AbstractEventLoop, sent: list[bytes]
) -> None:
    """Of any bytes it makes the same tap as the general parser or none at all, also of what it remembers."""
    reader = HeadReader(KnownHeads(tap_reader()))
    for data in [*sent, *sent]:
        tap = reader.read(data)
        if tap is None:
            continue
        note(f"{data!r}")
        cycle = parsed(data, loop)
        assert cycle is not None
        scope = cycle.scope
        assert not cycle.waiting_for_100_continue
        assert scope["http_version"] == "1.1"
        general = tap_reader().read(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        assert facts(tap) == facts(general)


@given(
    st.lists(st.sampled_from(HEADS_OF_ONE_BROWSER), max_size=2),
    st.lists(st.one_of(st.sampled_from(COOKIES), st.binary(max_size=6)), min_size=2, max_size=4),
    st.lists(st.sampled_from(HEADS_OF_ONE_BROWSER), max_size=2),
)
def test_what_a_connection_sent_before_changes_nothing(
    loop: asyncio.AbstractEventLoop, before: list[bytes], cookies: list[bytes], after: list[bytes]
) -> None:
    """A browser's head comes again with another cookie, or with what only looks like one."""
    reader = HeadReader(KnownHeads(tap_reader()))
    for cookie in cookies:
        data = b"\r\n".join([b"GET /anna HTTP/1.1", *before, b"Cookie: " + cookie, *after, b"", b""])
        tap = reader.read(data)
        alone = HeadReader(KnownHeads(tap_reader())).read(data)
        assert (tap and facts(tap)) == (alone and facts(alone))
        if tap is not None:
            assert parsed(data, loop) is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"Host", b"User-Agent", b"Cookie", b"Referer", b"Sec-GPC", b"Accept"]),
            st.sampled_from([b"a.example", BROWSER, b"attribution_visitor=" + VISITOR, b"https://a.example/", b"1"]),
        ),
        max_size=6,
        unique_by=lambda header: header[0],
    )
)
def test_what_browsers_send_is_plain(headers: list[tuple[bytes, bytes]]) -> None:
    """No usual head is left to the general parser."""
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    assert HeadReader(KnownHeads(tap_reader())).read(b"GET /anna?a=1 HTTP/1.1\r\n" + head + b"\r\n") is not None
