"""/v1/orders: what order systems say, and what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from attribution.domain.conversions import (
    DEFAULT_SOURCE,
    PURCHASE,
    Acceptance,
    ConversionMessage,
    ConversionStatus,
    Item,
)
from attribution.domain.money import MINOR_MAX
from attribution.domain.refunds import RefundFlag
from attribution.errors import FieldError, InvalidInputError

from .accepting import MESSAGES_MAX, Accepting, ClickIdText, CodeTexts, MessageTime, Read, minor
from .attributions import Attribution, Extensible, History, HistoryQuery, SourceInQuery, found, history_of, storable
from .auth import Access, AccessOf, ProgramKeyInQuery, ProgramOf
from .bulk import ONE_BY_ONE, Failed, parsed
from .explanations import ON_EXPLAIN, ExplanationQuery, explained
from .fields import Amount, Currency, Line, ProgramKey, Strict, VisitorId
from .problems import documented
from .resources import ON_READ
from .route import V1Route
from .services import Services

ITEMS_MAX = 1000
QUANTITY_MAX = 1_000_000


class NewItem(Strict):
    sku: Line | None = None
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)] = 1
    amount: Amount
    """The line's total after discounts, without tax and shipping."""


class NewOrder(Strict):
    """The full state of an order at `updated_at`; `items`, or `amount` in their place."""

    program: ProgramKey | None = None
    source: Line = DEFAULT_SOURCE
    order_id: Line
    ordered_at: MessageTime
    updated_at: MessageTime | None = None
    status: Annotated[ConversionStatus, Field(strict=False)] = ConversionStatus.CONFIRMED
    currency: Currency
    items: Annotated[list[NewItem], Field(max_length=ITEMS_MAX)] | None = None
    amount: Amount | None = None
    discount: Amount | None = None
    discount_codes: CodeTexts = Field(default_factory=list)
    click_id: ClickIdText | None = None
    visitor_id: VisitorId | None = None
    customer_id: Line | None = None
    new_customer: bool | None = None

    def message(self) -> ConversionMessage:
        """Raises `InvalidInputError` for amounts that the currency does not have."""
        items = self._items()
        return ConversionMessage(
            source=self.source,
            type=PURCHASE,
            external_id=self.order_id,
            updated_at=self.updated_at or self.ordered_at,
            occurred_at=self.ordered_at,
            status=self.status,
            currency=self.currency,
            gross_minor=self._gross(items),
            discount_minor=self._minor(self.discount, "discount") if self.discount else 0,
            items=items,
            click_id=self.click_id,
            visitor_id=self.visitor_id,
            customer_id=self.customer_id,
            new_customer=self.new_customer,
            discount_codes=tuple(self.discount_codes),
        )

    def _items(self) -> tuple[Item, ...]:
        return tuple(
            Item(item.sku, item.quantity, self._minor(item.amount, "items", index, "amount"))
            for index, item in enumerate(self.items or ())
        )

    def _gross(self, items: Sequence[Item]) -> int:
        if (self.items is None) == (self.amount is None):
            raise InvalidInputError(FieldError(("body", "items"), "either items or amount must be given"))
        if self.amount is not None:
            return self._minor(self.amount, "amount")
        gross = sum(item.amount_minor for item in items)
        if gross > MINOR_MAX:
            raise InvalidInputError(FieldError(("body", "items"), "their sum is too large"))
        return gross

    def _minor(self, amount: Amount, *loc: str | int) -> int:
        return minor(amount, self.currency, *loc)


class Accepted(BaseModel):
    order_id: str
    status: Acceptance


class AcceptedItem(Accepted):
    index: int


class AcceptedList(BaseModel):
    results: list[AcceptedItem | Failed]


class AppliedRefund(Extensible):
    refund_id: str
    refunded_at: datetime
    amount: str
    flags: list[RefundFlag]


class OrderState(Extensible):
    order_id: str
    source: str
    status: ConversionStatus
    currency: str
    gross: str
    refunded: str
    net: str
    over_refund: bool
    over_refunded: str
    refunds: list[AppliedRefund]
    attribution: Attribution


async def _read(access: Access, program_key: str | None, item: object) -> Read:
    order = parsed(NewOrder, item)
    message = order.message()
    return await access.program(program_key, order.program), message


def _named(order: ConversionMessage) -> Mapping[str, str]:
    return {"order_id": order.external_id}


def orders_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/orders", tags=["orders"], route_class=V1Route)
    accepting = Accepting(services.orders, _read, _named)

    @router.post(
        "",
        response_model=Accepted | AcceptedList,
        summary="Accept an order, or up to 1,000; a 2xx means durable",
        responses=documented(400, 401, 404, 413, 415, 422, 503),
    )
    async def accept(
        body: Annotated[NewOrder | Annotated[list[NewOrder], Field(max_length=MESSAGES_MAX)], ONE_BY_ONE],
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        return await accepting.accept(body, access, program_key)

    # An order's id may hold slashes; the longer path is tried first.
    @router.get(
        "/{order_id:path}/attribution",
        response_model=Attribution,
        summary="Explain the credit of an order",
        responses=ON_EXPLAIN,
    )
    async def attribution(order_id: str, program: ProgramOf, asked: Annotated[ExplanationQuery, Depends()]) -> object:
        return await explained(services, program, PURCHASE, storable(order_id), asked)

    @router.get(
        "/{order_id:path}/history",
        response_model=History,
        summary="List all that was recorded of the credit of an order",
        responses=ON_READ,
    )
    async def history(order_id: str, program: ProgramOf, asked: Annotated[HistoryQuery, Depends()]) -> object:
        return await history_of(services, program, PURCHASE, order_id, asked)

    @router.get(
        "/{order_id:path}", response_model=OrderState, summary="Read the state of an order", responses=ON_READ
    )
    async def read(order_id: str, program: ProgramOf, source: SourceInQuery = DEFAULT_SOURCE) -> object:
        return found(await services.credits.order(program, source, storable(order_id)))

    return router
