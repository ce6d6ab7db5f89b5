"""Messages of order systems and the state they fold into."""

from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self, TypeVar

import orjson

PURCHASE = "purchase"
DEFAULT_SOURCE = "default"
_UNTAXED = b',"tax_deducted":false}'


class ConversionStatus(StrEnum):
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Item:
    """`amount_minor`: the line total after discounts, without tax and shipping."""

    sku: str | None
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ConversionMessage:
    """The full state of a conversion as its source says it at `updated_at`; never a delta. Instants are in UTC."""

    source: str
    type: str
    external_id: str
    updated_at: datetime
    occurred_at: datetime
    status: ConversionStatus
    currency: str
    gross_minor: int
    discount_minor: int = 0
    items: tuple[Item, ...] = ()
    click_id: str | None = None
    visitor_id: str | None = None
    customer_id: str | None = None
    new_customer: bool | None = None
    discount_codes: tuple[str, ...] = ()
    tax_deducted: bool = False
    """Whether its amounts are less the tax that prices at its source include, so that its refunds are too."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.source, self.type, self.external_id)

    def encode(self) -> bytes:
        """JSON that is stored and hashed: the same content always gives the same bytes."""
        encoded = orjson.dumps(self, option=orjson.OPT_UTC_Z)
        # Most messages keep the bytes, and the hash, that they had before there was this field.
        return encoded if self.tax_deducted else encoded.removesuffix(_UNTAXED) + b"}"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        fields: dict[str, Any] = orjson.loads(data)
        fields["updated_at"] = datetime.fromisoformat(fields["updated_at"])
        fields["occurred_at"] = datetime.fromisoformat(fields["occurred_at"])
        fields["status"] = ConversionStatus(fields["status"])
        fields["items"] = tuple(Item(**item) for item in fields["items"])
        fields["discount_codes"] = tuple(fields["discount_codes"])
        return cls(**fields)

    def content_hash(self) -> bytes:
        return sha256(self.encode()).digest()


def net_minor(status: ConversionStatus, gross_minor: int, refunded_minor: int) -> int:
    """Never below zero; a cancelled conversion has none."""
    return max(0, gross_minor - refunded_minor) if status is ConversionStatus.CONFIRMED else 0


class Acceptance(StrEnum):
    """`stored`: it is the state now; `stale`: kept, but a newer one stands; `duplicate`: known."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    STALE = "stale"


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=tuple[Any, ...])


def acceptances(
    sent: Sequence[tuple[K, V]], current: Mapping[K, V], known: AbstractSet[tuple[K, V]]
) -> list[Acceptance]:
    """As if they had come one by one. `sent`: what each is of, and its version; the greater version stands."""
    states, seen = dict(current), set(known)
    answers = []
    for key, version in sent:
        state = states.get(key)
        if (key, version) in seen:
            answers.append(Acceptance.DUPLICATE)
        elif state is None or version > state:
            states[key] = version
            answers.append(Acceptance.STORED)
        else:
            answers.append(Acceptance.STALE)
        seen.add((key, version))
    return answers
