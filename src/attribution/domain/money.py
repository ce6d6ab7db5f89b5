"""Money is an integer of minor units with an ISO 4217 currency; decimal strings outside."""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import cache
from math import lcm

from iso4217 import Currency

MINOR_MAX = 10**15
"""Largest amount in minor units: sums of a thousand of them stay within 64 bits."""
EXPONENT_MAX = 4
"""Of all currencies: CLF and UYW have four decimals."""
_DIGITS_MAX = 30
_DECIMAL = re.compile(r"-?\d{1,31}(?:\.\d{1,30})?", re.ASCII)
_EXACT = Context(prec=100)
"""The default context would round the 29th digit away, and with it what is finer than a minor unit."""


class MoneyError(ValueError):
    """Not an amount of money"""


@cache
def exponent(currency: str) -> int:
    """Digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD. Raises `MoneyError` for no currency."""
    try:
        digits = Currency(currency).exponent
    except ValueError:
        raise MoneyError("is not an ISO 4217 currency code") from None
    if digits is None:
        raise MoneyError("is not a currency with a minor unit")
    return digits


def parse_decimal(value: str | int | Decimal) -> Decimal:
    """Exact, from a JSON number or a plain decimal string. Raises `MoneyError` beyond 30 digits a side."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value) is None:
        raise MoneyError("is not a decimal number")
    number = Decimal(value)
    if not number.is_finite():
        raise MoneyError("is not a finite number")
    if number.adjusted() > _DIGITS_MAX:
        raise MoneyError("is too large")
    if int(number.as_tuple().exponent) < -_DIGITS_MAX:
        raise MoneyError("has too many decimals")
    return number


def to_minor(amount: Decimal, currency: str) -> int:
    """Exact: `to_minor(Decimal("39.80"), "EUR") == 3980`. Raises `MoneyError` on a finer amount."""
    digits = exponent(currency)
    scaled = parse_decimal(amount).scaleb(digits, _EXACT)
    if scaled != scaled.to_integral_value():
        raise MoneyError(f"is finer than the minor unit of {currency} ({digits} decimals)")
    if abs(scaled) > MINOR_MAX:
        raise MoneyError("is too large")
    return int(scaled)


def is_exact(amount: Decimal, currency: str) -> bool:
    """Whether it is a whole number of minor units."""
    scaled = amount.scaleb(exponent(currency), _EXACT)
    return scaled == scaled.to_integral_value()


def to_minor_rounded(amount: Decimal, currency: str) -> int:
    """Half up: for an amount that was taken in before its currency was known."""
    return int(amount.scaleb(exponent(currency), _EXACT).to_integral_value(ROUND_HALF_UP))


def from_minor(minor: int, currency: str) -> str:
    """`from_minor(3980, "EUR") == "39.80"`"""
    digits = exponent(currency)
    if not digits:
        return str(minor)
    text = str(minor)
    if minor < 0 or len(text) <= digits:
        text = f"{minor:0{digits + 1 + (minor < 0)}}"
    return f"{text[:-digits]}.{text[-digits:]}"


def from_minors(amounts: Sequence[int], currency: str) -> list[str]:
    """`from_minor` of each: an answer has thousands."""
    digits = exponent(currency)
    if not digits or min(amounts, default=0) < 0:
        return [from_minor(minor, currency) for minor in amounts]
    unit, decimals = 10**digits, _decimals(digits)
    return [str(minor // unit) + decimals[minor % unit] for minor in amounts]


@cache
def _decimals(digits: int) -> list[str]:
    """All that can follow the whole units."""
    return [f".{minor:0{digits}d}" for minor in range(10**digits)]


def split(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Parts of `total` in proportion to `weights` (which sum to 1) by largest remainder, ties to the earlier.

    The parts always add up to `total`. Source: Hamilton's method of apportionment.
    """
    [parts] = split_each((total,), weights)
    return parts


def split_each(totals: Iterable[int], weights: Sequence[Fraction]) -> list[list[int]]:
    """As `split`, each total by the same weights."""
    if len(weights) == 1:
        return [[total] for total in totals]
    if _all_same(weights):
        return [_equally(total, len(weights)) for total in totals]
    shares, common = _shares(weights)
    return [_apportion(total, shares, common) for total in totals]


def _all_same(weights: Sequence[Fraction]) -> bool:
    """As the models give them where they are equal; to compare fractions takes longer than to split by them."""
    first = weights[0]
    return all([weight is first for weight in weights])  # noqa: C419 - a generator takes several times as long


def _equally(total: int, count: int) -> list[int]:
    part, missing = divmod(total, count)
    return [part + 1] * missing + [part] * (count - missing)


def _shares(weights: Sequence[Fraction]) -> tuple[list[int], int]:
    """Whole numbers in the proportion of `weights`, and their sum."""
    ratios = [weight.as_integer_ratio() for weight in weights]
    common = lcm(*[denominator for _, denominator in ratios])
    return [numerator * (common // denominator) for numerator, denominator in ratios], common


def _apportion(total: int, shares: Sequence[int], whole: int) -> list[int]:
    """`shares` sum to `whole`."""
    if total == 0:
        return [0] * len(shares)
    parts, remainders = [], []
    for share in shares:
        part, remainder = divmod(total * share, whole)
        parts.append(part)
        remainders.append(remainder)
    missing = total - sum(parts)
    if missing:
        # Stable, so that of equals the earlier comes first.
        for i in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:missing]:
            parts[i] += 1
    return parts


def half_up(exact: Fraction) -> int:
    """To the nearest minor unit, a half to the greater."""
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
