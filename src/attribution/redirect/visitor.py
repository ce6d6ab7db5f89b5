"""The visitor: a browser, by a random first-party cookie on the redirect domain."""

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable

VISITOR_COOKIE = b"attribution_visitor"
_VISITOR_BYTES = 16
_VISITOR_LENGTH = 22
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_POOL_BYTES = 4096
VISITOR_MAX_LENGTH = 64
VISITOR_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_VISITOR = re.compile(rb"[A-Za-z0-9_-]{1,%d}" % VISITOR_MAX_LENGTH)
_SECURE = b"; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"
_PLAIN = _SECURE.removesuffix(b"; Secure")


class RandomPool:
    """Random bytes in small pieces, drawn from `source` (os.urandom) 4 KiB at a time."""

    __slots__ = ("_bytes", "_source", "_used")

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._bytes = b""
        self._used = 0

    def take(self, size: int) -> bytes:
        start, end = self._used, self._used + size
        if end > len(self._bytes):
            self._bytes = self._source(_POOL_BYTES)
            start, end = 0, size
        self._used = end
        return self._bytes[start:end]


def new_visitor(pool: RandomPool) -> bytes:
    """22 characters of base64url: 128 random bits."""
    return b2a_base64(pool.take(_VISITOR_BYTES), newline=False)[:_VISITOR_LENGTH].translate(_URLSAFE)


def visitor_in(cookies: Iterable[bytes]) -> bytes:
    """The first well-formed one, empty for none: a malformed one does not hide a good one."""
    for cookie in cookies:
        for pair in cookie.split(b";"):
            name, _, value = pair.strip().partition(b"=")
            if name == VISITOR_COOKIE and _VISITOR.fullmatch(value):
                return value
    return b""


def visitor_cookie(visitor: bytes, *, secure: bool) -> bytes:
    """The value of Set-Cookie."""
    return b"".join((VISITOR_COOKIE, b"=", visitor, _SECURE if secure else _PLAIN))
