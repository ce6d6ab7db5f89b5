"""What all reports are asked by and answered in: a period, rows as CSV."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import Query, Response

from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .stats import moment
from .stats_csv import csv_headers

From = Annotated[str | None, Query(alias="from", max_length=64, description="an instant, or a date")]
To = Annotated[str | None, Query(alias="to", max_length=64, description="exclusive; by default now")]
Form = Annotated[Literal["json", "csv"], Query(alias="format")]
AS_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula's beginning."""


def invalid(parameter: str, message: str) -> InvalidInputError:
    return InvalidInputError(FieldError(("query", parameter), message))


def period(program: Program, start: str | None, end: str | None, default: timedelta) -> tuple[datetime, datetime]:
    """In UTC; `default`: its length where `start` is not said."""
    zone = ZoneInfo(program.timezone)
    until = moment("to", end, zone).astimezone(UTC) if end else datetime.now(UTC)
    try:
        since = moment("from", start, zone).astimezone(UTC) if start else until - default
    except OverflowError:
        raise invalid("to", "is before all time") from None
    if since > until:
        raise invalid("from", "is after `to`")
    return since, until


def as_csv(
    name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], following: str | None = None
) -> Response:
    """One line a row, below the columns' names. What is nested has its names joined by `_`. Null is empty.

    `following`: the address of the next page.
    """
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        cells = dict(_flattened(row))
        writer.writerow([_cell(cells.get(column)) for column in columns])
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=csv_headers(name, following))


def _flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}_")
        else:
            yield f"{prefix}{key}", value


def _cell(value: Any) -> Any:
    """A text that would be a formula has an apostrophe before it; a number has none. Truth is as in JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdecimal()
