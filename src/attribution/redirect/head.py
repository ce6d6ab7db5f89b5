"""The common request, read without the general parser: one plain GET of a link, whole in one piece.

Browsers of one make send the same head but for its first line, Cookie and Referer. So these are cut out, and what
the rest says is looked up. Whatever is not plain (another method or version, a body, pipelining, `Connection:
close`, an odd byte) is left to the general parser, which alone decides what is an error.
"""

import re
from typing import Final

from attribution.domain.links import RESERVED_SLUGS

from .tap import Said, Tap, TapReader, referrer_host_of
from .visitor import VISITOR_COOKIE, visitor_in

_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_COOKIE: Final = b"\r\nCookie: "
_REFERER: Final = b"\r\nReferer: "
_VISITOR: Final = VISITOR_COOKIE + b"="
_VISITOR_MAX_LENGTH: Final = 64
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_REQUEST: Final = re.compile(rb"GET /([A-Za-z0-9_-]{1,64})(?:\?([!\"$-~]*))? HTTP/1\.1")
_TEXT: Final = re.compile(rb"[\t -~\x80-\xff]*")
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_DECIDES_FRAMING: Final = frozenset(
    {b"connection", b"proxy-connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"trailer"}
)
_HEAD_MAX_BYTES: Final = 16 * 1024
_KEPT_MAX: Final = 4096
_KEPT_MAX_BYTES: Final = 2048


class HeadReader:
    """Remembers at most `_KEPT_MAX` heads of either kind, then begins anew."""

    def __init__(self, taps: TapReader) -> None:
        self._taps = taps
        self._known: dict[bytes, Said] = {}
        """By all but the first line and the cookie."""
        self._makes: dict[bytes, Said] = {}
        """By all but these and the referrer: what browsers of one make have in common."""

    def read(self, data: bytes) -> Tap | None:
        """None: not a plain GET of a link."""
        if data[-4:] != _END or len(data) > _HEAD_MAX_BYTES:
            return None
        end = data.find(_LINE_END)
        request = _REQUEST.fullmatch(data, 0, end)
        if request is None:
            return None
        head, cookie, after = data[end:].partition(_COOKIE)
        visitor: bytes | None = b""
        if cookie:
            value, line_end, after = after.partition(_LINE_END)
            visitor = _visitor(value)
            head += line_end + after
        said = self._known.get(head) or self._understand(head)
        # Two cookie headers are rare enough to be left to the general parser.
        if said is None or visitor is None or (said.visitor and cookie):
            return None
        slug, query = request[1].decode(), request[2] or b""
        return Tap("GET", slug, query, said, visitor or said.visitor) if slug not in RESERVED_SLUGS else None

    def _understand(self, head: bytes) -> Said | None:
        before, referer, after = head.partition(_REFERER)
        if not referer:
            return self._of_make(head)
        value, line_end, after = after.partition(_LINE_END)
        said = self._of_make(before + line_end + after)
        if said is None or said.referrer_host or _TEXT.fullmatch(value) is None:
            return None
        said = said._replace(referrer_host=referrer_host_of(value.strip(b" \t")))
        if not (said.visitor or said.forwarded_for):
            _keep(self._known, head, said)
        return said

    def _of_make(self, head: bytes) -> Said | None:
        said = self._makes.get(head)
        if said is None:
            headers = _headers(head)
            if headers is None:
                return None
            said = self._taps.said(headers)
            if not (said.visitor or said.forwarded_for):
                _keep(self._makes, head, said)
                _keep(self._known, head, said)
        return said


def _visitor(cookie: bytes) -> bytes | None:
    """Empty for none; None: not plain."""
    if cookie.startswith(_VISITOR) and 0 < len(cookie) - len(_VISITOR) <= _VISITOR_MAX_LENGTH:
        visitor = cookie[len(_VISITOR) :]
        if not visitor.translate(None, _ALPHABET):
            return visitor
    return visitor_in((cookie,)) if _TEXT.fullmatch(cookie) is not None else None


def _headers(head: bytes) -> list[tuple[bytes, bytes]] | None:
    """`head` begins with a line end. None: not plain."""
    headers = []
    for line in head.removesuffix(_END).split(_LINE_END)[1:]:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        name, value = match[1].lower(), match[2].rstrip(b" \t")
        if name in _DECIDES_FRAMING and not (name == b"connection" and value.lower() == b"keep-alive"):
            return None
        headers.append((name, value))
    return headers


def _keep(heads: dict[bytes, Said], head: bytes, said: Said) -> None:
    if len(head) <= _KEPT_MAX_BYTES:
        if len(heads) >= _KEPT_MAX:
            heads.clear()
        heads[head] = said
