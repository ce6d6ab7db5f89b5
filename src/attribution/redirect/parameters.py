"""Query parameters as bytes. A parameter is what stands between two `&`."""

import re
from urllib.parse import unquote_to_bytes

from attribution.domain.clicks import SUB_COUNT, SUB_MAX_LENGTH

NO_SUBS = b"\0" * (SUB_COUNT - 1)
"""As a record has them."""
_SUB_INDEX = {b"sub%d" % (index + 1): index for index in range(SUB_COUNT)}
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_DEEPEST_ENCODING = 4
_UNSAFE = re.compile(rb"[^!\"$-~]")
_PHP_UNDERSCORES = str.maketrans(". ", "__")


def _is_plain(name: bytes) -> bool:
    return not name.translate(None, _PLAIN)


def _decoded(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))


def decoded_name(parameter: bytes) -> bytes:
    name = parameter.partition(b"=")[0]
    return name if _is_plain(name) else _decoded(name)


def canonical_name(parameter: bytes) -> bytes:
    """What the most lenient of shops could take the name for.

    Case, padding, repeated encoding, `name[]` (Rails, PHP, qs) and PHP's underscores make no difference.
    """
    name = parameter.partition(b"=")[0]
    if _is_plain(name):
        return name.lower()
    for _ in range(_DEEPEST_ENCODING):
        name = _decoded(name)
    text = name.decode(errors="replace").replace("\0", "").partition("[")[0]
    return text.strip().casefold().translate(_PHP_UNDERSCORES).encode()


def _left_out(parameter: bytes, names: frozenset[bytes], reserved: frozenset[bytes]) -> bool:
    name = parameter.partition(b"=")[0]
    if _is_plain(name) and b";" not in parameter:
        return name in names or name.lower() in reserved
    # Some shops part parameters at `;` too.
    parts = parameter.split(b";")
    return _decoded(name) in names or any(canonical_name(part) in reserved for part in parts)


def forwarded(query: bytes, names: frozenset[bytes], reserved: frozenset[bytes], room: int) -> bytes:
    """The visitor's parameters in order, each with a `&` after it, until one would not fit into `room` bytes.

    Left out are those that `names` has (the destination's own, decoded) and the `reserved` ones (canonical).
    """
    taken = bytearray()
    for parameter in _UNSAFE.sub(_percent, query).split(b"&"):
        if not parameter or _left_out(parameter, names, reserved):
            continue
        if len(taken) + len(parameter) + 1 > room:
            break
        taken += parameter + b"&"
    return bytes(taken)


def _percent(unsafe: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(unsafe[0])


def subs(query: bytes) -> bytes:
    """sub1 to sub5 as UTF-8, NUL between them, empty where absent or too long; the first of a name counts."""
    if b"sub" not in query and b"%" not in query:
        return NO_SUBS
    found: list[bytes | None] = [None] * SUB_COUNT
    for parameter in query.split(b"&"):
        name, _, value = parameter.partition(b"=")
        index = _SUB_INDEX.get(_decoded(name) if b"%" in name else name)
        if index is not None and found[index] is None:
            found[index] = _sub(value)
    return b"\0".join(sub or b"" for sub in found)


def _sub(raw: bytes) -> bytes:
    text = _decoded(raw).decode(errors="replace").replace("\0", "")
    return text.encode() if len(text) <= SUB_MAX_LENGTH else b""
