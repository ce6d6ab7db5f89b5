"""A shop that reports orders, updates, stale states, refunds and repeats, each until it is acknowledged."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
from tests.support.reference import Named, Order, Refund
from tests.support.worlds import FOREIGN_LINK, STRANGERS_TOKENS, instant, order_of, refund_of

from attribution.domain.click_id import ClickTokens, SignedClick, clicked_at_us
from attribution.domain.conversions import PURCHASE, ConversionMessage, ConversionStatus
from attribution.domain.money import from_minor
from attribution.domain.refunds import RefundItem, RefundMessage, amount_text

from .browsers import Household, Ledger, Tap
from .clock import real_us
from .machine import PROGRAM_KEY

_PACE_S = 0.08
_RETRY_S = 0.3
_AT_ONCE = 8
_LATE_S = 3.0
_SECOND_US = 1_000_000
Messages = Sequence[ConversionMessage | RefundMessage]


@dataclass(frozen=True, slots=True)
class Sent:
    household: int
    message: ConversionMessage
    order: Order


@dataclass(frozen=True, slots=True)
class SentRefund:
    household: int
    message: RefundMessage
    refund: Refund


@dataclass
class Book:
    """Every message that was ever sent, and what became of it."""

    sent: list[Sent] = field(default_factory=list)
    refunds: list[SentRefund] = field(default_factory=list)
    deliveries: int = 0
    acknowledged: set[bytes] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


class Shop:
    def __init__(
        self, client: httpx.AsyncClient, ledger: Ledger, tokens: ClickTokens, rng: random.Random, book: Book
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._tokens = tokens
        self._rng = rng
        self._book = book
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Ends when all that was sent is acknowledged or refused."""
        async with asyncio.TaskGroup() as deliveries:
            while not stopping.is_set():
                if self._ledger.taps:
                    await self._places.acquire()
                    late_s = self._rng.choice((0,) * 9 + (_LATE_S,))
                    deliveries.create_task(self._deliver(self._next_batch(), late_s))
                await asyncio.sleep(self._rng.uniform(0, 2 * _PACE_S))

    def _next_batch(self) -> Messages:
        if self._book.sent and self._rng.random() < 0.25:
            return [self._next_refund()]
        return [self._next() for _ in range(self._rng.choice((1, 1, 1, 3)))]

    def _next_refund(self) -> RefundMessage:
        refunds = self._book.refunds
        if refunds and self._rng.random() < 0.3:
            return self._rng.choice(refunds[-100:]).message
        known = self._rng.choice(self._book.sent[-50:])
        message = self._refund(known.message)
        refunds.append(SentRefund(known.household, message, refund_of(message)))
        return message

    def _refund(self, order: ConversionMessage) -> RefundMessage:
        """In part or in whole, with few ids, so that some say two things, and some go beyond their order."""
        rng = self._rng
        parts = [rng.randrange(1 + order.gross_minor // rng.choice((1, 2, 5))) for _ in range(rng.choice((1, 1, 2)))]
        amounts = [amount_text(Decimal(from_minor(part, order.currency))) for part in parts]
        by_item = len(parts) > 1
        return RefundMessage(
            source=order.source,
            external_id=order.external_id,
            refund_id=rng.choice(("r1", "r2", "r3")),
            refunded_at=order.occurred_at + timedelta(seconds=rng.randrange(1000)),
            amount=amount_text(sum(map(Decimal, amounts), Decimal(0))),
            items=tuple(RefundItem("A", 1, amount) for amount in amounts) if by_item else (),
        )

    def _next(self) -> ConversionMessage:
        kind = self._rng.random() if self._book.sent else 0
        if kind < 0.6:
            household = self._rng.choice(self._ledger.households[-30:])
            sent = self._note(household.number, *self._order(household))
        elif kind < 0.8:
            sent = self._update(self._rng.choice(self._book.sent[-200:]))
        else:
            sent = self._rng.choice(self._book.sent[-200:])
        return sent.message

    def _note(self, household: int, message: ConversionMessage, named: Named | None, bad: str | None) -> Sent:
        self._book.sent.append(Sent(household, message, order_of(message, named, bad)))
        return self._book.sent[-1]

    def _update(self, known: Sent) -> Sent:
        """Newer or staler than what it changes."""
        rng, message = self._rng, known.message
        changed = replace(
            message,
            updated_at=message.updated_at + timedelta(seconds=rng.choice((-2, -1, 0, 1, 2))),
            status=rng.choice((ConversionStatus.CONFIRMED, ConversionStatus.CONFIRMED, ConversionStatus.CANCELLED)),
            gross_minor=rng.randrange(10_000),
        )
        return self._note(known.household, changed, known.order.named, known.order.bad_click)

    def _order(self, household: Household) -> tuple[ConversionMessage, Named | None, str | None]:
        rng = self._rng
        token, named, bad = self._click_id(rng.choice(household.taps)) if household.taps else (None, None, None)
        near_us = named.at if named is not None else real_us()
        at = instant(near_us + rng.choice((-1, 0, 1, 30, 900, 9000)) * _SECOND_US)
        message = ConversionMessage(
            source=rng.choice(("shop-eu", "shop-us")),
            type=PURCHASE,
            external_id=f"{household.number}-{len(self._book.sent)}",
            updated_at=at,
            occurred_at=at,
            status=ConversionStatus.CONFIRMED,
            currency="EUR",
            gross_minor=rng.choice((0, 1, 100, rng.randrange(100_000))),
            discount_minor=rng.choice((0, 0, rng.randrange(1000))),
            click_id=token,
            visitor_id=rng.choice([None, *household.visitors]),
            customer_id=rng.choice((None, f"{household.number}-a", f"{household.number}-b")),
            discount_codes=tuple(rng.sample(("anna15", "BELLA", "clara", "nobody"), rng.choice((0, 0, 0, 1, 2)))),
        )
        return message, named, bad

    def _click_id(self, tap: Tap) -> tuple[str | None, Named | None, str | None]:
        """As the order has it, what it names, and what is wrong with it."""
        click = self._tokens.parse(tap.token)
        assert isinstance(click, SignedClick)
        kind = self._rng.random()
        if kind < 0.65:
            return tap.token, Named(click.click_id, clicked_at_us(click.click_id), click.link_id), None
        if kind < 0.7:
            return STRANGERS_TOKENS.sign(click.click_id, FOREIGN_LINK).decode(), None, "forged_click_id"
        return ("gclid-1", None, "unknown_click_id") if kind < 0.75 else (None, None, None)

    async def _deliver(self, messages: Messages, late_s: float) -> None:
        """A late order is overtaken by its updates and refunds."""
        await asyncio.sleep(late_s)
        path, bodies = _path(messages[0]), [_body(message) for message in messages]
        while not await self._post(path, messages, bodies):
            await asyncio.sleep(_RETRY_S)
        self._places.release()

    async def _post(
        self,
        path: str,
        messages: Messages,
        bodies: list[dict[str, Any]],
    ) -> bool:
        self._book.deliveries += len(messages)
        body = bodies if len(bodies) > 1 else bodies[0]
        try:
            response = await self._client.post(path, json=body, params={"program": PROGRAM_KEY})
        except httpx.TransportError:
            self._book.answers["none"] += 1
            return False
        self._book.answers[str(response.status_code)] += 1
        if response.status_code == 503:
            return False
        if response.status_code == 200:
            results = response.json().get("results", [response.json()])
            self._take(messages, results)
        else:
            self._book.refused.append(f"{response.status_code} {response.text[:200]}")
        return True

    def _take(self, messages: Messages, results: list[dict[str, Any]]) -> None:
        for message, result in zip(messages, results, strict=True):
            if "status" in result:
                self._book.acknowledged.add(message.content_hash())
            else:
                self._book.refused.append(str(result))


def _path(message: ConversionMessage | RefundMessage) -> str:
    return "/v1/orders" if isinstance(message, ConversionMessage) else f"/v1/orders/{message.external_id}/refunds"


def _body(message: ConversionMessage | RefundMessage) -> dict[str, Any]:
    return _order_body(message) if isinstance(message, ConversionMessage) else _refund_body(message)


def _refund_body(message: RefundMessage) -> dict[str, Any]:
    items = [{"sku": item.sku, "quantity": item.quantity, "amount": item.amount} for item in message.items]
    return {
        "source": message.source,
        "refund_id": message.refund_id,
        "refunded_at": message.refunded_at.isoformat(),
        **({"items": items} if items else {"amount": message.amount}),
    }


def _order_body(message: ConversionMessage) -> dict[str, Any]:
    body = {
        "source": message.source,
        "order_id": message.external_id,
        "ordered_at": message.occurred_at.isoformat(),
        "updated_at": message.updated_at.isoformat(),
        "status": message.status,
        "currency": message.currency,
        "amount": from_minor(message.gross_minor, message.currency),
        "discount": from_minor(message.discount_minor, message.currency),
        "discount_codes": list(message.discount_codes),
        "click_id": message.click_id,
        "visitor_id": message.visitor_id,
        "customer_id": message.customer_id,
    }
    return {name: value for name, value in body.items() if value is not None}
