"""Connections that do not behave: on both lanes nobody's click is lost, and nobody costs much or for long."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.redirecting import BROWSER
from tests.support.lanes import Client, LaneServer
from tests.support.waiting import wait_until

from attribution.entrypoints.sweeper import Sweeper
from attribution.settings import JournalSync

TAP = b"GET /anna HTTP/1.1\r\nHost: go.brand.example\r\nUser-Agent: " + BROWSER + b"\r\n\r\n"
HEAD = TAP.replace(b"GET", b"HEAD")
POST = b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
BRIEF = Sweeper(head_timeout_s=0.3, interval_s=0.05)
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(params=[True, False], ids=["fast", "general"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def server(tmp_path: Path, fast: bool) -> Iterator[LaneServer]:  # noqa: FBT001
    with LaneServer(tmp_path, fast=fast) as server:
        yield server


class Disk:
    """One on which a flush takes until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushing = threading.Event()
        self._released = threading.Event()
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, file: int) -> None:
        self.flushing.set()
        assert self._released.wait(20)
        self._flush(file)

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def careful(tmp_path: Path, fast: bool, disk: Disk) -> Iterator[LaneServer]:  # noqa: FBT001
    """Answers a click when the disk has it."""
    with LaneServer(tmp_path, fast=fast, sync=JournalSync.GROUP) as server:
        yield server
        disk.release()


@pytest.fixture
def brief(tmp_path: Path, fast: bool) -> Iterator[LaneServer]:  # noqa: FBT001
    """Has little patience."""
    with LaneServer(tmp_path, fast=fast, sweeper=BRIEF, keep_alive_s=1) as server:
        yield server


def with_number(number: int) -> bytes:
    return TAP.replace(b"/anna", b"/anna?n=%d" % number)


def tap_under_way(server: LaneServer, disk: Disk, *more: bytes) -> Client:
    client = Client(server)
    client.send(TAP)
    assert disk.flushing.wait(10)
    for data in more:
        client.send(data)
        server.turn()
    return client


@pytest.mark.parametrize("sent", [TAP, HEAD, TAP * 3, POST + b"ab", TAP + HEAD])
def test_half_closed(server: LaneServer, sent: bytes) -> None:
    """A client that has said all it had to say gets all its answers, then the connection closes."""
    with Client(server) as client:
        client.send(sent)
        client.socket.shutdown(socket.SHUT_WR)
        assert len(client.answers(9)) == sent.count(b" HTTP/1.1\r\n")
    wait_until(lambda: not server.connections)


@pytest.mark.parametrize("more", [[], [TAP], [HEAD, TAP * 2]])
def test_half_closed_while_its_click_is_committed(careful: LaneServer, disk: Disk, more: list[bytes]) -> None:
    """Also if the answer takes a while."""
    with tap_under_way(careful, disk, *more) as client:
        client.socket.shutdown(socket.SHUT_WR)
        careful.turn()
        disk.release()
        assert [answer.status for answer in client.answers(9)] == [302] * (1 + b"".join(more).count(b" HTTP/1.1\r\n"))


@pytest.mark.parametrize("sent", [TAP[:50], POST + b"a", b""])
def test_half_a_request_and_no_more(server: LaneServer, sent: bytes) -> None:
    """Half a request of a client that says no more has no answer."""
    with Client(server) as client:
        client.send(sent)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer() is None
    wait_until(lambda: not server.connections)


def test_gone_while_its_click_is_committed(careful: LaneServer, disk: Disk) -> None:
    """A client that resets loses its own answer only: its click is kept, and others are answered."""
    with Client(careful) as other, tap_under_way(careful, disk) as client:
        other.send(TAP)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.socket.close()
        wait_until(lambda: len(careful.connections) == 1)
        disk.release()
        answer = other.answer()
    assert answer is not None
    assert answer.token is not None
    assert [click.click_id for click in careful.clicks()][1:] == [answer.token.click_id]


@pytest.mark.parametrize("more", [[HEAD], [TAP], [TAP[:30], TAP[30:]], [HEAD + TAP, POST + b"ab"]])
def test_requests_while_a_click_is_committed(careful: LaneServer, disk: Disk, more: list[bytes]) -> None:
    """What comes before the answer waits for it, and is answered in its order."""
    with tap_under_way(careful, disk, *more) as client:
        disk.release()
        answers = client.answers(1 + b"".join(more).count(b" HTTP/1.1\r\n"))
    clicks = [answer.token.click_id for answer in answers if answer.token is not None]
    assert clicks == [click.click_id for click in careful.clicks()]
    assert answers[0].token is not None


def test_endless_requests_while_a_click_is_committed(careful: LaneServer, disk: Disk) -> None:
    """A client that sends on and on is not read on and on."""
    with tap_under_way(careful, disk) as client:
        assert sends_until_blocked(careful, client, TAP) > 0
        assert waiting_bytes(careful) < 2_000_000
        disk.release()
        assert client.answer()


def test_drain_answers_what_is_under_way(careful: LaneServer, disk: Disk) -> None:
    """A server that is told to end first answers what it has begun, also if that takes longer than its patience."""
    with tap_under_way(careful, disk) as client:
        (connection,) = careful.connections
        careful.stop()
        # The general lane closes after the answer from the start, the fast one from the end of its patience.
        wait_until(lambda: connection._ends or (connection.cycle and not connection.cycle.keep_alive))
        disk.release()
        answer = client.answer()
        assert answer is not None
        assert answer.status == 302
        assert client.answer() is None


def test_drain_answers_a_request_on_its_way(server: LaneServer) -> None:
    """A request on a connection that idled when the end came is answered with its connection's end."""
    with Client(server) as client:
        client.send(TAP)
        assert client.answer()
        (connection,) = server.connections
        server.stop()
        wait_until(lambda: connection._draining)
        client.send(TAP)
        answer = client.answer()
        assert answer is not None
        assert (answer.status, answer.header(b"connection")) == (302, b"close")
        assert client.answer() is None


def waiting_bytes(server: LaneServer) -> int:
    """What the server keeps for its clients, with a request that waits for its turn as 5 kB."""
    return sum(
        len(connection._held) + 5000 * len(connection.pipeline) + connection.transport.get_write_buffer_size()
        for connection in server.connections
    )


def sends_until_blocked(server: LaneServer, client: Client, data: bytes) -> int:
    """How many bytes the server, and the network before it, take of a client that does not read."""
    client.socket.setblocking(False)
    sent = blocked = 0
    rest = b""
    while blocked < 20:
        assert sent < 100_000_000
        rest = rest or data * 100
        try:
            size = client.socket.send(rest)
        except BlockingIOError:
            blocked += 1
            server.turn()
            continue
        rest, sent, blocked = rest[size:], sent + size, 0
    client.socket.settimeout(20)
    return sent


@pytest.mark.parametrize("data", [TAP, HEAD, POST + b"ab", b"GET /a HTTP/1.1\r\n\r\n"])
def test_a_client_that_never_reads(server: LaneServer, data: bytes) -> None:
    """Of a client that sends and does not read, the server takes a bounded number of requests."""
    with Client(server, receive_buffer=4096) as client:
        sends_until_blocked(server, client, data)
        assert waiting_bytes(server) < 10_000_000
        assert len(server.connections) == 1


@pytest.mark.parametrize("data", [HEAD, POST + b"ab", b"GET /healthz HTTP/1.1\r\n\r\n"])
def test_a_client_that_sends_faster_than_it_is_answered(server: LaneServer, data: bytes) -> None:
    """Pipelined requests wait with the client, not in the server's memory, also while answers are read."""
    count = 3000
    most = 0
    with Client(server) as client:
        sender = threading.Thread(target=client.send, args=(data * count,))
        sender.start()
        for number in range(count):
            assert client.answer()
            if number % 100 == 0:
                most = max(most, waiting_bytes(server))
        sender.join()
    assert most < 10_000_000


@pytest.mark.parametrize("small", [HEAD, POST + b"ab"])
def test_a_client_that_sends_much_for_each_answer(server: LaneServer, small: bytes) -> None:
    """Large requests wait with the client as well."""
    sent = small.replace(b"\r\n\r\n", b"\r\nA: " + b"b" * 8000 + b"\r\n\r\n")
    count = 1000
    most = 0
    with Client(server) as client:
        sender = threading.Thread(target=client.send, args=(sent * count,))
        sender.start()
        for number in range(count):
            assert client.answer()
            if number % 50 == 0:
                most = max(most, waiting_bytes(server))
        sender.join()
    assert most < 2_000_000


def test_a_client_that_sends_hundreds_for_each_answer(server: LaneServer) -> None:
    """However little it sends at a time."""
    with Client(server) as client:
        for _ in range(30):
            client.send(b"HEAD /a HTTP/1.1\r\n\r\n" * 600)
            assert client.answer()
            assert waiting_bytes(server) < 10_000_000


def test_taps_one_by_one_that_are_never_read(server: LaneServer) -> None:
    """Also of plain taps no more answers are made than the client's buffers have room for."""
    with Client(server, receive_buffer=4096) as client:
        client.send(TAP)
        (connection,) = wait_until(lambda: server.connections)
        while not connection.flow.write_paused:
            client.send(TAP)
            server.turn()
        unsent = connection.transport.get_write_buffer_size()
        for _ in range(100):
            client.send(TAP)
            server.turn()
        assert connection.transport.get_write_buffer_size() <= unsent


def test_a_slow_reader_gets_all_answers_in_order(server: LaneServer) -> None:
    """Thousands of taps by a client that reads late are each answered once, in order."""
    count = 3000
    with Client(server, receive_buffer=4096) as client:

        def send() -> None:
            for number in range(count):
                client.send(with_number(number))

        sender = threading.Thread(target=send)
        sender.start()
        wait_until(lambda: any(connection.flow.write_paused for connection in server.connections))
        answers = client.answers(count)
        sender.join()
    locations = [answer.header(b"location") or b"" for answer in answers]
    assert [location.split(b"&")[0] for location in locations] == [
        b"https://shop.example/p?n=%d" % number for number in range(count)
    ]
    clicks = [click.click_id for click in server.clicks()]
    assert [answer.token.click_id for answer in answers if answer.token] == clicks


@pytest.mark.parametrize("before", [b"", TAP, HEAD])
def test_slow_heads(brief: LaneServer, before: bytes) -> None:
    """Part of a head and no more of it is 408 and the connection's end, after the answers to what came before."""
    with Client(brief) as client:
        client.send(before)
        client.send(TAP[:40])
        answers = client.answers(3)
    assert [answer.status for answer in answers] == [302] * bool(before) + [408]
    assert answers[-1].header(b"connection") == b"close"
    assert answers[-1].header(b"cache-control") == b"private, no-store"


def test_heads_that_trickle(brief: LaneServer) -> None:
    """A head has its time in all, however often a byte of it comes."""
    with Client(brief) as client:
        client.send(b"GET /anna HTTP/1.1\r\nA: ")
        client.socket.settimeout(0.02)
        answer = None
        while answer is None:
            client.send(b"b")
            with suppress(TimeoutError):
                answer = client.answer()
    assert answer.status == 408


@pytest.mark.parametrize("before", [b"", TAP, HEAD, b"\r\n"])
def test_idle_connections(brief: LaneServer, before: bytes) -> None:
    """A connection on which nothing happens is closed without a word, whatever came before."""
    with Client(brief) as client:
        client.send(before)
        answers = client.answers(2)
    assert [answer.status for answer in answers] == [302] * (before in {TAP, HEAD})
    wait_until(lambda: not brief.connections)


def test_bodies_that_stop(brief: LaneServer) -> None:
    """The rest of a body is not waited for without end."""
    with Client(brief) as client:
        client.send(POST + b"a")
        assert client.answer() is None


def test_answers_that_are_never_read(brief: LaneServer) -> None:
    """A client that does not read is given up, with what was to be sent to it."""
    with Client(brief, receive_buffer=4096) as client:
        sends_until_blocked(brief, client, TAP)
        wait_until(lambda: not brief.connections)


@pytest.mark.parametrize("sent", [[TAP], [TAP[:40], TAP[40:]]])
def test_busy_connections_stay(tmp_path: Path, fast: bool, sent: list[bytes]) -> None:  # noqa: FBT001
    """A connection that is used is not closed, however old it is, and each head has its own time."""
    patient = Sweeper(head_timeout_s=1.0, interval_s=0.05)
    with LaneServer(tmp_path, fast=fast, sweeper=patient, keep_alive_s=1) as server, Client(server) as client:
        (connection,) = wait_until(lambda: server.connections)
        for _ in range(25):
            for piece in sent:
                client.send(piece)
                server.turn()
                wait_until(lambda: connection._silent_s > 0)
            answer = client.answer()
            assert answer is not None
            assert answer.status == 302


def test_a_slow_reader_is_not_given_up(brief: LaneServer) -> None:
    """A client that goes on reading a large answer is not idle, however long it takes."""
    body = b"x" * 10_000_000
    with Client(brief, receive_buffer=4096) as client:
        client.send(POST.replace(b"Length: 2", b"Length: %d" % len(body)) + body)
        (connection,) = brief.connections
        wait_until(connection.transport.get_write_buffer_size)
        for _ in range(25):
            unsent = connection.transport.get_write_buffer_size()
            while connection.transport.get_write_buffer_size() == unsent:
                assert client.socket.recv(4096)
            wait_until(lambda: connection._unsent_bytes == connection.transport.get_write_buffer_size())
        assert brief.connections == [connection]


def test_a_slow_commit_is_waited_for(tmp_path: Path, fast: bool, disk: Disk) -> None:  # noqa: FBT001
    """A client that waits for us is not idle."""
    with (
        LaneServer(tmp_path, fast=fast, sync=JournalSync.GROUP, sweeper=BRIEF, keep_alive_s=1) as server,
        tap_under_way(server, disk) as client,
    ):
        (connection,) = server.connections
        wait_until(lambda: connection._silent_s > 1.5)
        disk.release()
        assert client.answer()


def test_without_connections_nothing_is_swept(brief: LaneServer) -> None:
    """A server without connections has nothing to do."""
    with Client(brief) as client:
        client.send(TAP)
        assert client.answer()
        assert BRIEF._sweeps
    wait_until(lambda: not BRIEF._sweeps)
