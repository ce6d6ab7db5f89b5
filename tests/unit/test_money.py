from decimal import Decimal
from fractions import Fraction

import pytest

from attribution.domain.money import (
    MINOR_MAX,
    MoneyError,
    exponent,
    from_minor,
    from_minors,
    parse_decimal,
    split,
    to_minor,
)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("39.80", "EUR", 3980),
        ("39.8", "EUR", 3980),
        ("0", "EUR", 0),
        ("0.01", "USD", 1),
        ("120", "JPY", 120),
        ("120.000", "JPY", 120),
        ("1.234", "KWD", 1234),
        ("10000000000000.00", "EUR", MINOR_MAX),
    ],
)
def test_amounts_are_whole_minor_units(amount: str, currency: str, minor: int) -> None:
    """Currencies have 0, 2 or 3 decimals; zeros beyond them say nothing."""
    assert to_minor(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.001", "EUR"),
        ("0.5", "JPY"),
        ("1.2345", "KWD"),
        ("1.000000000000000000000000000001", "EUR"),
        ("10000000000000.01", "EUR"),
    ],
)
def test_finer_or_larger_amounts_are_refused(amount: str, currency: str) -> None:
    """Nothing is rounded away, and sums stay within 64 bits."""
    with pytest.raises(MoneyError):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (3980, "EUR", "39.80"),
        (1, "EUR", "0.01"),
        (0, "EUR", "0.00"),
        (120, "JPY", "120"),
        (1, "KWD", "0.001"),
        (-5, "EUR", "-0.05"),
        (10**18, "EUR", "10000000000000000.00"),
    ],
)
def test_amounts_are_shown_with_all_decimals_of_their_currency(minor: int, currency: str, amount: str) -> None:
    """Never in scientific notation."""
    assert from_minor(minor, currency) == amount
    assert from_minors([minor, 1], currency) == [amount, from_minor(1, currency)]


@pytest.mark.parametrize("currency", ["XXX", "XAU", "EURO", "eur", "", "978", "ABC"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    """A code is three capital letters of ISO 4217, with a minor unit."""
    with pytest.raises(MoneyError):
        exponent(currency)


@pytest.mark.parametrize("text", ["", "1e3", "NaN", "Infinity", "1,5", " 1", "+1", ".5", "5.", "\u0661", "1_0"])
def test_only_plain_decimals_are_numbers(text: str) -> None:
    """No exponents, separators, signs of plus or other scripts."""
    with pytest.raises(MoneyError):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (1, [Fraction(1, 7)] * 7, [1, 0, 0, 0, 0, 0, 0]),
        (100, [Fraction(1, 3)] * 3, [34, 33, 33]),
        (101, [Fraction(1, 2)] * 2, [51, 50]),
        (10, [Fraction(15, 100), Fraction(25, 100), Fraction(60, 100)], [2, 2, 6]),
        (0, [Fraction(1, 2)] * 2, [0, 0]),
        (5, [Fraction(1)], [5]),
        (7, [Fraction(1, 10), Fraction(9, 10)], [1, 6]),
    ],
)
def test_money_is_split_by_largest_remainder(total: int, weights: list[Fraction], parts: list[int]) -> None:
    """One cent over seven touches goes to the first; ties always to the earlier touch."""
    assert split(total, weights) == parts


def test_a_thousand_parts_add_up() -> None:
    """The parts of a split are the whole, to the last minor unit."""
    parts = split(999_999, [Fraction(1, 1_000)] * 1_000)
    assert sum(parts) == 999_999
    assert parts == [1_000] * 999 + [999]
