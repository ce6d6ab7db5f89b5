"""The client's address: whose word to take for it, and what of it may be kept."""

from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address

from attribution.settings import IpStorage

from .bounded import BoundedCache

_CACHE_CAPACITY = 8192
_LONGEST_ADDRESS = 64
_V4_DROPPED_BITS = 8
_V6_DROPPED_BITS = 80
_HASH_BYTES = 8


def forwarded_address(forwarded_for: bytes, trusted_hops: int) -> str | None:
    """The entry of X-Forwarded-For that the outermost trusted proxy wrote: the `trusted_hops`-th from the right.

    With fewer entries the request did not come through all proxies, and nothing in the header is to be believed.
    """
    entries = forwarded_for.rsplit(b",", trusted_hops)[-trusted_hops:]
    return entries[0].decode("latin-1") if len(entries) == trusted_hops and entries[0] else None


class AddressKeeper:
    """From an address as text to what is stored of it, as `IpStorage` says; nothing for garbage."""

    def __init__(self, mode: IpStorage, key: bytes) -> None:
        """`key`: up to 64 bytes, used by `IpStorage.HASHED` only."""
        self._mode = mode
        self._key = key
        self._cache: BoundedCache[str, bytes] = BoundedCache(_CACHE_CAPACITY)

    def keep(self, address: str | None) -> bytes:
        """ASCII, empty for none."""
        if not address or self._mode is IpStorage.NONE:
            return b""
        kept = self._cache.get(address)
        if kept is None:
            kept = self._kept(address)
            if len(address) <= _LONGEST_ADDRESS:
                self._cache.put(address, kept)
        return kept

    def _kept(self, text: str) -> bytes:
        address = _parse(text)
        if address is None:
            return b""
        if self._mode is IpStorage.HASHED:
            return blake2b(address.packed, key=self._key, digest_size=_HASH_BYTES).hexdigest().encode()
        return str(_truncated(address)).encode()


def _parse(text: str) -> IPv4Address | IPv6Address | None:
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


def _truncated(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    dropped = _V4_DROPPED_BITS if isinstance(address, IPv4Address) else _V6_DROPPED_BITS
    return type(address)(int(address) >> dropped << dropped)
