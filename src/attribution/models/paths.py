"""Paths to conversion as a table holds them: how often each converted, of what value, and how often it did not."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from attribution.domain.money import MoneyError, parse_decimal
from attribution.errors import AttributionError

SEPARATOR: Final = " > "
COLUMNS: Final = ("path", "conversions", "value", "null")
_SHOWN: Final = 100
_PLAIN: Final = 18
"""Digits of counts that are read the fast way."""
_NUMBERS_KEPT: Final = 4_096
"""Most counts of a file are like others of it, and to make a fraction of a decimal takes as long as the rest."""

Number = int | float | Decimal | Fraction


class PathError(AttributionError):
    """A path has at least one touch, and finite numbers, none negative"""


@dataclass(frozen=True, slots=True)
class Path:
    """`touches`: the oldest first, at least one. `value`: of all its conversions together. None is negative.

    Raises `PathError`.
    """

    touches: tuple[str, ...]
    conversions: Number = 1
    value: Number = 0
    nulls: Number = 0

    def __post_init__(self) -> None:
        try:
            is_path = self.touches and all(
                0 <= number < math.inf for number in (self.conversions, self.value, self.nulls)
            )
        except (TypeError, ArithmeticError):
            is_path = False
        if not is_path:
            raise PathError


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """`number`: of the line in the file, from 1."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.number}: {self.reason}"


class MalformedPathsError(AttributionError):
    """Some rows are not paths"""

    def __init__(self, rows: list[MalformedRow]) -> None:
        super().__init__(shown(rows))
        self.rows = rows


def shown(rows: list[MalformedRow]) -> str:
    lines = [str(row) for row in rows[:_SHOWN]]
    return "\n".join([*lines, f"and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else lines)


def read_paths(lines: Iterable[str]) -> tuple[list[Path], list[MalformedRow]]:
    """Of `path;conversions;value;null`, one a line, touches joined by ` > `; a cell may be quoted, a header may lead.

    Rows that are not so are told apart, for the caller to refuse. Blank lines are passed over.
    """
    paths: list[Path] = []
    malformed: list[MalformedRow] = []
    names: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            cells = _cells(line)
            if cells and not (number == 1 and tuple(cell.strip().lower() for cell in cells) == COLUMNS):
                paths.append(_path(cells, names))
        except ValueError as error:
            malformed.append(MalformedRow(number, str(error)))
    return paths, malformed


def _cells(line: str) -> list[str]:
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    if not line.strip():
        return []
    row = line.rstrip("\r\n")
    # A reader for each row, most of which need none, would take longer than all else about it.
    if '"' in row or "\r" in row or "\n" in row or len(row) > csv.field_size_limit():
        return _read_cells(line)
    return row.split(";")


def _read_cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=";", strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _path(cells: list[str], names: dict[str, str]) -> Path:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"has {len(cells)} fields instead of {len(COLUMNS)}, which are {';'.join(COLUMNS)}")
    conversions, value, nulls = map(_number, COLUMNS[1:], cells[1:])
    return Path(_touches(cells[0], names), conversions, value, nulls)


def _touches(cell: str, names: dict[str, str]) -> tuple[str, ...]:
    """`names`: by what stands between separators, those that were read: each is looked at, and kept, once."""
    between = cell.split(SEPARATOR)
    try:
        return tuple(map(names.__getitem__, between))
    except KeyError:
        touches = _checked(between)
        names.update(zip(between, touches, strict=True))
        return touches


def _checked(between: list[str]) -> tuple[str, ...]:
    touches = tuple(touch.strip() for touch in between)
    for position, touch in enumerate(touches, 1):
        if not touch:
            raise ValueError(f"touch {position} of the path is empty" if len(touches) > 1 else "the path is empty")
        if ">" in touch:
            raise ValueError(f"touch {position} of the path has a > in it: touches are joined by ' > ', with spaces")
    return touches


@lru_cache(_NUMBERS_KEPT)
def _number(name: str, cell: str) -> int | Fraction:
    if cell.isascii() and cell.isdecimal() and len(cell) <= _PLAIN:
        return int(cell)
    try:
        number = Fraction(parse_decimal(cell.strip()))
    except MoneyError as error:
        raise ValueError(f"{name} {cell[:40]!r} {error}") from error
    if number < 0:
        raise ValueError(f"{name} {cell[:40]!r} is negative")
    return number.numerator if number.denominator == 1 else number
