"""The fields of requests: what they take, and what they refuse."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from attribution.api.fields import Amount, Instant, object_id
from attribution.api.orders import NewOrder
from attribution.domain.money import MoneyError, to_minor
from attribution.domain.rfc3339 import InstantError, parse_instant
from attribution.errors import InvalidInputError

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20t10:00:00.000001z", datetime(2026, 11, 20, 10, 0, 0, 1, tzinfo=UTC)),
        ("2026-11-20T10:00:00.5+05:30", datetime(2026, 11, 20, 4, 30, 0, 500_000, tzinfo=UTC)),
        ("2024-02-29T00:00:00-00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_instants_are_rfc_3339(text: str, instant: datetime) -> None:
    assert INSTANT.validate_python(text) == instant


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T10:00:00",
        "2026-11-20",
        "2026-11-20 10:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:00:60Z",
        "2026-11-20T10:00:00.1234567Z",
        "2026-11-20T10:00:00+24:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1969-12-31T23:59:59Z",
        "1763632800",
        "\uff12026-11-20T10:00:00Z",
        "",
        1763632800,
        True,
        None,
    ],
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_python(value)


OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS))  # noqa: DTZ001
def test_every_instant_is_read_back(instant: datetime) -> None:
    assert parse_instant(instant.isoformat()) == instant


@given(st.text())
def test_any_text_is_an_instant_or_an_error(text: str) -> None:
    with suppress(InstantError):
        assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize("value", ["39.80", 39, Decimal("39.80"), "0", 10**20])
def test_amounts_are_exact(value: str | int | Decimal) -> None:
    assert AMOUNT.validate_python(value) == Decimal(value)


@pytest.mark.parametrize(
    "value", ["-1", "NaN", "Infinity", "1e5", "1_000", " 1", "", "1,50", "\u0663", True, None, -1, "9" * 40]
)
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("0", None),
        ("01", None),
        ("-1", None),
        ("", None),
        ("1.0", None),
        ("\u0661", None),
        ("9" * 5_000, None),
    ],
)
def test_ids_are_plain_numbers_within_63_bits(text: str, number: int | None) -> None:
    assert object_id(text) == number


def order(**changes: Any) -> NewOrder:
    base = {"order_id": "1", "ordered_at": "2026-11-20T10:00:00+01:00", "currency": "EUR", "amount": "1.00"}
    return NewOrder.model_validate(base | changes)


def test_an_order_fills_in_what_it_leaves_out() -> None:
    message = order().message()
    assert (message.source, message.status.value, message.discount_minor) == ("default", "confirmed", 0)
    assert message.updated_at == message.occurred_at == datetime(2026, 11, 20, 9, tzinfo=UTC)


def test_items_are_summed_exactly() -> None:
    items = [{"sku": "A", "quantity": 2, "amount": Decimal("0.1")}, {"amount": "0.2"}]
    assert order(amount=None, items=items).message().gross_minor == 30


def test_an_order_may_have_become_empty() -> None:
    assert order(amount=None, items=[]).message().gross_minor == 0


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"amount": None}, ("body", "items")),
        ({"items": []}, ("body", "items")),
        ({"amount": "0.001"}, ("body", "amount")),
        ({"amount": "1.5", "currency": "JPY"}, ("body", "amount")),
        ({"discount": "0.001"}, ("body", "discount")),
        ({"amount": None, "items": [{"amount": "1"}, {"amount": "0.001"}]}, ("body", "items", 1, "amount")),
        ({"amount": str(10**14)}, ("body", "amount")),
        ({"amount": None, "items": [{"amount": str(9 * 10**12)}] * 2}, ("body", "items")),
    ],
)
def test_amounts_fit_the_currency_and_stand_once(changes: dict[str, Any], loc: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidInputError) as raised:
        order(**changes).message()
    assert [error.loc for error in raised.value.errors] == [loc]


def test_a_strange_click_id_is_kept_for_the_explanation() -> None:
    assert order(click_id=" what? ").click_id == " what? "
    assert order(click_id="").click_id is None
    assert order(click_id="x" * 5_000).click_id == "x" * 512


@pytest.mark.parametrize(
    "text", ["1.001", "1.0000000000000000000000000001", "1" * 20, "1e400000", "1e-400000", "NaN", "Infinity"]
)
def test_money_is_never_rounded_into_the_minor_unit(text: str) -> None:
    with pytest.raises(MoneyError):
        to_minor(Decimal(text), "EUR")


def test_zeros_behind_the_minor_unit_say_nothing() -> None:
    assert to_minor(Decimal("1.5000000000000000000000000000"), "EUR") == 150
    assert to_minor(Decimal("1E+2"), "JPY") == 100


def test_codes_are_trimmed() -> None:
    assert order(discount_codes=[" ANNA15 "]).message().discount_codes == ("ANNA15",)
