"""The Location: the stored destination, what the visitor sent, and the reserved parameters last."""

from .compiled_link import CompiledLink
from .parameters import forwarded


def location_of_click(link: CompiledLink, query: bytes, token: bytes, visitor: bytes) -> bytes:
    """`visitor`: empty for none."""
    tail = link.fragment
    if visitor and link.visitor_part is not None:
        tail = link.visitor_part + visitor + tail
    if not query or not link.forwards:
        return link.head_with_click + token + tail
    return b"".join((link.head, _forwarded(link, query), link.click_part, token, tail))


def location_of_look(link: CompiledLink, query: bytes) -> bytes:
    """For who only looks (HEAD): without the reserved parameters."""
    sent = _forwarded(link, query) if query and link.forwards else b""
    return link.head + sent[:-1] + link.fragment if sent else link.bare + link.fragment


def _forwarded(link: CompiledLink, query: bytes) -> bytes:
    return forwarded(query, link.names, link.reserved, link.room)
