"""The click id and the signed token that carries it to the shop and back (docs/adr/0003-click-id.md).

Token: base64url of 42 bytes, always 56 characters of `[A-Za-z0-9_-]`.

    version (1) | key id (1) | click id (16) | link id (8) | BLAKE2b-128 MAC over all before it (16)
"""

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from typing import Literal

from .ids import ClickId, LinkId
from .instants import from_us

TOKEN_LENGTH = 56
_VERSION = 1
_BODY = Struct(">BB16sQ")
_MAC_SIZE = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{56}", re.ASCII)
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_TIMES = Struct(">Q8s")
_NEW_BODY = Struct(">BBQ8sQ")
_pack, _pack_new = _BODY.pack, _NEW_BODY.pack


def make_click_id(clicked_at_us: int, unique: bytes) -> ClickId:
    """`unique`: 8 bytes, random for a tap, derived from the outer id for an imported click."""
    return ClickId(_TIMES.pack(clicked_at_us, unique))


def clicked_at_us(click_id: ClickId) -> int:
    return int.from_bytes(click_id[:8], "big")


def clicked_at(click_id: ClickId) -> datetime:
    return from_us(clicked_at_us(click_id))


@dataclass(frozen=True, slots=True)
class SignedClick:
    click_id: ClickId
    link_id: LinkId


BadToken = Literal["forged_click_id", "unknown_click_id"]


class ClickTokens:
    """Signs with one key and verifies with any: to rotate, add a key of a higher id, drop old ones later."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """`keys`: key id (0 to 255) to secret (16 to 64 bytes); the highest id signs."""
        if not keys or not all(0 <= key_id <= 255 and 16 <= len(key) <= 64 for key_id, key in keys.items()):  # noqa: PLR2004
            raise ValueError("click-id keys: at least one, with ids from 0 to 255 and 16 to 64 bytes each")
        self._macs = {key_id: blake2b(key=key, digest_size=_MAC_SIZE) for key_id, key in keys.items()}
        self._signing_id = max(keys)
        self._signing_mac = self._macs[self._signing_id]

    def issue(self, clicked_at_us: int, unique: bytes, link_id: int) -> tuple[bytes, bytes]:
        """A new click id, made as by `make_click_id`, and its token."""
        body = _pack_new(_VERSION, self._signing_id, clicked_at_us, unique, link_id)
        return body[2:18], self._signed(body)

    def sign(self, click_id: bytes, link_id: int) -> bytes:
        """The token as ASCII bytes."""
        return self._signed(_pack(_VERSION, self._signing_id, click_id, link_id))

    def _signed(self, body: bytes) -> bytes:
        mac = self._signing_mac.copy()
        mac.update(body)
        return binascii.b2a_base64(body + mac.digest(), newline=False).translate(_URLSAFE)

    def parse(self, token: str) -> SignedClick | BadToken:
        """A token of our format whose MAC is wrong is forged (or damaged); any other text is unknown."""
        if _TOKEN.fullmatch(token) is None:
            return "unknown_click_id"
        raw = urlsafe_b64decode(token)
        body, digest = raw[: _BODY.size], raw[_BODY.size :]
        version, key_id, click_id, link_id = _BODY.unpack(body)
        known = self._macs.get(key_id)
        if version != _VERSION or known is None:
            return "forged_click_id"
        mac = known.copy()
        mac.update(body)
        return (
            SignedClick(ClickId(click_id), LinkId(link_id))
            if compare_digest(mac.digest(), digest)
            else "forged_click_id"
        )
