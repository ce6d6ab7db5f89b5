"""uvicorn's HTTP parser with bounds on what one connection may send, and a drain that fails no request."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

HEAD_MAX_BYTES = 64 * 1024
_DRAIN_S = 0.5
_TOO_LARGE = b"".join(
    (
        STATUS_LINE[431],
        b"cache-control: private, no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
)


class _HeadTooLargeError(Exception):
    pass


class BoundedHttpProtocol(HttpToolsProtocol):
    """Relies on uvicorn's names `data_received`, `on_*`, `send_400_response`, `shutdown`, `cycle`, `transport`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._in_head = False
        self._unparsed_bytes = 0
        self._too_large = False
        self._draining = False

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        # A header that never ends is kept by the parser and not handed out, so it is counted as it comes in.
        if was_in_head and self._in_head and not self.transport.is_closing():
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > HEAD_MAX_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        # Bytes outside ASCII are no valid path, but they are no reason to fall out of the table of answers either.
        super().on_url(url if url.isascii() else b"".join(_percent(byte) for byte in url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

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
        if self._answering():
            super().shutdown()
            return
        self._draining = True
        self.loop.call_later(_DRAIN_S, super().shutdown)

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete


def _percent(byte: int) -> bytes:
    return bytes((byte,)) if byte < 0x80 else b"%%%02X" % byte  # noqa: PLR2004
