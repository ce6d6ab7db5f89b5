from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from attribution.domain.conversions import Item
from attribution.domain.refunds import (
    REFUNDED_MAX,
    RefundFlag,
    RefundItem,
    RefundMessage,
    amount_text,
    judge_refunds,
    refunded_minor,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def refund(refund_id: str, amount: str, *items: RefundItem, hours: int = 0) -> RefundMessage:
    return RefundMessage("shop", "1", refund_id, NOON + timedelta(hours=hours), amount, items)


def test_a_refund_is_read_back_as_it_was_written() -> None:
    message = refund("r", "10.5", RefundItem("A", 2, "10"), RefundItem(None, 1, "0.5"))
    assert RefundMessage.decode(message.encode()) == message
    assert RefundMessage.decode(message.encode()).content_hash() == message.content_hash()


@pytest.mark.parametrize(
    ("amount", "text"), [("5.00", "5"), ("50", "50"), ("0.0", "0"), ("1E+3", "1000"), ("0.10", "0.1")]
)
def test_a_number_has_one_text(amount: str, text: str) -> None:
    assert amount_text(Decimal(amount)) == text


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 101), ("JPY", 1), ("KWD", 1005), ("CLF", 10050)])
def test_an_amount_is_rounded_half_up_to_its_currency(currency: str, minor: int) -> None:
    assert refunded_minor([refund("r", "1.005")], currency) == minor


def test_a_sum_has_a_bound() -> None:
    huge = [refund(str(number), str(10**15)) for number in range(20)]
    assert refunded_minor(huge, "EUR") == REFUNDED_MAX


def test_the_refund_that_goes_beyond_is_flagged_whatever_came_first() -> None:
    """By the times of the refunds, then their ids."""
    refunds = [refund("b", "6"), refund("a", "4"), refund("c", "0", hours=2), refund("d", "1", hours=1)]
    for arrival in permutations(refunds):
        judged = judge_refunds(arrival, (), 1000, "EUR")
        assert [j.refund.refund_id for j in judged] == ["a", "b", "d", "c"]
        assert [j.flags for j in judged] == [(), (), (RefundFlag.OVER_REFUND,), ()]


def test_items_are_counted_over_all_lines_and_refunds_of_one_sku() -> None:
    bought = (Item("A", 1, 1000), Item("A", 2, 2000), Item(None, 1, 500))
    refunds = [
        refund("1", "20", RefundItem("A", 2, "20")),
        refund("2", "15", RefundItem("A", 1, "10"), RefundItem(None, 1, "5"), hours=1),
        refund("3", "0.01", RefundItem("A", 1, "0.01"), hours=2),
        refund("4", "0", RefundItem("Z", 1, "0"), hours=3),
    ]
    assert [set(j.flags) for j in judge_refunds(refunds, bought, 3500, "EUR")] == [
        set(),
        set(),
        {RefundFlag.QUANTITY_BEYOND_ITEM, RefundFlag.AMOUNT_BEYOND_ITEM, RefundFlag.OVER_REFUND},
        {RefundFlag.UNKNOWN_ITEM},
    ]
