"""CSV as spreadsheets and platforms write it: comma, semicolon or tab; a BOM or none; quoted cells with newlines."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TextIO, TypedDict

from attribution.errors import FieldError, InvalidInputError

LINE_MAX = 1024 * 1024


class _Text(TypedDict):
    encoding: str
    errors: str
    newline: str


# Bytes that are not UTF-8 become half characters, which only their own row is refused for.
CSV_TEXT: Final[_Text] = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class CsvRow:
    """`number` as spreadsheets count: the header is row 1. `cells`: column -> text, without the empty ones."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    number: int
    message: str


class CsvTable:
    """Reads as it is iterated, a row at a time. Raises `InvalidInputError` for a header that is none."""

    def __init__(self, text: TextIO) -> None:
        """`text`: opened with the `CSV_TEXT` options."""
        first = text.readline(LINE_MAX)
        self._reader = csv.reader(_lines(first, text), delimiter=_delimiter(first), strict=True)
        self.columns = _columns(self._next_row())

    def _next_row(self) -> list[str]:
        try:
            return next(self._reader, [])
        except csv.Error as error:
            raise _no_header(f"cannot be read: {error}") from error

    def __iter__(self) -> Iterator[CsvRow | BadRow]:
        number = 1
        try:
            for number, cells in enumerate(self._reader, 2):
                if any(cell.strip() for cell in cells):
                    yield self._row(number, cells)
        except csv.Error as error:
            yield BadRow(number + 1, f"cannot be read, nor what follows: {error}")

    def _row(self, number: int, cells: list[str]) -> CsvRow | BadRow:
        if any(cell.strip() for cell in cells[len(self.columns) :]):
            return BadRow(number, f"has more cells than the header's {len(self.columns)}")
        named = zip(self.columns, cells, strict=False)
        row = CsvRow(number, {name: text for name, cell in named if name and (text := cell.strip())})
        return row if _is_text("".join(row.cells.values())) else BadRow(number, "is not UTF-8, or has a NUL")


def _lines(first: str, text: TextIO) -> Iterator[str]:
    line = first
    while line:
        if len(line) >= LINE_MAX:
            raise csv.Error(f"a line is longer than {LINE_MAX} characters")
        yield line
        line = text.readline(LINE_MAX)


def _delimiter(header: str) -> str:
    bare = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=bare.count)


def _columns(cells: list[str]) -> list[str]:
    columns = [" ".join(cell.casefold().split()) for cell in cells]
    if not any(columns):
        raise _no_header("has no header")
    if not _is_text("".join(columns)):
        raise _no_header("is not UTF-8: save it as CSV UTF-8")
    for column in columns:
        if column and columns.count(column) > 1:
            raise _no_header(f"has the column {column[:64]!r} twice")
    return columns


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _no_header(message: str) -> InvalidInputError:
    return InvalidInputError(FieldError(("body",), message))
