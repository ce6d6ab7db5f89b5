"""HTTP for both lanes: uvicorn's protocol, which answers plain taps by itself and bounds what a client may cost.

A plain tap (redirect/head.py) on a held link never reaches the parser, ASGI or a task. Everything else takes
uvicorn's own way, so its answers are uvicorn's. docs/adr/0006-fast-lane.md tells why.
"""

from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from attribution.redirect.address import NO_ADDRESS
from attribution.redirect.head import HeadReader, KnownHeads
from attribution.redirect.lane import RedirectLane

from .application import Application
from .sweeper import Sweeper

_log = structlog.get_logger(__name__)
HEAD_MAX_BYTES = 64 * 1024
_PIECE_BYTES = 16 * 1024
_DRAIN_S = 0.5
_ASCII_END = 0x80
_HEAD_END = b"\r\n\r\n"
_REFUSAL = b"cache-control: private, no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

RELIED_ON: Final[dict[type, frozenset[str]]] = {
    HttpToolsProtocol: frozenset({
        "client", "connections", "cycle", "flow", "loop", "pipeline", "server_state", "timeout_keep_alive",
        "timeout_keep_alive_task", "transport", "connection_lost", "connection_made", "data_received", "eof_received",
        "on_header", "on_headers_complete", "on_message_begin", "on_message_complete", "on_response_complete",
        "on_url", "send_400_response", "shutdown", "_unset_keepalive_if_required",
    }),
    RequestResponseCycle: frozenset({
        "disconnected", "keep_alive", "message_event", "response_complete", "response_started",
    }),
    FlowControl: frozenset({"pause_reading", "read_paused", "resume_reading", "write_paused"}),
    ServerState: frozenset({"connections", "default_headers"}),
}  # fmt: skip
"""Names of uvicorn's that are not its public interface; tests/unit/test_uvicorn.py holds what they mean."""


def http_protocol(application: Application, sweeper: Sweeper | None = None) -> Any:
    """For `uvicorn.Config(http=...)`: without the fast lane where this uvicorn is not what it was made for."""
    sweeper = sweeper or Sweeper()
    lacking = lacking_names()
    if lacking:
        _log.warning("fast_lane_off", uvicorn=uvicorn.__version__, lacks=lacking)
        return partial(BoundedHttpProtocol, sweeper)
    return partial(FastLaneProtocol, application.redirect, application.heads, ServerHeaders(), sweeper)


def lacking_names() -> list[str]:
    return sorted(f"{kind.__name__}.{name}" for kind, names in RELIED_ON.items() for name in names - _names_of(kind))


def _names_of(kind: Any) -> set[str]:
    code = getattr(kind.__init__, "__code__", None)
    return {*dir(kind), *(code.co_names if code is not None else ())}


class _Flow(FlowControl):
    """Reads no more while something that was read has to wait."""

    backlog = False

    def resume_reading(self) -> None:
        if not self.backlog:
            super().resume_reading()


class _HeadTooLargeError(Exception):
    pass


class BoundedHttpProtocol(HttpToolsProtocol):
    """Bounds a client in bytes and time, keeps answers in order, and drains without failing a request."""

    flow: _Flow

    def __init__(self, sweeper: Sweeper, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sweeper = sweeper
        self._head_bytes = 0
        self._in_target = False
        self._in_head = False
        self._in_message = False
        self._unparsed_bytes = 0
        self._too_large = False
        self._draining = False
        self._held = b""
        """What came in before its turn."""
        self._refusal = b""
        """What is said when all before it is answered, and the last word."""
        self._ends = False
        """No more is to come: what is in is answered, then the connection closes."""
        self._silent_s = 0.0
        self._head_s = 0.0
        self._unsent_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._sweeper.watch(self.loop, self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self.flow.backlog = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._silent_s = 0.0
        if len(data) > _PIECE_BYTES or self._held or self.pipeline or self._refusal:
            self._take(self._held + data)
        else:
            self._parse(data)

    def _take(self, data: bytes) -> None:
        """By the piece: a request that waits for its turn costs far more memory than its bytes do."""
        taken = 0
        while taken < len(data) and not (self.pipeline or self._refusal or self.transport.is_closing()):
            self._parse(data[taken : taken + _PIECE_BYTES])
            taken += _PIECE_BYTES
        if not self.transport.is_closing():
            self._hold(b"" if self._refusal else data[taken:])

    def _hold(self, data: bytes) -> None:
        self._held = data
        self.flow.backlog = bool(data or self._refusal)
        if self.flow.backlog:
            self.flow.pause_reading()

    def _parse(self, data: bytes) -> None:
        in_target = self._in_target or not self._in_message
        if in_target and not data.isascii():
            # Some apps send what they were given, umlauts and all; the parser would lose us their taps.
            target, line_end, rest = data.partition(b"\n")
            data = b"".join(_percent(byte) for byte in target) + line_end + rest
        self._in_target = in_target and b"\n" not in data
        all_head = self._in_head or not (self._in_message or _HEAD_END in data)
        super().data_received(data)
        # A header that never ends is kept by the parser and not handed out, so it is counted as it comes in.
        if all_head and self._in_head and not self._refusal:
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > HEAD_MAX_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._head_bytes = self._unparsed_bytes = 0
        self._head_s = 0.0
        self._in_head = self._in_message = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value) + 4)
        # What comes after a body is no header: the application may have read those already.
        if self._in_head:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._refusal and last:
            self._end_with(self._refusal)
            return
        if self._held:
            self.flow.backlog = False
            self.flow.resume_reading()
            self._take(self._held)
        self._end_if_done()

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_MAX_BYTES:
            self._too_large = True
            raise _HeadTooLargeError

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._too_large else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """What the parser is in can't be answered otherwise; what came before it is answered first."""
        if self._refusal:
            return
        headers = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self._refusal = b"HTTP/1.1 %d %b\r\n%b%b" % (status, status.phrase.encode(), headers, _REFUSAL)
        in_body = self._in_message and not self._in_head
        self._in_head = self._in_message = False
        if in_body and self.pipeline:
            self.pipeline.popleft()
        elif in_body and self._in_cycle():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end_with(b"" if self.cycle.response_started else self._refusal)
        elif in_body or not self._in_cycle():
            self._end_with(b"" if in_body else self._refusal)

    def _end_with(self, last_word: bytes) -> None:
        if last_word:
            self.transport.write(last_word)
        self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it had to say may still listen."""
        self._ends = True
        owes_answer = self._owes_answer()
        if owes_answer and self.cycle is not None:
            # An application that waits for more of the request hears that there is none.
            self.cycle.message_event.set()
        return owes_answer

    def _owes_answer(self) -> bool:
        """Whether a request that came in whole has none yet."""
        whole = self._in_head or not self._in_message or bool(self.pipeline)
        return bool(self._held) or (whole and self._in_cycle())

    def _end_if_done(self) -> None:
        if self._ends and not self._owes_answer():
            self.transport.close()

    def swept(self, sweeper: Sweeper) -> None:
        """Closes what is silent for too long, unless it waits for us."""
        self._silent_s += sweeper.interval_s
        self._head_s += sweeper.interval_s
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._silent_s = unsent, 0.0
        if self._in_head and self._head_s > sweeper.head_timeout_s and not self.flow.read_paused:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._silent_s > self.timeout_keep_alive:
            if unsent:
                self.transport.abort()
            elif not (self._owes_answer() or self.flow.read_paused):
                self.transport.close()

    def shutdown(self) -> None:
        """An idle connection may have a request on its way: it is answered, with `Connection: close`."""
        self._draining = True
        if self._in_cycle():
            super().shutdown()
        else:
            self.loop.call_later(_DRAIN_S, self._end)

    def _end(self) -> None:
        self._ends = True
        if not self._in_cycle():
            self._end_if_done()

    def _in_cycle(self) -> bool:
        """Whether an ASGI application has a request of this connection."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete


def _percent(byte: int) -> bytes:
    return bytes((byte,)) if byte < _ASCII_END else b"%%%02X" % byte


class ServerHeaders:
    """The headers that uvicorn gives to every answer, as `lines`, made once a second as it makes them."""

    def __init__(self) -> None:
        self.made_of: object = None
        self.lines = b""

    def make(self, state: ServerState) -> None:
        self.made_of = state.default_headers
        self.lines = b"".join(b"%b: %b\r\n" % header for header in state.default_headers)


class FastLaneProtocol(BoundedHttpProtocol):
    """Answers plain taps itself."""

    def __init__(
        self, lane: RedirectLane, heads: KnownHeads, server_headers: ServerHeaders, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._kept_address = lane.kept_address
        self._tap = lane.tap
        self._read = HeadReader(heads).read
        self._server_headers = server_headers
        self._address = NO_ADDRESS
        self._parser_has_it = False
        """Between the first byte that the general parser saw and the end of the answer to it."""
        self._awaiting = False
        self._unfinished = False
        """Something is to be done after the answer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self._kept_address(self.client)

    def data_received(self, data: bytes) -> None:
        self._silent_s = 0.0
        if self._awaiting:
            # A client that sends more before it has its answer waits, so that answers keep their order.
            self._unfinished = True
            self._hold(self._held + data)
            return
        if not (self._parser_has_it or self._draining or self.flow.write_paused):
            tap = self._read(data)
            if tap is not None:
                headers = self._server_headers
                if headers.made_of is not self.server_state.default_headers:
                    headers.make(self.server_state)
                self._awaiting = True
                if self._tap(tap, self._address, headers.lines, self):
                    if self.timeout_keep_alive_task is not None:
                        self._unset_keepalive_if_required()
                    return
                self._awaiting = False
        self._parser_has_it = True
        super().data_received(data)

    def answer(self, response: bytes) -> None:
        self._awaiting = False
        if self.transport.is_closing():
            return
        self.transport.write(response)
        if self._unfinished:
            # Others of the same commit wait for their answers.
            self._awaiting = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._awaiting = self._unfinished = False
        if self.transport.is_closing():
            return
        held = self._held
        self._hold(b"")
        self.flow.resume_reading()
        if held:
            self.data_received(held)
        self._end_if_done()

    def eof_received(self) -> bool:  # type: ignore[override]
        self._unfinished = True
        return super().eof_received()

    def _end(self) -> None:
        self._unfinished = True
        super()._end()

    def _owes_answer(self) -> bool:
        return self._awaiting or super()._owes_answer()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._return_from_parser()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._return_from_parser()

    def _return_from_parser(self) -> None:
        self._parser_has_it = self._in_message or self._in_cycle() or bool(self.pipeline)
