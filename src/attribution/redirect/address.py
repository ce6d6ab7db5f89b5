"""The client's address: whose word to take for it, and what of it may be kept."""

from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from attribution.domain.clicks import NO_COUNTRY
from attribution.settings import IpStorage

from .bounded import BoundedCache

_CACHE_CAPACITY = 8192
_LONGEST_ADDRESS = 64
_V4_DROPPED_BITS = 8
_V6_DROPPED_BITS = 80
_HASH_BYTES = 8

Address = IPv4Address | IPv6Address


class KeptAddress(NamedTuple):
    """What a click keeps of an address. `text`: ASCII, empty for nothing; `country`: as in a record."""

    text: bytes
    country: bytes


NO_ADDRESS: Final = KeptAddress(b"", NO_COUNTRY)
"""Of what is no address."""


def forwarded_address(forwarded_for: bytes, trusted_hops: int) -> str | None:
    """The entry of X-Forwarded-For that the outermost trusted proxy wrote: the `trusted_hops`-th from the right.

    With fewer entries the request did not come through all proxies, and nothing in the header is to be believed.
    """
    entries = forwarded_for.rsplit(b",", trusted_hops)[-trusted_hops:]
    return entries[0].decode("latin-1") if len(entries) == trusted_hops and entries[0] else None


class AddressKeeper:
    """From an address as text to what is stored of it, as `IpStorage` says, and its country."""

    def __init__(self, mode: IpStorage, key: bytes, country: Callable[[Address], bytes]) -> None:
        """`key`: up to 64 bytes, used by `IpStorage.HASHED` only; `country`: as in a record."""
        self._mode = mode
        self._key = key
        self._country = country
        self._cache: BoundedCache[str, KeptAddress] = BoundedCache(_CACHE_CAPACITY)

    def keep(self, address: str | None) -> KeptAddress:
        """`NO_ADDRESS` itself for none and for garbage."""
        if not address:
            return NO_ADDRESS
        kept = self._cache.get(address)
        if kept is None:
            kept = self._kept(address)
            if len(address) <= _LONGEST_ADDRESS:
                self._cache.put(address, kept)
        return kept

    def _kept(self, text: str) -> KeptAddress:
        address = _parse(text)
        return NO_ADDRESS if address is None else KeptAddress(self._stored(address), self._country(address))

    def _stored(self, address: Address) -> bytes:
        if self._mode is IpStorage.NONE:
            return b""
        if self._mode is IpStorage.HASHED:
            return blake2b(address.packed, key=self._key, digest_size=_HASH_BYTES).hexdigest().encode()
        return str(_truncated(address)).encode()


def _parse(text: str) -> Address | None:
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _truncated(address: Address) -> Address:
    dropped = _V4_DROPPED_BITS if isinstance(address, IPv4Address) else _V6_DROPPED_BITS
    return type(address)(int(address) >> dropped << dropped)
