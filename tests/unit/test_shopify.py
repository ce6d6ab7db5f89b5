from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from attribution.conversions.shopify import shopify_messages
from attribution.domain.conversions import PURCHASE, ConversionMessage, ConversionStatus, Item
from attribution.domain.refunds import RefundItem, RefundMessage
from attribution.errors import InvalidInputError


def order(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1073459981,
        "created_at": "2024-04-02T09:04:43-05:00",
        "updated_at": "2024-04-02T09:05:00-05:00",
        "cancelled_at": None,
        "currency": "USD",
        "total_discounts": "17.91",
        "discount_codes": [{"code": " FAKE30 ", "amount": "17.91", "type": "percentage"}],
        "note_attributes": [],
        "landing_site": None,
        "customer": {"id": 1073339467, "email": "jane@example.com"},
        "test": False,
        "line_items": [
            {
                "price": "199.00",
                "quantity": 2,
                "sku": "IPOD",
                "discount_allocations": [{"amount": "17.91"}, {"amount": "0.09"}],
            },
            {"price": "5", "quantity": 1, "sku": None},
        ],
        "a_field_of_next_year": {"deep": [1]},
    } | changes


def message(*, deduct: bool = False, **changes: Any) -> ConversionMessage:
    [found] = shopify_messages("orders/create", order(**changes), "irclickid", deduct_included_tax=deduct)
    assert isinstance(found, ConversionMessage)
    return found


def refund(**changes: Any) -> dict[str, Any]:
    """Of Shopify's documentation of refunds/create, with the float that its number is."""
    return {
        "id": 890088186047892319,
        "order_id": 1073459981,
        "created_at": "2024-04-05T09:00:00-05:00",
        "transactions": [{"amount": "41.94", "kind": "refund"}],
        "refund_line_items": [
            {"quantity": 1, "subtotal": Decimal("190.00000000000003"), "total_tax": 3, "line_item": {"sku": "IPOD"}},
            {"quantity": 1, "subtotal": "5.00", "line_item": {"sku": None}},
        ],
    } | changes


REFUND = RefundMessage(
    source="shopify",
    external_id="1073459981",
    refund_id="890088186047892319",
    refunded_at=datetime(2024, 4, 5, 14, 0, 0, 999_999, tzinfo=UTC),
    amount="195",
    items=(RefundItem("IPOD", 1, "190", "3"), RefundItem(None, 1, "5")),
)


def test_a_refund_is_what_its_lines_come_to() -> None:
    assert shopify_messages("refunds/create", refund(), "click_id") == [REFUND]


def test_a_refund_of_shipping_or_tax_alone_changes_nothing() -> None:
    [message] = shopify_messages("refunds/create", refund(refund_line_items=[]), "click_id")
    assert isinstance(message, RefundMessage)
    assert (message.amount, message.items) == ("0", ())


def test_what_says_nothing_of_tax_keeps_its_bytes() -> None:
    """And so its hash: a message of before is no other content now."""
    [said] = shopify_messages("refunds/create", refund(), "click_id")
    assert isinstance(said, RefundMessage)
    assert said.encode().endswith(
        b'"amount":"195","items":[{"sku":"IPOD","quantity":1,"amount":"190","tax":"3"},'
        b'{"sku":null,"quantity":1,"amount":"5"}]}'
    )
    assert RefundMessage.decode(said.encode()) == said
    assert message().encode().endswith(b'"discount_codes":["FAKE30"]}')
    included = message(deduct=True, taxes_included=True)
    assert included.encode().endswith(b'"discount_codes":["FAKE30"],"tax_deducted":true}')
    assert [ConversionMessage.decode(m.encode()) for m in (message(), included)] == [message(), included]


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        ({"price": "119.00", "tax_lines": [{"price": "19.00"}]}, 100_00),
        ({"price": "119.00", "tax_lines": [{"price": "10.00"}, {"price": "9.00", "rate": 0.05}]}, 100_00),
        ({"price": "119.00", "tax_lines": None}, 119_00),
        ({"price": "119.00"}, 119_00),
        (
            {
                "price": "70.00",
                "quantity": 2,
                "discount_allocations": [{"amount": "21"}],
                "tax_lines": [{"price": "19"}],
            },
            100_00,
        ),
        ({"price": "10.00", "tax_lines": [{"price": "1.595"}]}, 8_41),
        ({"price": "10.00", "tax_lines": [{"price": "1.5951"}]}, 8_40),
        ({"price": "1.00", "tax_lines": [{"price": "2.00"}]}, 0),
    ],
)
def test_a_price_that_includes_taxes_counts_without_them_if_wished(line: dict[str, Any], amount: int) -> None:
    """What remains is rounded half up. Else, or where prices are without tax, the same lines are what they cost."""
    lines = [{"quantity": 1} | line]
    included = message(deduct=True, line_items=lines, taxes_included=True)
    assert (included.gross_minor, included.items[0].amount_minor) == (amount, amount)
    untaxed = message(line_items=[{"quantity": 1} | line | {"tax_lines": []}])
    for deduct, taxes_included in ((True, False), (True, None), (False, True)):
        assert message(deduct=deduct, line_items=lines, taxes_included=taxes_included) == untaxed


def test_a_refund_of_an_order_whose_prices_include_tax_is_without_it() -> None:
    """It does not say so itself; what is more tax than amount is nothing."""
    lines = [
        {"quantity": 1, "subtotal": "119.00", "total_tax": Decimal("19.000000000000004")},
        {"quantity": 1, "subtotal": "5.00", "total_tax": "6.00"},
        {"quantity": 1, "subtotal": "1.00", "total_tax": None},
    ]
    [said] = shopify_messages("refunds/create", refund(refund_line_items=lines), "click_id")
    assert isinstance(said, RefundMessage)
    assert (said.amount, said.without_tax().amount) == ("125", "101")
    assert [item.amount for item in said.without_tax().items] == ["100", "0", "1"]


def test_null_is_as_none() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("discount_codes", "refunds", "note_attributes"))
    assert message(**nothing, line_items=[{"price": "5", "quantity": 1, "discount_allocations": None}]) == message(
        discount_codes=[], line_items=[{"price": "5", "quantity": 1}]
    )
    assert message(discount_codes=[{"code": None}, {}, {"code": "A"}]).discount_codes == ("A",)


@pytest.mark.parametrize("topic", ["orders/create", "orders/paid", "orders/updated", "orders/cancelled"])
def test_an_order_tells_its_refunds_too(topic: str) -> None:
    of_order, of_refund = shopify_messages(topic, order(refunds=[refund()]), "irclickid")
    assert of_order == message()
    assert of_refund.content_hash() == REFUND.content_hash()


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"order_id": None}, ("body", "order_id")),
        ({"id": "7"}, ("body", "id")),
        ({"refund_line_items": None}, ("body", "refund_line_items")),
        ({"refund_line_items": [{"quantity": 1, "subtotal": "-1"}]}, ("body", "refund_line_items", 0, "subtotal")),
    ],
)
def test_what_cannot_be_read_of_a_refund_is_named(changes: dict[str, Any], loc: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidInputError) as raised:
        shopify_messages("refunds/create", refund(**changes), "click_id")
    assert loc in [error.loc for error in raised.value.errors]


def test_an_order_becomes_a_message() -> None:
    assert message() == ConversionMessage(
        source="shopify",
        type=PURCHASE,
        external_id="1073459981",
        updated_at=datetime(2024, 4, 2, 14, 5, tzinfo=UTC),
        occurred_at=datetime(2024, 4, 2, 14, 4, 43, 999_999, tzinfo=UTC),
        status=ConversionStatus.CONFIRMED,
        currency="USD",
        gross_minor=38500,
        discount_minor=1791,
        items=(Item("IPOD", 2, 38000), Item(None, 1, 500)),
        customer_id="1073339467",
        discount_codes=("FAKE30",),
    )


def test_times_with_fractions_are_taken_as_they_are() -> None:
    assert message(created_at="2024-04-02T14:04:43.5Z").occurred_at.microsecond == 500_000


@pytest.mark.parametrize(
    ("changes", "click_id"),
    [
        ({}, None),
        ({"note_attributes": [{"name": "click_id", "value": "A"}]}, "A"),
        ({"note_attributes": [{"name": "gift", "value": "x"}, {"name": "irclickid", "value": "B"}]}, "B"),
        ({"landing_site": "/p?irclickid=C&x=1"}, "C"),
        ({"landing_site": "https://shop.example/?click_id=D#f"}, "D"),
        ({"landing_site": "http://[bad/?click_id=D"}, None),
        ({"landing_site": "/?click_id="}, None),
        ({"landing_site": "/?other=1"}, None),
        ({"landing_site": "/?click_id=E", "note_attributes": [{"name": "click_id", "value": "F"}]}, "F"),
        ({"landing_site": "/?click_id=E", "note_attributes": [{"name": "click_id", "value": None}]}, "E"),
        ({"note_attributes": None}, None),
    ],
)
def test_the_click_id_is_looked_for_in_notes_then_in_the_landing_site(
    changes: dict[str, Any], click_id: str | None
) -> None:
    assert message(**changes).click_id == click_id


def test_a_cancelled_order_says_so() -> None:
    assert message(cancelled_at="2024-04-03T00:00:00Z").status is ConversionStatus.CANCELLED


def test_a_test_order_is_none() -> None:
    assert shopify_messages("orders/create", order(test=True), "click_id") == []


def test_a_guest_has_no_customer_id() -> None:
    assert message(customer=None).customer_id is None
    assert message(customer={}).customer_id is None


def test_the_currency_may_have_no_decimals() -> None:
    lines = [{"price": "1000", "quantity": 3, "discount_allocations": [{"amount": "1.00"}]}]
    assert message(currency="JPY", total_discounts="1", line_items=lines).gross_minor == 2999


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"id": None}, ("body", "id")),
        ({"id": "7"}, ("body", "id")),
        ({"created_at": "yesterday"}, ("body", "created_at")),
        ({"updated_at": None}, ("body", "updated_at")),
        ({"currency": "XXX"}, ("body", "currency")),
        ({"line_items": None}, ("body", "line_items")),
        ({"line_items": [{"price": "-1", "quantity": 1}]}, ("body", "line_items", 0, "price")),
        ({"line_items": [{"price": "1", "quantity": 1.5}]}, ("body", "line_items", 0, "quantity")),
        ({"line_items": [{"price": "0.001", "quantity": 1}]}, ("body", "line_items", 0)),
        ({"total_discounts": "much"}, ("body", "total_discounts")),
    ],
)
def test_what_cannot_be_read_is_named(changes: dict[str, Any], loc: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidInputError) as raised:
        message(**changes)
    assert loc in [error.loc for error in raised.value.errors]


@pytest.mark.parametrize("body", [None, [], "x", 7, {}])
def test_what_is_no_order_is_refused(body: object) -> None:
    with pytest.raises(InvalidInputError):
        shopify_messages("orders/create", body, "click_id")


def test_a_line_given_more_discount_than_it_costs_is_worth_nothing() -> None:
    """A refusal would make the shop try again for ever, and the order never be stored."""
    lines = [{"price": "1", "quantity": 1, "discount_allocations": [{"amount": "2"}]}, {"price": "3", "quantity": 1}]
    assert message(line_items=lines).gross_minor == 300
