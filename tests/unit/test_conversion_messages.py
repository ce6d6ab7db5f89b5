from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from attribution.domain.conversions import ConversionMessage, ConversionStatus, Item

AT = datetime(2026, 11, 20, 10, 0, 0, 5, tzinfo=UTC)
MESSAGE = ConversionMessage(
    source="shop-eu",
    type="purchase",
    external_id="1001",
    updated_at=AT,
    occurred_at=AT,
    status=ConversionStatus.CONFIRMED,
    currency="EUR",
    gross_minor=3_980,
    discount_minor=420,
    items=(Item("A", 1, 3_980),),
    click_id="c",
    visitor_id="v",
    customer_id="c77",
    new_customer=True,
    discount_codes=("ANNA15", "é"),
)
OTHER = ConversionMessage(
    source="shop-us",
    type="lead",
    external_id="1002",
    updated_at=AT + timedelta(microseconds=1),
    occurred_at=AT - timedelta(microseconds=1),
    status=ConversionStatus.CANCELLED,
    currency="USD",
    gross_minor=3_981,
    discount_minor=421,
    items=(Item("A", 2, 3_980),),
    click_id=None,
    visitor_id=None,
    customer_id=None,
    new_customer=None,
    discount_codes=("é", "ANNA15"),
    tax_deducted=True,
)
NAMES = [field.name for field in fields(ConversionMessage)]


@pytest.mark.parametrize("message", [MESSAGE, OTHER])
def test_a_message_is_read_back_as_it_was_written(message: ConversionMessage) -> None:
    assert ConversionMessage.decode(message.encode()) == message


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_in_the_hash(name: str) -> None:
    """Messages that differ anywhere have other hashes, so that a tie is decided by all they say."""
    changed = replace(MESSAGE, **{name: getattr(OTHER, name)})
    assert changed.content_hash() != MESSAGE.content_hash()


def test_the_hash_is_of_the_message_that_is_kept() -> None:
    assert MESSAGE.content_hash() == sha256(MESSAGE.encode()).digest()


def test_a_conversion_is_known_by_source_type_and_id() -> None:
    assert MESSAGE.key == ("shop-eu", "purchase", "1001")
