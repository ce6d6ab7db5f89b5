"""Shopify's webhooks (REST Admin order and refund) as messages.

Unknown fields are ignored: Shopify adds them as it likes. `subtotal_price` is not the net of the lines.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from attribution.domain.conversions import PURCHASE, ConversionMessage, ConversionStatus, Item
from attribution.domain.money import (
    EXPONENT_MAX,
    MINOR_MAX,
    MoneyError,
    exponent,
    parse_decimal,
    to_minor,
    to_minor_rounded,
)
from attribution.domain.programs import DEFAULT_CLICK_ID_PARAM
from attribution.domain.refunds import RefundItem, RefundMessage, amount_text
from attribution.domain.rfc3339 import parse_instant
from attribution.errors import FieldError, InvalidInputError

SOURCE = "shopify"
ORDER_TOPICS = frozenset({"orders/create", "orders/paid", "orders/updated", "orders/cancelled"})
REFUND_TOPIC = "refunds/create"
_CLICK_ID_KEPT = 512
_TEXT_KEPT = 255
_CODES_MAX = 50
_LAST_MICROSECOND = timedelta(microseconds=999_999)


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time")  # noqa: TRY004
    return parse_instant(value)


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("must be a decimal number")  # noqa: TRY004
    return parse_decimal(value)


def _currency(value: str) -> str:
    exponent(value)
    return value


Currency = Annotated[str, AfterValidator(_currency)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0)]
NumericId = Annotated[int, Field(gt=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


S = TypeVar("S", bound=_Shape)
T = TypeVar("T")


Listed = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
"""Null is as none."""


class _Allocation(_Shape):
    amount: Amount


class _Tax(_Shape):
    price: Amount


class _Line(_Shape):
    price: Amount
    quantity: Annotated[int, Field(ge=0)]
    sku: str | None = None
    discount_allocations: Listed[_Allocation] = Field(default_factory=list)
    tax_lines: Listed[_Tax] = Field(default_factory=list)

    def item(self, currency: str, *, tax_deducted: bool) -> Item:
        """Taxes are those of the line after its discounts."""
        paid = self.price * self.quantity - sum((given.amount for given in self.discount_allocations), Decimal(0))
        minor = to_minor(paid, currency)
        if tax_deducted:
            minor = to_minor_rounded(paid - sum((tax.price for tax in self.tax_lines), Decimal(0)), currency)
        # An order is never lost for a line that is given more discount than it costs: its net is just nothing.
        return Item(_text(self.sku), self.quantity, max(0, minor))


class _Customer(_Shape):
    id: NumericId | None = None


class _Code(_Shape):
    code: str | None = None


class _Note(_Shape):
    name: Any = None
    value: Any = None


class _RefundedLine(_Shape):
    sku: str | None = None


class _RefundLine(_Shape):
    quantity: Annotated[int, Field(ge=0)]
    subtotal: Annotated[Amount, Field(le=MINOR_MAX)]
    total_tax: Annotated[Amount, Field(le=MINOR_MAX)] | None = None
    line_item: _RefundedLine | None = None

    def item(self) -> RefundItem:
        sku = self.line_item.sku if self.line_item else None
        tax = amount_text(_plain(self.total_tax)) if self.total_tax else None
        return RefundItem(_text(sku), self.quantity, amount_text(_plain(self.subtotal)), tax)


def _plain(amount: Decimal) -> Decimal:
    """A JSON number may carry the last digits of a float."""
    return round(amount, EXPONENT_MAX)


class _Refund(_Shape):
    """By its lines: what its transactions pay back has tax and shipping in it.

    It does not say whether its subtotals include tax: its order does.
    """

    id: NumericId
    created_at: Instant
    refund_line_items: list[_RefundLine]

    def message(self, order_id: int) -> RefundMessage:
        items = tuple(line.item() for line in self.refund_line_items)
        return RefundMessage(
            source=SOURCE,
            external_id=str(order_id),
            refund_id=str(self.id),
            refunded_at=_end_of_second(self.created_at),
            amount=amount_text(sum((Decimal(item.amount) for item in items), Decimal(0))),
            items=items,
        )


class _RefundOfOrder(_Refund):
    order_id: NumericId


class _Order(_Shape):
    id: NumericId
    created_at: Instant
    updated_at: Instant
    cancelled_at: Instant | None = None
    currency: Currency
    line_items: list[_Line]
    total_discounts: Amount | None = None
    taxes_included: bool | None = None
    discount_codes: Listed[_Code] = Field(default_factory=list)
    note_attributes: Listed[_Note] = Field(default_factory=list)
    landing_site: str | None = None
    customer: _Customer | None = None
    refunds: Listed[_Refund] = Field(default_factory=list)
    test: bool | None = None


def shopify_messages(
    topic: str, body: object, click_id_param: str, *, deduct_included_tax: bool = False
) -> list[ConversionMessage | RefundMessage]:
    """Nothing of a topic or a test order that concerns no one here. Raises `InvalidInputError` naming the field.

    An order tells its refunds too, each under the id that `refunds/create` gives it: one that was lost is made good.
    """
    if topic == REFUND_TOPIC:
        refund = _parsed(_RefundOfOrder, body)
        return [refund.message(refund.order_id)]
    if topic not in ORDER_TOPICS or (order := _parsed(_Order, body)).test:
        return []
    deducted = deduct_included_tax and bool(order.taxes_included)
    return [
        _message(order, click_id_param, tax_deducted=deducted),
        *(refund.message(order.id) for refund in order.refunds),
    ]


def _message(order: _Order, click_id_param: str, *, tax_deducted: bool) -> ConversionMessage:
    """It occurred when Shopify created it; `processed_at` is for whoever imports orders to choose."""
    items = _items(order, tax_deducted=tax_deducted)
    return ConversionMessage(
        source=SOURCE,
        type=PURCHASE,
        external_id=str(order.id),
        updated_at=order.updated_at,
        occurred_at=_end_of_second(order.created_at),
        status=ConversionStatus.CANCELLED if order.cancelled_at else ConversionStatus.CONFIRMED,
        currency=order.currency,
        gross_minor=sum(item.amount_minor for item in items),
        discount_minor=_minor(order.total_discounts or Decimal(0), order.currency, "total_discounts"),
        items=items,
        click_id=next(_click_ids(order, {click_id_param, DEFAULT_CLICK_ID_PARAM}), None),
        customer_id=str(order.customer.id) if order.customer and order.customer.id else None,
        discount_codes=_codes(order),
        tax_deducted=tax_deducted,
    )


def _parsed(shape: type[S], body: object) -> S:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInputError(
            *(FieldError(("body", *fault["loc"]), fault["msg"].removeprefix("Value error, ")) for fault in faults)
        ) from error


def _items(order: _Order, *, tax_deducted: bool) -> tuple[Item, ...]:
    items = []
    for index, line in enumerate(order.line_items):
        try:
            items.append(line.item(order.currency, tax_deducted=tax_deducted))
        except MoneyError as error:
            raise InvalidInputError(FieldError(("body", "line_items", index), str(error))) from error
    if sum(item.amount_minor for item in items) > MINOR_MAX:
        raise InvalidInputError(FieldError(("body", "line_items"), "their sum is too large"))
    return tuple(items)


def _minor(amount: Decimal, currency: str, field: str) -> int:
    try:
        return to_minor(amount, currency)
    except MoneyError as error:
        raise InvalidInputError(FieldError(("body", field), str(error))) from error


def _end_of_second(instant: datetime) -> datetime:
    """Shopify cuts its times to the second; the order must not come before the tap in that second."""
    return instant if instant.microsecond else instant + _LAST_MICROSECOND


def _click_ids(order: _Order, names: set[str]) -> Iterator[str]:
    for note in order.note_attributes:
        if note.name in names and isinstance(note.value, str) and _text(note.value):
            yield note.value[:_CLICK_ID_KEPT]
    for name, value in _landing_parameters(order.landing_site or ""):
        if name in names and _text(value):
            yield value[:_CLICK_ID_KEPT]


def _landing_parameters(landing_site: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(landing_site).query)
    except ValueError:
        return []


def _codes(order: _Order) -> tuple[str, ...]:
    texts = (_text(code.code) for code in order.discount_codes)
    return tuple(text for text in texts if text)[:_CODES_MAX]


def _text(text: str | None) -> str | None:
    """What can be stored of a text that is Shopify's to choose: trimmed, without NUL and half characters."""
    storable = (text or "").replace("\0", "").encode(errors="ignore").decode().strip()
    return storable[:_TEXT_KEPT] or None
