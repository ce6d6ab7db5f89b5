"""The common request, read without the general parser: one plain GET of a link, whole in one piece.

Browsers of one make send the same head but for its first line, Cookie and Referer. So these are cut out, and what
the rest says is looked up. Whatever is not plain (another method or version, a body, pipelining, `Connection:
close`, an odd byte) is left to the general parser, which alone decides what is an error.
"""

import re
from typing import Final

from attribution.domain.links import RESERVED_SLUGS, SLUG_MAX_LENGTH

from .tap import Said, Tap, TapReader, referrer_host_of
from .visitor import VISITOR_CHARACTERS, VISITOR_COOKIE, VISITOR_MAX_LENGTH, visitor_in

_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_COOKIE: Final = b"\r\nCookie: "
_REFERER: Final = b"\r\nReferer: "
_OUR_COOKIE: Final = VISITOR_COOKIE + b"="
_NOTHING_YET: Final = b"\0"
_METHOD: Final = b"GET /"
_VERSION: Final = b" HTTP/1.1"
_TARGET: Final = re.compile(rb"([A-Za-z0-9_-]{1,64})(?:\?([!\"$-~]*))?")
_TEXT: Final = re.compile(rb"[\t -~\x80-\xff]*")
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_DECIDES_FRAMING: Final = frozenset(
    {b"connection", b"proxy-connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"trailer"}
)
_TARGET_STARTS: Final = len(_METHOD)
_LINE_MIN_BYTES: Final = len(_METHOD) + len(_VERSION)
_HEAD_MAX_BYTES: Final = 16 * 1024
_KEPT_MAX: Final = 4096
_KEPT_MAX_BYTES: Final = 2048


class KnownHeads:
    """What heads said before, shared by all connections: at most `_KEPT_MAX` of either kind, then begun anew."""

    def __init__(self, taps: TapReader) -> None:
        self._taps = taps
        self._known: dict[bytes, Said] = {}
        """By all but the first line and the cookie."""
        self._makes: dict[bytes, Said] = {}
        """By all but these and the referrer: what browsers of one make have in common."""

    def said(self, head: bytes) -> Said | None:
        """`head`: from the end of its first line on, without the cookie. None: not plain."""
        return self._known.get(head) or self._understand(head)

    def _understand(self, head: bytes) -> Said | None:
        before, referer, after = head.partition(_REFERER)
        if not referer:
            return self._of_make(head)
        value, line_end, after = after.partition(_LINE_END)
        said = self._of_make(before + line_end + after)
        if said is None or said.referrer_host or _TEXT.fullmatch(value) is None:
            return None
        said = said._replace(referrer_host=referrer_host_of(value.strip(b" \t")))
        _keep(self._known, head, said)
        return said

    def _of_make(self, head: bytes) -> Said | None:
        said = self._makes.get(head)
        if said is None:
            headers = _headers(head)
            if headers is None:
                return None
            said = self._taps.said(headers)
            _keep(self._makes, head, said)
            _keep(self._known, head, said)
        return said


class HeadReader:
    """Of one connection. What its browser sends again, one comparison recognises."""

    def __init__(self, heads: KnownHeads) -> None:
        self._heads = heads
        self._before = self._after = _NOTHING_YET
        """The last head round its visitor, without the first line, and what it said but for the cookie."""
        self._said = Said()

    def read(self, data: bytes) -> Tap | None:
        """None: not a plain GET of a link."""
        end = data.find(_LINE_END)
        if end < _LINE_MIN_BYTES or data[-4:] != _END or len(data) > _HEAD_MAX_BYTES:
            return None
        target_ends = end - len(_VERSION)
        if data[:_TARGET_STARTS] != _METHOD or data[target_ends:end] != _VERSION:
            return None
        target, query = data[_TARGET_STARTS:target_ends], b""
        if not target.isalnum() or len(target) > SLUG_MAX_LENGTH:
            match = _TARGET.fullmatch(target)
            if match is None:
                return None
            target, query = match[1], match[2] or b""
        slug = target.decode()
        if slug in RESERVED_SLUGS:
            return None
        before, after = end + len(self._before), len(data) - len(self._after)
        if 0 < after - before <= VISITOR_MAX_LENGTH and data[after:] == self._after:
            visitor = data[before:after]
            if data.startswith(self._before, end) and not visitor.translate(None, VISITOR_CHARACTERS):
                return Tap("GET", slug, query, self._said, visitor)
        return self._read(slug, query, data[end:])

    def _read(self, slug: str, query: bytes, head: bytes) -> Tap | None:
        before, cookie, after = head.partition(_COOKIE)
        if not cookie:
            said = self._heads.said(head)
            return Tap("GET", slug, query, said, said.visitor) if said is not None else None
        value, line_end, after = after.partition(_LINE_END)
        after = line_end + after
        said, visitor = self._heads.said(before + after), _visitor(value)
        # Two cookie headers are rare enough to be left to the general parser.
        if said is None or visitor is None or said.visitor:
            return None
        if _may_keep(head, said):
            self._before, self._after, self._said = before + cookie + _OUR_COOKIE, after, said
        return Tap("GET", slug, query, said, visitor)


def _visitor(cookie: bytes) -> bytes | None:
    """Empty for none; None: not plain."""
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
    if _may_keep(head, said):
        if len(heads) >= _KEPT_MAX:
            heads.clear()
        heads[head] = said


def _may_keep(head: bytes, said: Said) -> bool:
    return len(head) <= _KEPT_MAX_BYTES and not (said.visitor or said.forwarded_for)
