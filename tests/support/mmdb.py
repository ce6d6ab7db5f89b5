"""Files in MaxMind's format, small enough to read: https://maxmind.github.io/MaxMind-DB/."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

_RECORD_BYTES = 3
_BETWEEN = bytes(16)
_METADATA_BEGINS = b"\xab\xcd\xefMaxMind.com"
_TEXT, _MAP, _UINT16, _UINT32, _UINT64, _ARRAY = 2, 7, 5, 6, 9, 11
_ONE_BYTE_SIZE = 29


def mmdb(networks: Mapping[str, Any], *, kind: str = "Test-Country", ip_version: int = 6) -> bytes:
    """`networks`: what is said of each; none lies within another."""
    nodes: list[list[int | None]] = [[None, None]]
    data, leaves = b"", []
    for text, said in networks.items():
        *path, last = _bits(ip_network(text), ip_version)
        leaves.append((_descend(nodes, path), last, len(data)))
        data += _encoded(said)
    for node, bit, offset in leaves:
        nodes[node][bit] = len(nodes) + len(_BETWEEN) + offset
    records = [len(nodes) if record is None else record for node in nodes for record in node]
    tree = b"".join(record.to_bytes(_RECORD_BYTES, "big") for record in records)
    return tree + _BETWEEN + data + _METADATA_BEGINS + _metadata(len(nodes), kind, ip_version)


def country(code: str) -> dict[str, Any]:
    """As GeoLite2-Country says it."""
    return {"country": {"geoname_id": 1, "iso_code": code, "names": {"en": "A country of this name"}}}


def _bits(network: IPv4Network | IPv6Network, ip_version: int) -> list[int]:
    """The way to the network from the root; IPv4 lies at ::/96 of a tree of IPv6."""
    way = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    return [0] * (96 if ip_version > network.version else 0) + [int(bit) for bit in way]


def _descend(nodes: list[list[int | None]], path: list[int]) -> int:
    node = 0
    for bit in path:
        child = nodes[node][bit]
        if child is None:
            nodes.append([None, None])
            child = nodes[node][bit] = len(nodes) - 1
        node = child
    return node


def _metadata(node_count: int, kind: str, ip_version: int) -> bytes:
    fields = {
        "node_count": _number(_UINT32, node_count),
        "record_size": _number(_UINT16, 8 * _RECORD_BYTES),
        "ip_version": _number(_UINT16, ip_version),
        "database_type": _encoded(kind),
        "languages": _head(_ARRAY, 0),
        "binary_format_major_version": _number(_UINT16, 2),
        "binary_format_minor_version": _number(_UINT16, 0),
        "build_epoch": _number(_UINT64, 1_700_000_000),
        "description": _head(_MAP, 0),
    }
    return _head(_MAP, len(fields)) + b"".join(_encoded(name) + value for name, value in fields.items())


def _encoded(value: Any) -> bytes:
    if isinstance(value, dict):
        return _head(_MAP, len(value)) + b"".join(_encoded(part) for item in value.items() for part in item)
    if isinstance(value, int):
        return _number(_UINT32, value)
    text: bytes = value.encode()
    return _head(_TEXT, len(text)) + text


def _number(kind: int, value: int) -> bytes:
    digits = value.to_bytes(8, "big").lstrip(b"\0")
    return _head(kind, len(digits)) + digits


def _head(kind: int, size: int) -> bytes:
    short = min(size, _ONE_BYTE_SIZE)
    more = bytes([size - _ONE_BYTE_SIZE]) if size >= _ONE_BYTE_SIZE else b""
    return (bytes([kind << 5 | short]) if kind <= _MAP else bytes([short, kind - _MAP])) + more
