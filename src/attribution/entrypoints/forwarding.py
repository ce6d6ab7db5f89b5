"""Hands requests without a body to a process beside this one, and its answers back as they come."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import httptools
import structlog

from attribution.api.problems import problem

from .connected import while_connected

_log = structlog.get_logger(__name__)
_PIECE_BYTES: Final = 64 * 1024
_CONNECT_TIMEOUT_S: Final = 5.0
_OWN: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"date"})
"""Headers of one connection, not of what is said over it."""


class Forwarder:
    """An ASGI application; 503 when the other process is gone before it answers."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = _Answer(send)

        async def ended() -> Any:
            """An answer that has begun goes on for who has ended only its own side of the connection."""
            message = await receive()
            while answer.started and message["type"] != "http.disconnect":
                message = await receive()
            return message

        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(_head(scope))
                await while_connected(answer.relay(reader), ended)
            finally:
                writer.close()
            if not answer.started:
                # Who has ended one side of its connection only hears why there is nothing.
                await problem(400, "the connection was ended before the answer")(scope, receive, send)
        except (OSError, httptools.HttpParserError) as error:
            if answer.started:
                raise
            _log.warning("question_not_answered", error=repr(error))
            await problem(503, "what answers questions is away; try again")(scope, receive, send)


def _head(scope: Any) -> bytes:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = b"".join(b"%b: %b\r\n" % header for header in _spoken(scope["headers"]))
    return b"GET %b%b HTTP/1.1\r\n%bconnection: close\r\n\r\n" % (scope["raw_path"], query, headers)


def _spoken(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in _OWN]


class _Answer:
    """What the parser finds goes out by the piece, as fast as the client takes it."""

    def __init__(self, send: Any) -> None:
        self.started = False
        self._send = send
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._has_head = self._is_whole = False

    async def relay(self, reader: asyncio.StreamReader) -> None:
        while not self._is_whole:
            data = await reader.read(_PIECE_BYTES)
            if not data:
                raise ConnectionResetError
            self._parser.feed_data(data)
            await self._pass_on()

    async def _pass_on(self) -> None:
        if self._has_head and not self.started:
            self.started = True
            status, headers = self._parser.get_status_code(), _spoken(self._headers)
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
        body, self._body = b"".join(self._body), []
        if body or self._is_whole:
            await self._send({"type": "http.response.body", "body": body, "more_body": not self._is_whole})

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._is_whole = True
