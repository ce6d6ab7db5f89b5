"""A server on a loopback port with the fast lane or without it, and a client that speaks in raw bytes."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn
import uvloop
from tests.redirecting import TOKENS, VISITOR, make_answerer, make_link, tap_reader
from tests.support.waiting import wait_until

from attribution.domain.click_id import SignedClick
from attribution.domain.clicks import Click, unpack_click
from attribution.domain.ids import ClickId
from attribution.domain.links import Link
from attribution.entrypoints.application import Application
from attribution.entrypoints.http_protocol import BoundedHttpProtocol, http_protocol
from attribution.entrypoints.sweeper import Sweeper
from attribution.journal import Corrupt, Journal, JournalDirectory, JournalPolicy, split_frames
from attribution.redirect.head import KnownHeads
from attribution.redirect.lane import RedirectLane
from attribution.redirect.link_cache import LinkCache, LinkCachePolicy
from attribution.redirect.recorder import ClickRecorder
from attribution.settings import JournalSync

T = TypeVar("T")
WARM = {
    "anna": make_link(),
    "ben": make_link("https://shop.example/q?a=1#f"),
    "gone": make_link(status="disabled"),
    "elsewhere": make_link(status="disabled", fallback_url="https://f.example/"),
}
_TOKEN = re.compile(rb"click_id=([A-Za-z0-9_-]{56})")
_NEW_VISITOR = re.compile(rb"attribution_visitor=[A-Za-z0-9_-]{22};")
_SAME_CLICK = ClickId(bytes(16))
_PATIENCE_S = 20.0


class FixedLinks:
    """The warm links, and any slug that begins with `cold`."""

    async def find(self, slugs: Sequence[str]) -> Mapping[str, Link | None]:
        return {slug: make_link() if slug.startswith("cold") else WARM.get(slug) for slug in slugs}

    async def edits(self) -> AsyncIterator[Link | None]:
        for link in WARM.values():
            yield link

    async def newest(self, count: int) -> AsyncIterator[Sequence[Link]]:
        yield list(WARM.values())[:count]


async def api(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was sent."""
    body = b"" if scope["method"] == "HEAD" else b"alive"
    if scope["method"] == "POST":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        for _ in range(3):  # as one that asks others before it answers
            await asyncio.sleep(0)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class LaneServer:
    """Runs in a thread of its own, on uvloop as the real one does."""

    def __init__(
        self,
        directory: Path,
        *,
        fast: bool,
        sync: JournalSync = JournalSync.NONE,
        sweeper: Sweeper | None = None,
        keep_alive_s: int = 75,
    ) -> None:
        claimed = JournalDirectory.claim(directory)
        assert claimed is not None
        self._directory = claimed
        self._journal = Journal(claimed, JournalPolicy(segment_bytes=1 << 30, memory_bytes=1 << 20))
        self._fast = fast
        self._sync = sync
        self._sweeper = sweeper or Sweeper()
        self._keep_alive_s = keep_alive_s
        self._socket = socket.create_server(("127.0.0.1", 0))
        # Small, so that a client that does not read is felt soon.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"fast={fast}")
        self.server: uvicorn.Server | None = None
        self.asgi_requests = 0

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.server is not None and self.server.server_state.default_headers)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive()
        self._journal.close()
        self._directory.release()

    def stop(self) -> None:
        assert self.server is not None
        self.server.should_exit = True

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        policy = LinkCachePolicy(links=100_000, unknown_slugs=100, ttl_s=3600, lookup_timeout_s=5)
        links = LinkCache(FixedLinks(), policy)
        for slug in WARM:
            await links.find(slug)
        lane = RedirectLane(tap_reader(), links, make_answerer(), ClickRecorder(self._journal, self._sync))
        application = Application(lane, api, KnownHeads(tap_reader()))

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            self.asgi_requests += 1
            await application(scope, receive, send)

        protocol: Any = (
            http_protocol(application, self._sweeper) if self._fast else partial(BoundedHttpProtocol, self._sweeper)
        )
        config = uvicorn.Config(
            counted,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self._keep_alive_s,
            timeout_graceful_shutdown=10,
        )
        self.server = uvicorn.Server(config)
        await self.server.serve(sockets=[self._socket])

    def within(self, ask: Callable[[], T]) -> T:
        """Asked in the server's own loop."""

        async def asked() -> T:
            return ask()

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(_PATIENCE_S)

    def turn(self) -> None:
        """Back when the server has seen what was sent before."""

        async def turns() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(turns(), self._loop).result(_PATIENCE_S)

    @property
    def connections(self) -> list[Any]:
        server = self.server
        assert server is not None
        return self.within(lambda: list(server.server_state.connections))

    def clicks(self) -> list[Click]:
        """All that are in the journal."""
        records = list(split_frames(self._directory.segment_path(1).read_bytes()))
        assert not any(isinstance(record, Corrupt) for record in records)
        return [unpack_click(record) for record in records if isinstance(record, bytes)]


@dataclass(frozen=True)
class Answer:
    """`head`: status line and headers in order of their names."""

    head: tuple[bytes, ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head[0].split(b" ")[1])

    def header(self, name: bytes) -> bytes | None:
        return next((line[len(name) + 2 :] for line in self.head[1:] if line.startswith(name + b": ")), None)

    @property
    def token(self) -> SignedClick | None:
        found = _TOKEN.search(self.header(b"location") or b"")
        if found is None:
            return None
        signed = TOKENS.parse(found[1].decode())
        assert isinstance(signed, SignedClick)
        return signed

    def normal(self) -> "Answer":
        """Without what differs between two answers to the same request."""
        return Answer(tuple(_normal(line) for line in self.head), self.body)


def _normal(line: bytes) -> bytes:
    if line.startswith(b"date: "):
        return b"date: now"
    return _NEW_VISITOR.sub(b"attribution_visitor=NEW;", _TOKEN.sub(b"click_id=TOKEN", line))


def normal_click(click: Click) -> Click:
    """Without what differs between two clicks of the same request."""
    known = click.visitor_id is None or click.visitor_id.encode() in {VISITOR, b"abc"}
    return replace(click, click_id=_SAME_CLICK, visitor_id=click.visitor_id if known else "NEW")


class Client:
    def __init__(self, server: LaneServer, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(_PATIENCE_S)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        # A server that has closed is seen by what is, or is not, received.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)

    def answer(self) -> Answer | None:
        """None: the server closed."""
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                assert not self._received
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        answer = Answer((first, *sorted(headers)), b"")
        length = int(answer.header(b"content-length") or 0)
        while len(self._received) < length:
            assert self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(answer.head, body)

    def answers(self, count: int) -> list[Answer]:
        """As many, or fewer if the server closes."""
        answers: list[Answer] = []
        while len(answers) < count and (answer := self.answer()) is not None:
            answers.append(answer)
        return answers
