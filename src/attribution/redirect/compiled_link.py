"""A link made ready for the redirect, once, when it enters the cache."""

from dataclasses import dataclass
from urllib.parse import quote

from attribution.domain.clicks import pack_link
from attribution.domain.instants import to_us
from attribution.domain.links import ForwardQuery, Link

from .parameters import canonical_name, decoded_name

LOCATION_MAX_BYTES = 8192
RESERVED_VALUE_MAX_BYTES = 64
_NEVER_US = 1 << 63


@dataclass(frozen=True, slots=True)
class CompiledLink:
    """A Location is `bare`, or `head` and parameters, then `fragment`; `head` ends where one can follow."""

    link: Link
    record_part: bytes
    disabled: bool
    starts_us: int
    expires_us: int
    fallback: bytes | None
    bare: bytes
    head: bytes
    fragment: bytes
    head_with_click: bytes
    click_part: bytes
    visitor_part: bytes | None
    forwards: bool
    names: frozenset[bytes]
    """What the destination names itself, decoded."""
    reserved: frozenset[bytes]
    """What a visitor may not name, in canonical form."""
    room: int
    """Bytes for forwarded parameters with their separators, when the reserved ones are at their longest."""


def compile_link(link: Link) -> CompiledLink:
    base, fragment, kept = _split(link)
    bare = base if kept is None else base + b"?" + kept
    head = base + b"?" if not kept else bare if kept.endswith(b"&") else bare + b"&"
    click_part = _parameter(link.click_id_param)
    visitor_part = b"&" + _parameter(link.visitor_id_param) if link.visitor_id_param else None
    longest = len(click_part) + RESERVED_VALUE_MAX_BYTES
    longest += len(visitor_part) + RESERVED_VALUE_MAX_BYTES if visitor_part else 0
    return CompiledLink(
        link=link,
        record_part=pack_link(
            link.program_id, link.link_id, link.influencer_id, link.campaign_id, link.post_id, link.channel
        ),
        disabled=link.status != "active",
        starts_us=to_us(link.starts_at) if link.starts_at else -_NEVER_US,
        expires_us=to_us(link.expires_at) if link.expires_at else _NEVER_US,
        fallback=link.fallback_url.encode() if link.fallback_url else None,
        bare=bare,
        head=head,
        fragment=fragment,
        head_with_click=head + click_part,
        click_part=click_part,
        visitor_part=visitor_part,
        forwards=link.forward_query is ForwardQuery.APPEND,
        names=frozenset(decoded_name(piece) for piece in (kept or b"").split(b"&") if piece),
        reserved=_reserved(link),
        room=LOCATION_MAX_BYTES - len(head) - len(fragment) - longest,
    )


def _split(link: Link) -> tuple[bytes, bytes, bytes | None]:
    """What is before the query, the fragment with its `#`, the query (None: no `?`) less reserved names."""
    url, hash_mark, fragment = link.destination.encode().partition(b"#")
    base, question_mark, query = url.partition(b"?")
    if not question_mark:
        return base, hash_mark + fragment, None
    reserved = _reserved(link)
    kept = b"&".join(piece for piece in query.split(b"&") if canonical_name(piece) not in reserved)
    return base, hash_mark + fragment, kept


def _reserved(link: Link) -> frozenset[bytes]:
    names = (link.click_id_param, link.visitor_id_param)
    return frozenset(canonical_name(quote(name).encode()) for name in names if name)


def _parameter(name: str) -> bytes:
    return quote(name, safe="").encode() + b"="
