"""What entrypoints/http_protocol.py relies on in uvicorn. An upgrade that changes it fails here first.

Where one of these fails: read uvicorn's new httptools_impl.py beside http_protocol.py, then the tests of both lanes.
"""

import asyncio
from inspect import signature
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs
from tests.redirecting import tap_reader
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from attribution.entrypoints import http_protocol as ours
from attribution.entrypoints.application import Application
from attribution.entrypoints.http_protocol import RELIED_ON, BoundedHttpProtocol, FastLaneProtocol
from attribution.entrypoints.sweeper import Sweeper
from attribution.redirect.head import KnownHeads

REVIEWED = "0.54.0"
GET = b"GET /a?b HTTP/1.1\r\nA: b\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


async def application(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def make_config() -> uvicorn.Config:
    config = uvicorn.Config(application, http=HttpToolsProtocol, lifespan="off", log_config=None, server_header=False)
    config.load()
    return config


@pytest.fixture
async def transport() -> Transport:
    return Transport()


@pytest.fixture
async def protocol(transport: Transport) -> HttpToolsProtocol:
    protocol = HttpToolsProtocol(make_config(), ServerState(), {})
    protocol.connection_made(transport)
    return protocol


def test_the_version_that_was_reviewed() -> None:
    """Another version may do the same under these names, or not: someone has to look."""
    assert uvicorn.__version__ == REVIEWED


def test_nothing_is_lacking() -> None:
    """All names that we rely on are there."""
    assert ours.lacking_names() == []


def test_how_the_server_makes_a_protocol() -> None:
    """The server makes each connection's protocol by these arguments, all by name."""
    assert list(signature(HttpToolsProtocol).parameters) == ["config", "server_state", "app_state", "_loop"]


async def test_a_connection_is_one_of_the_servers(protocol: HttpToolsProtocol) -> None:
    """The server's state has all connections, until they are lost."""
    assert protocol.connections is protocol.server_state.connections
    assert protocol.connections == {protocol}
    protocol.connection_lost(None)
    assert not protocol.connections


async def test_headers_of_every_answer_are_replaced_and_not_changed() -> None:
    """Every second the server makes a new list of them: who holds the old one sees that it is old."""
    server = uvicorn.Server(make_config())
    await server.on_tick(0)
    first = server.server_state.default_headers
    kept = list(first)
    await server.on_tick(0)
    assert [name for name, _ in first] == [b"date"]
    assert server.server_state.default_headers is not first
    assert first == kept


async def test_flow_control() -> None:
    """Reading and writing are paused once and resumed once, and the flow says which is."""
    transport = Transport()
    flow = FlowControl(transport)
    assert (flow.read_paused, flow.write_paused) == (False, False)
    for _ in range(2):
        flow.pause_reading()
    flow.pause_writing()
    assert (flow.read_paused, flow.write_paused) == (True, True)
    for _ in range(2):
        flow.resume_reading()
    flow.resume_writing()
    assert (flow.read_paused, flow.write_paused) == (False, False)
    assert transport.calls == ["pause", "resume"]


async def test_the_transport_tells_the_flow(protocol: HttpToolsProtocol) -> None:
    """A full write buffer is seen in `flow.write_paused`."""
    protocol.pause_writing()
    assert protocol.flow.write_paused
    protocol.resume_writing()
    assert not protocol.flow.write_paused


class Watching(HttpToolsProtocol):
    """Writes down which callbacks came in which order, and what the cycle was in each."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[str] = []

    def on_message_begin(self) -> None:
        self.seen.append("begin")
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.seen.append("url")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.seen.append("header")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        self.seen.append("headers" if self.cycle is not before else "no cycle")

    def on_message_complete(self) -> None:
        self.seen.append("message")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.seen.append("response" if self.cycle.response_complete or self.pipeline else "early")
        super().on_response_complete()


@pytest.fixture
async def watching(transport: Transport) -> Watching:
    watching = Watching(make_config(), ServerState(), {})
    watching.connection_made(transport)
    return watching


async def answered(protocol: HttpToolsProtocol) -> None:
    while protocol.tasks:
        await asyncio.gather(*protocol.tasks)


async def test_the_parser_calls_back_in_order(watching: Watching) -> None:
    """Each callback comes within `data_received`, on the protocol itself, and the answer comes after."""
    watching.data_received(GET)
    assert watching.seen == ["begin", "url", "header", "headers", "message"]
    await answered(watching)
    assert watching.seen[5:] == ["response"]
    assert watching.cycle.response_complete
    armed = watching.timeout_keep_alive_task
    assert armed is not None
    watching._unset_keepalive_if_required()
    assert armed.cancelled()


async def test_requests_wait_in_the_pipeline(watching: Watching, transport: Transport) -> None:
    """While one is answered the others wait, the newest leftmost, and reading is paused; `cycle` is the newest."""
    watching.data_received(GET * 3)
    (newest, _), (older, _) = watching.pipeline
    assert watching.cycle is newest is not older
    assert transport.calls == ["pause"]
    await answered(watching)
    assert not watching.pipeline
    assert transport.written.count(b"HTTP/1.1 204") == 3
    watching._unset_keepalive_if_required()


class Refusing(HttpToolsProtocol):
    refused = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        raise ValueError(name + value)

    def send_400_response(self, msg: str) -> None:
        self.refused += bool(msg)


@pytest.mark.parametrize("sent", [GET, b"garbage\r\n\r\n"])
async def test_what_a_callback_raises_is_a_400(sent: bytes, transport: Transport) -> None:
    """An exception of a parser's callback ends in `send_400_response`, as bytes that are no request do."""
    refusing = Refusing(make_config(), ServerState(), {})
    refusing.connection_made(transport)
    refusing.data_received(sent)
    assert refusing.refused == 1
    assert not transport.written


async def test_the_last_answer_closes(protocol: HttpToolsProtocol, transport: Transport) -> None:
    """`shutdown` lets a running request end, with `Connection: close`."""
    protocol.data_received(GET)
    protocol.shutdown()
    assert not protocol.cycle.keep_alive
    await answered(protocol)
    assert b"connection: close" in transport.written
    assert transport.calls == ["close"]


async def test_a_cycle_that_is_told_to_be_disconnected_writes_nothing(
    protocol: HttpToolsProtocol, transport: Transport
) -> None:
    """`disconnected` silences the application."""
    protocol.data_received(GET)
    protocol.cycle.disconnected = True
    protocol.cycle.message_event.set()
    await answered(protocol)
    assert transport.written == b""


@pytest.fixture
def made() -> Application:
    lane: Any = None
    return Application(lane, application, KnownHeads(tap_reader()))


def test_the_fast_lane_where_it_was_reviewed(made: Application) -> None:
    """With this uvicorn the fast lane is on, and nothing is said about it."""
    with capture_logs() as logs:
        assert ours.http_protocol(made).func is FastLaneProtocol
    assert logs == []


@pytest.mark.parametrize("kind", [HttpToolsProtocol, RequestResponseCycle, FlowControl, ServerState])
def test_the_general_lane_where_a_name_is_lacking(
    made: Application, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a uvicorn that lacks a name the general lane does all, and one warning says what is lacking."""
    monkeypatch.setitem(RELIED_ON, kind, RELIED_ON[kind] | {"new_name"})
    sweeper = Sweeper()
    with capture_logs() as logs:
        protocol = ours.http_protocol(made, sweeper)
    assert (protocol.func, protocol.args) == (BoundedHttpProtocol, (sweeper,))
    assert [log["lacks"] for log in logs] == [[f"{kind.__name__}.new_name"]]
    assert logs[0]["log_level"] == "warning"
