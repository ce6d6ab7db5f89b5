"""A link made ready for the redirect, once, when it enters the cache."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from attribution.domain.clicks import pack_link
from attribution.domain.ids import LinkId
from attribution.domain.instants import to_us
from attribution.domain.links import ForwardQuery, Link

from .parameters import canonical_name, decoded_name

LOCATION_MAX_BYTES = 8192
RESERVED_VALUE_MAX_BYTES = 64
_NEVER_US = 1 << 63
_ALWAYS_US = -_NEVER_US


@dataclass(frozen=True, slots=True)
class CompiledLink:
    """As little as a redirect needs, since a worker holds very many.

    A Location is `head_with_click` and a click id; or `head`, parameters, `click_part` and a click id; or `bare`;
    each with `fragment` after it. `head` ends where a parameter can follow.
    """

    link_id: LinkId
    version: int
    record_part: bytes
    disabled: bool
    starts_us: int
    expires_us: int
    fallback: bytes | None
    head_with_click: bytes
    click_part: bytes
    bare_length: int
    fragment: bytes
    visitor_part: bytes | None
    forwards: bool
    names: frozenset[bytes]
    """What the destination names itself, decoded."""
    reserved: frozenset[bytes]
    """What a visitor may not name, in canonical form."""
    room: int
    """Bytes for forwarded parameters with their separators, when the reserved ones are at their longest."""

    @property
    def head(self) -> bytes:
        return self.head_with_click[: -len(self.click_part)]

    @property
    def bare(self) -> bytes:
        return self.head_with_click[: self.bare_length]


def compile_link(link: Link) -> CompiledLink:
    reserved = _reserved(link.click_id_param, link.visitor_id_param)
    base, fragment, kept = _split(link, reserved)
    bare = base if kept is None else base + b"?" + kept
    head = base + b"?" if not kept else bare if kept.endswith(b"&") else bare + b"&"
    click_part, visitor_part = _reserved_parts(link.click_id_param, link.visitor_id_param)
    longest = len(click_part) + RESERVED_VALUE_MAX_BYTES
    longest += len(visitor_part) + RESERVED_VALUE_MAX_BYTES if visitor_part else 0
    return CompiledLink(
        link_id=link.link_id,
        version=link.version,
        record_part=pack_link(
            link.program_id, link.link_id, link.influencer_id, link.campaign_id, link.post_id, link.channel
        ),
        disabled=link.status != "active",
        starts_us=to_us(link.starts_at) if link.starts_at else _ALWAYS_US,
        expires_us=to_us(link.expires_at) if link.expires_at else _NEVER_US,
        fallback=link.fallback_url.encode() if link.fallback_url else None,
        head_with_click=head + click_part,
        click_part=click_part,
        bare_length=len(bare),
        fragment=fragment,
        visitor_part=visitor_part,
        forwards=link.forward_query is ForwardQuery.APPEND,
        names=_shared(frozenset(decoded_name(piece) for piece in (kept or b"").split(b"&") if piece)),
        reserved=reserved,
        room=LOCATION_MAX_BYTES - len(head) - len(fragment) - longest,
    )


@lru_cache(4096)
def _shared(names: frozenset[bytes]) -> frozenset[bytes]:
    """Links of one shop name the same parameters."""
    return names


@lru_cache(4096)
def _reserved(*params: str | None) -> frozenset[bytes]:
    return frozenset(canonical_name(quote(name).encode()) for name in params if name)


@lru_cache(4096)
def _reserved_parts(click_id_param: str, visitor_id_param: str | None) -> tuple[bytes, bytes | None]:
    return _parameter(click_id_param), b"&" + _parameter(visitor_id_param) if visitor_id_param else None


def _split(link: Link, reserved: frozenset[bytes]) -> tuple[bytes, bytes, bytes | None]:
    """What is before the query, the fragment with its `#`, the query (None: no `?`) less reserved names."""
    url, hash_mark, fragment = link.destination.encode().partition(b"#")
    base, question_mark, query = url.partition(b"?")
    if not question_mark:
        return base, hash_mark + fragment, None
    kept = b"&".join(piece for piece in query.split(b"&") if canonical_name(piece) not in reserved)
    return base, hash_mark + fragment, kept


def _parameter(name: str) -> bytes:
    return quote(name, safe="").encode() + b"="
