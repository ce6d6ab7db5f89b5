"""HTTP for both lanes: uvicorn's protocol, which answers plain taps by itself and bounds what a client may send.

A plain tap (redirect/head.py) on a held link never reaches the parser, ASGI or a task. Everything else takes
uvicorn's own way, so its answers, and all errors, are uvicorn's. docs/adr/0006-fast-lane.md tells why.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from attribution.redirect.head import HeadReader
from attribution.redirect.lane import RedirectLane

HEAD_MAX_BYTES = 64 * 1024
_DRAIN_S = 0.5
_ASCII_END = 0x80
_HEAD_END = b"\r\n\r\n"
_TOO_LARGE = STATUS_LINE[431] + b"cache-control: private, no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _HeadTooLargeError(Exception):
    pass


class BoundedHttpProtocol(HttpToolsProtocol):
    """Bounds the head of a request, and drains without failing one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._in_head = False
        self._in_message = False
        self._unparsed_bytes = 0
        self._too_large = False
        self._draining = False

    def data_received(self, data: bytes) -> None:
        all_head = self._in_head or not (self._in_message or _HEAD_END in data)
        super().data_received(data)
        # A header that never ends is kept by the parser and not handed out, so it is counted as it comes in.
        if all_head and self._in_head and not self.transport.is_closing():
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > HEAD_MAX_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = self._in_message = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        # Bytes outside ASCII are no valid path, but they are no reason to fall out of the table of answers either.
        super().on_url(url if url.isascii() else b"".join(_percent(byte) for byte in url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value) + 4)
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES:
            self._too_large = True
            raise _HeadTooLargeError

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def shutdown(self) -> None:
        """An idle connection may have a request on its way: it is answered, with `Connection: close`."""
        self._draining = True
        if self._in_cycle():
            super().shutdown()
        else:
            self.loop.call_later(_DRAIN_S, self._end)

    def _end(self) -> None:
        if not self._in_cycle():
            self.transport.close()

    def _in_cycle(self) -> bool:
        """Whether an ASGI application has a request of this connection."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete


def _percent(byte: int) -> bytes:
    return bytes((byte,)) if byte < _ASCII_END else b"%%%02X" % byte


class ServerHeaders:
    """The lines that uvicorn gives to every answer, made once a second as it makes them."""

    def __init__(self) -> None:
        self._headers: object = None
        self._lines = b""

    def of(self, state: ServerState) -> bytes:
        headers = state.default_headers
        if headers is not self._headers:
            self._headers = headers
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._lines


class FastLaneProtocol(BoundedHttpProtocol):
    """Relies on uvicorn's names that tests/unit/test_uvicorn.py lists."""

    def __init__(
        self, lane: RedirectLane, reader: HeadReader, server_headers: ServerHeaders, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._lane = lane
        self._read = reader.read
        self._server_headers = server_headers
        self._address = b""
        self._parser_has_it = False
        """Between the first byte that the general parser saw and the end of the answer to it."""
        self._awaiting = False
        self._held = b""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self._lane.kept_address(self.client)

    def data_received(self, data: bytes) -> None:
        if self._awaiting:
            self._hold(data)
        elif self._parser_has_it or self.flow.write_paused or not self._tapped(data):
            self._parser_has_it = True
            super().data_received(data)

    def _tapped(self, data: bytes) -> bool:
        tap = self._read(data)
        if tap is None or self._draining:
            return False
        self._awaiting = True
        if self._lane.tap(tap, self._address, self._server_headers.of(self.server_state), self):
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            return True
        self._awaiting = False
        return False

    def _hold(self, data: bytes) -> None:
        """A client that sends more before it has its answer waits, so that answers keep their order."""
        self._held += data
        self.flow.pause_reading()

    def answer(self, response: bytes) -> None:
        self._awaiting = False
        if self.transport.is_closing():
            return
        self.transport.write(response)
        if self._held:
            held, self._held = self._held, b""
            self.flow.resume_reading()
            self.data_received(held)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._return_from_parser()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._return_from_parser()

    def _return_from_parser(self) -> None:
        self._parser_has_it = self._in_message or self._in_cycle() or bool(self.pipeline)
