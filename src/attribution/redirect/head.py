"""The common request, read without the general parser: one plain GET of a link, whole in one piece.

Followers' browsers send the same header lines again and again, so a line is understood once and then looked up.
Whatever is not plain (another method or version, a body, pipelining, `Connection: close`, an odd byte) is left to
the general parser, which alone decides what is an error.
"""

import re
from typing import Final, Literal

from attribution.domain.links import RESERVED_SLUGS

from .tap import Meaning, Tap, meaning_of

_REQUEST: Final = re.compile(rb"GET /([A-Za-z0-9_-]{1,64})(?:\?([!\"$-~]*))? HTTP/1\.1")
_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_DECIDES_FRAMING: Final = frozenset(
    {b"connection", b"proxy-connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"trailer"}
)
_HEAD_MAX_BYTES: Final = 16 * 1024
_LINES_KEPT: Final = 16_384
_LINE_KEPT_MAX_BYTES: Final = 1024

_NOTHING: Final = "nothing"
_NOT_PLAIN: Final = "not plain"
_Understood = Meaning | Literal["nothing", "not plain"]


class HeadReader:
    """Holds at most `_LINES_KEPT` lines, then begins anew."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Understood] = {}

    def read(self, data: bytes) -> Tap | None:
        """None: not a plain GET of a link."""
        if data[-4:] != b"\r\n\r\n" or len(data) > _HEAD_MAX_BYTES:
            return None
        lines = data[:-4].split(b"\r\n")
        request = _REQUEST.fullmatch(lines[0])
        if request is None:
            return None
        slug, query = request.groups(b"")
        tap = Tap("GET", slug.decode(), query)
        if tap.slug in RESERVED_SLUGS:
            return None
        del lines[0]
        known = self._known
        for line in lines:
            understood = known.get(line) or self._understand(line)
            if understood is _NOTHING:
                continue
            if understood is _NOT_PLAIN:
                return None
            tap.hear(understood)  # type: ignore[arg-type]
        return tap

    def _understand(self, line: bytes) -> _Understood:
        understood = _understood(line)
        if len(line) <= _LINE_KEPT_MAX_BYTES:
            if len(self._known) >= _LINES_KEPT:
                self._known.clear()
            self._known[line] = understood
        return understood


def _understood(line: bytes) -> _Understood:
    match = _LINE.fullmatch(line)
    if match is None:
        return _NOT_PLAIN
    name, value = match[1].lower(), match[2]
    if name in _DECIDES_FRAMING and not (name == b"connection" and value.lower() == b"keep-alive"):
        return _NOT_PLAIN
    return meaning_of(name, value) or _NOTHING
