"""Refunds of an order: what was said of each, and what it takes from the order's net."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self

import orjson

from .conversions import PURCHASE, Item
from .money import is_exact, to_minor_rounded

REFUNDED_MAX = 10**18
"""In minor units: what is asked beyond any order's gross is one and the same."""


class RefundFlag(StrEnum):
    """What is odd about a refund; it counts all the same, as the money was given back."""

    ROUNDED = "rounded"
    UNKNOWN_ITEM = "unknown_item"
    QUANTITY_BEYOND_ITEM = "quantity_beyond_item"
    AMOUNT_BEYOND_ITEM = "amount_beyond_item"
    OVER_REFUND = "over_refund"


@dataclass(frozen=True, slots=True)
class RefundItem:
    sku: str | None
    quantity: int
    amount: str
    tax: str | None = None
    """Within `amount`, where the prices of the order include tax."""

    def without_tax(self) -> "RefundItem":
        left = max(Decimal(0), Decimal(self.amount) - Decimal(self.tax or 0))
        return RefundItem(self.sku, self.quantity, amount_text(left))


@dataclass(frozen=True, slots=True)
class RefundMessage:
    """One refund as its source says it. Amounts are decimal texts, as the order, and its currency, may come later."""

    source: str
    external_id: str
    """The order's."""
    refund_id: str
    refunded_at: datetime
    amount: str
    """In all, of its items too; without tax and shipping."""
    items: tuple[RefundItem, ...] = ()

    @property
    def type(self) -> str:
        return PURCHASE

    @property
    def key(self) -> tuple[str, str, str]:
        """The order's."""
        return (self.source, self.type, self.external_id)

    def encode(self) -> bytes:
        """JSON that is stored and hashed: the same content always gives the same bytes."""
        said = asdict(self)
        # What says nothing of tax keeps the bytes, and the hash, that it had before there was a tax.
        for item in said["items"]:
            if item["tax"] is None:
                del item["tax"]
        return orjson.dumps(said, option=orjson.OPT_UTC_Z)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls.of(orjson.loads(data))

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Of the JSON that `encode` made."""
        return cls(
            **fields
            | {
                "refunded_at": datetime.fromisoformat(fields["refunded_at"]),
                "items": tuple(RefundItem(**item) for item in fields["items"]),
            }
        )

    def content_hash(self) -> bytes:
        return sha256(self.encode()).digest()

    def without_tax(self) -> "RefundMessage":
        """What it asks of an order whose prices include tax."""
        items = tuple(item.without_tax() for item in self.items)
        pairs = zip(self.items, items, strict=True)
        tax = sum((Decimal(item.amount) - Decimal(left.amount) for item, left in pairs), Decimal(0))
        return replace(self, amount=amount_text(Decimal(self.amount) - tax), items=items)


def amount_text(amount: Decimal) -> str:
    """One text for all ways to write a number: `5`, `5.0` and `5.00` are the same refund."""
    return f"{amount.normalize():f}" if amount else "0"


@dataclass(frozen=True, slots=True)
class JudgedRefund:
    refund: RefundMessage
    amount_minor: int
    flags: tuple[RefundFlag, ...]


def refunded_minor(refunds: Sequence[RefundMessage], currency: str) -> int:
    """What was asked back in all; `refunds` has each refund id once."""
    return min(REFUNDED_MAX, sum(to_minor_rounded(Decimal(refund.amount), currency) for refund in refunds))


def judge_refunds(
    refunds: Sequence[RefundMessage], items: Sequence[Item], gross_minor: int, currency: str
) -> list[JudgedRefund]:
    """By their times, whatever order they came in: the one that goes beyond is flagged, not those before it."""
    judged: list[JudgedRefund] = []
    asked_minor = 0
    taken: list[RefundItem] = []
    for refund in sorted(refunds, key=lambda refund: (refund.refunded_at, refund.refund_id)):
        amount_minor = to_minor_rounded(Decimal(refund.amount), currency)
        asked_minor += amount_minor
        taken += refund.items
        flags = {flag for item in refund.items for flag in _item_flags(item.sku, taken, items, currency)}
        if not is_exact(Decimal(refund.amount), currency):
            flags.add(RefundFlag.ROUNDED)
        if amount_minor and asked_minor > gross_minor:
            flags.add(RefundFlag.OVER_REFUND)
        judged.append(JudgedRefund(refund, amount_minor, tuple(flag for flag in RefundFlag if flag in flags)))
    return judged


def _item_flags(
    sku: str | None, taken: Sequence[RefundItem], items: Sequence[Item], currency: str
) -> set[RefundFlag]:
    """Of all that was taken back of one kind of item so far."""
    bought = [item for item in items if item.sku == sku]
    back = [item for item in taken if item.sku == sku]
    if not bought:
        return {RefundFlag.UNKNOWN_ITEM}
    flags = set()
    if sum(item.quantity for item in back) > sum(item.quantity for item in bought):
        flags.add(RefundFlag.QUANTITY_BEYOND_ITEM)
    if sum(to_minor_rounded(Decimal(i.amount), currency) for i in back) > sum(i.amount_minor for i in bought):
        flags.add(RefundFlag.AMOUNT_BEYOND_ITEM)
    return flags
