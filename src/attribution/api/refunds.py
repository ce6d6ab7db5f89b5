"""Refunds: POST /v1/orders/{order_id}/refunds says them, GET /v1/refunds lists them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from attribution.adapters.postgres import Row
from attribution.domain.conversions import DEFAULT_SOURCE, Acceptance
from attribution.domain.money import EXPONENT_MAX, MINOR_MAX
from attribution.domain.refunds import RefundItem, RefundMessage, amount_text
from attribution.errors import AttributionError, FieldError, InvalidInputError

from .accepting import MESSAGES_MAX, Accepting, MessageTime, Read, Reads, minor
from .auth import Access, AccessOf, ProgramKeyInQuery, ProgramOf
from .bulk import ONE_BY_ONE, Failed, parsed
from .fields import PRINTABLE, Amount, Line, ProgramKey, Strict
from .problems import documented
from .resources import LIMIT_DEFAULT, LIMIT_MAX, ON_READ, decode_cursor, encode_cursor
from .route import V1Route
from .services import OrderIntake, Services

ITEMS_MAX = 1000
QUANTITY_MAX = 1_000_000


def _possible(amount: Decimal) -> Decimal:
    """The currency may come with the order, later."""
    if amount > MINOR_MAX:
        raise ValueError("is too large")
    if amount != round(amount, EXPONENT_MAX):
        raise ValueError("is finer than the minor unit of any currency")
    return amount


RefundAmount = Annotated[Amount, AfterValidator(_possible)]


class NewRefundItem(Strict):
    sku: Line | None = None
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)] = 1
    amount: RefundAmount
    """What is given back for them in all, without tax and shipping."""


class NewRefund(Strict):
    """In the order's currency; `items`, or `amount` in their place."""

    program: ProgramKey | None = None
    source: Line = DEFAULT_SOURCE
    refund_id: Line
    refunded_at: MessageTime
    amount: RefundAmount | None = None
    items: Annotated[list[NewRefundItem], Field(max_length=ITEMS_MAX)] | None = None

    def message(self, order_id: str) -> RefundMessage:
        items = self.items or ()
        return RefundMessage(
            source=self.source,
            external_id=order_id,
            refund_id=self.refund_id,
            refunded_at=self.refunded_at,
            amount=amount_text(self._amount()),
            items=tuple(RefundItem(item.sku, item.quantity, amount_text(item.amount)) for item in items),
        )

    def _amount(self) -> Decimal:
        if (self.items is None) == (self.amount is None):
            raise InvalidInputError(FieldError(("body", "items"), "either items or amount must be given"))
        if self.amount is not None:
            return self.amount
        return sum((item.amount for item in self.items or ()), Decimal(0))


class RefundAccepted(BaseModel):
    order_id: str
    refund_id: str
    status: Acceptance


class RefundAcceptedItem(RefundAccepted):
    index: int


class RefundsAccepted(BaseModel):
    results: list[RefundAcceptedItem | Failed]


class RefundState(StrEnum):
    """`waiting`: for its order."""

    WAITING = "waiting"
    APPLIED = "applied"


class ListedItem(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    sku: str | None
    quantity: int
    amount: str


class ListedRefund(BaseModel):
    source: str
    order_id: str
    refund_id: str
    refunded_at: datetime
    amount: str
    items: list[ListedItem]
    state: RefundState
    received_at: datetime


class RefundPage(BaseModel):
    data: list[ListedRefund]
    next_cursor: str | None


def _named(refund: RefundMessage) -> Mapping[str, str]:
    return {"order_id": refund.external_id, "refund_id": refund.refund_id}


def _refuse_finer(refund: RefundMessage, currency: str) -> None:
    """Raises `InvalidInputError` for an amount that the order's currency does not have."""
    for index, item in enumerate(refund.items):
        minor(Decimal(item.amount), currency, "items", index, "amount")
    minor(Decimal(refund.amount), currency, "items" if refund.items else "amount")


async def _checked(orders: OrderIntake, reads: Reads) -> Reads:
    """Where the order is here, its currency is known; where not, the refund waits and is rounded."""
    known = {}
    for program in {read[0] for read in reads if isinstance(read, tuple)}:
        keys = {read[1].key for read in reads if isinstance(read, tuple) and read[0] == program}
        known[program] = await orders.currencies(program, keys)
    return [
        read if isinstance(read, AttributionError) else _in_currency(read, known[read[0]].get(read[1].key))
        for read in reads
    ]


def _in_currency(read: Read, currency: str | None) -> Read | AttributionError:
    refund = read[1]
    try:
        if currency is not None and isinstance(refund, RefundMessage):
            _refuse_finer(refund, currency)
    except InvalidInputError as error:
        return error
    return read


def refunds_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["refunds"], route_class=V1Route)
    check = partial(_checked, services.orders)

    @router.post(
        "/orders/{order_id:path}/refunds",
        response_model=RefundAccepted | RefundsAccepted,
        summary="Accept a refund of an order, or up to 1,000; a 2xx means durable",
        responses=documented(400, 401, 404, 413, 415, 422, 503),
    )
    async def accept(
        order_id: Line,
        body: Annotated[NewRefund | Annotated[list[NewRefund], Field(max_length=MESSAGES_MAX)], ONE_BY_ONE],
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        async def read(access: Access, program_key: str | None, item: object) -> Read:
            refund = parsed(NewRefund, item)
            message = refund.message(order_id)
            return await access.program(program_key, refund.program), message

        return await Accepting(services.orders, read, _named, check).accept(body, access, program_key)

    @router.get("/refunds", response_model=RefundPage, summary="List refunds, oldest first", responses=ON_READ)
    async def list_(
        program: ProgramOf,
        state: RefundState | None = None,
        source: Annotated[str | None, Query(min_length=1, max_length=255, pattern=PRINTABLE)] = None,
        order_id: Annotated[str | None, Query(min_length=1, max_length=255, pattern=PRINTABLE)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> object:
        applied = None if state is None else state is RefundState.APPLIED
        after = decode_cursor(cursor)
        rows = await services.refunds.listed(program.program_id, source, order_id, after, limit + 1, applied=applied)
        more = encode_cursor(rows[limit - 1]["event_id"]) if len(rows) > limit else None
        return {"data": [_listed(row) for row in rows[:limit]], "next_cursor": more}

    return router


def _listed(row: Row) -> Mapping[str, Any]:
    message = RefundMessage.of(row["message"])
    if row["tax_deducted"]:
        message = message.without_tax()
    return {
        "source": message.source,
        "order_id": message.external_id,
        "refund_id": message.refund_id,
        "refunded_at": message.refunded_at,
        "amount": message.amount,
        "items": message.items,
        "state": RefundState.APPLIED if row["applied"] else RefundState.WAITING,
        "received_at": row["received_at"],
    }
