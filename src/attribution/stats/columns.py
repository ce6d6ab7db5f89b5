"""An answer's numbers by the column: thousands of rows have tens of metrics each."""

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, Final

Number = Decimal | int

_divide: Final = Context(prec=12).divide
_RATIO_DIGITS: Final = 6
"""Significant digits that a ratio has at least."""
_LONG: Final = len("0.00000") + _RATIO_DIGITS
"""As many characters, of no negative number, have as many digits: str() writes what is smaller with an exponent."""
_NOUGHT: Final = "0.00000"


def ratios(numerators: Sequence[Number], denominators: Sequence[Number]) -> list[str | None]:
    return [ratio(numerator, denominator) for numerator, denominator in zip(numerators, denominators, strict=True)]


def ratio(numerator: Number, denominator: Number) -> str | None:
    """A decimal string of 6 to 12 significant digits; None over 0."""
    if not denominator:
        return None
    if not numerator:
        return _NOUGHT
    text = str(_divide(numerator, denominator))
    if "E" in text:
        return _padded(f"{Decimal(text).normalize():f}")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if len(text) >= _LONG and text[0] != "-" else _padded(text)


def _padded(text: str) -> str:
    missing = _RATIO_DIGITS - len(text.replace(".", "").strip("-0"))
    if missing <= 0:
        return text
    return f"{text}{'' if '.' in text else '.'}{'0' * missing}"


def counts(column: Sequence[Number]) -> list[int | float]:
    return [as_count(value) for value in column]


def as_count(value: Number) -> int | float:
    """An integer where it is whole."""
    if isinstance(value, int):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def multiplied(column: Sequence[Number], factor: Number) -> Sequence[Number]:
    return column if factor == 1 else [value * factor for value in column]


def plus(column: Sequence[Number], other: Sequence[Number]) -> list[Number]:
    return [one + two for one, two in zip(column, other, strict=True)]


def rows_of(table: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """By the row. Rows that begin with all their keys need not grow."""
    empty = dict.fromkeys(table)
    size = len(next(iter(table.values())))
    rows = [empty.copy() for _ in range(size)]
    for name, column in table.items():
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    return rows
