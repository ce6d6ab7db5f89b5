from datetime import date
from fractions import Fraction

import pytest

from attribution.domain.fx import FxRate, RateBook, day_of, exchange
from attribution.errors import MissingRateError

DAY = date(2026, 11, 20)
MIDNIGHT_UTC_US = 1_795_132_800_000_000


def rate(text: str, base: str = "EUR", quote: str = "USD", made: int = 0) -> FxRate:
    return FxRate(DAY, base, quote, Fraction(text), made)


def test_a_currency_needs_no_rate_to_itself() -> None:
    assert RateBook([]).rate(DAY, "EUR", "EUR") == 1


def test_a_missing_rate_names_the_day_and_the_pair() -> None:
    book = RateBook([rate("1.10"), FxRate(date(2026, 11, 19), "GBP", "USD", Fraction(1))])
    with pytest.raises(MissingRateError, match=r"from GBP to USD for 2026-11-20"):
        book.rate(DAY, "GBP", "USD")


def test_a_pair_counts_both_ways_exactly() -> None:
    book = RateBook([rate("1.10")])
    assert book.rate(DAY, "EUR", "USD") == Fraction(11, 10)
    assert book.rate(DAY, "USD", "EUR") == Fraction(10, 11)


def test_there_is_no_way_over_a_third_currency() -> None:
    with pytest.raises(MissingRateError):
        RateBook([rate("1.10"), rate("1.20", "GBP", "USD")]).rate(DAY, "EUR", "GBP")


def test_a_correction_counts_for_what_is_not_bound_before_it() -> None:
    book = RateBook([rate("1.10", made=10), rate("1.20", made=20)])
    assert book.rate(DAY, "EUR", "USD") == Fraction(12, 10)
    assert book.rate(DAY, "EUR", "USD", bound_at_us=19) == Fraction(11, 10)
    assert book.rate(DAY, "EUR", "USD", bound_at_us=20) == Fraction(12, 10)


def test_a_conversion_that_waited_for_its_rate_keeps_the_first_it_got() -> None:
    book = RateBook([rate("1.10", made=10), rate("1.20", made=20)])
    assert book.rate(DAY, "EUR", "USD", bound_at_us=5) == Fraction(11, 10)


def test_what_cannot_be_exchanged_at_its_rate_may_take_a_later_one() -> None:
    """In the order in which they were made, never one that was corrected before."""
    book = RateBook([rate("3", made=30), rate("1", made=10), rate("0.25", "USD", "EUR", made=40), rate("2", made=20)])
    assert book.rates(DAY, "EUR", "USD", bound_at_us=20) == [2, 3, 4]
    assert book.rates(DAY, "EUR", "USD", bound_at_us=5) == [1, 2, 3, 4]
    assert book.rates(DAY, "EUR", "USD") == [4]


def test_a_correction_may_be_given_the_other_way_round() -> None:
    book = RateBook([rate("1.10", made=10), rate("0.8", "USD", "EUR", made=20)])
    assert book.rate(DAY, "EUR", "USD") == Fraction(10, 8)


@pytest.mark.parametrize(
    ("minor", "base", "quote", "text", "exchanged"),
    [
        (1000, "EUR", "USD", "1.0845", 1085),  # 10.845, a half goes up
        (1000, "EUR", "JPY", "160.5", 1605),
        (1605, "JPY", "EUR", "0.00625", 1003),  # 10.03125
        (1234, "KWD", "EUR", "3", 370),  # 3.702
    ],
)
def test_minor_units_are_exchanged_half_up(minor: int, base: str, quote: str, text: str, exchanged: int) -> None:
    assert exchange(minor, base, quote, Fraction(text)) == exchanged


def test_the_day_is_the_programmes() -> None:
    assert day_of(MIDNIGHT_UTC_US, "UTC") == DAY
    assert day_of(MIDNIGHT_UTC_US, "America/New_York") == date(2026, 11, 19)
