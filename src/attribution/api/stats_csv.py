"""An answer of stats as CSV: one line a row, for spreadsheets."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from fastapi import Request

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula's beginning; sub ids are whatever a visitor's address says."""
_COMPARED = ("previous", "change")


def as_csv(
    dimensions: Sequence[str], metrics: Sequence[str], rows: Sequence[Mapping[str, Any]], *, compare: bool
) -> str:
    """The metrics of the period before as `previous_clicks`, their change as `change_clicks`. Null is empty."""
    text = StringIO()
    writer = csv.writer(text)
    more = [(part, name) for part in _COMPARED for name in metrics] if compare else []
    writer.writerow([*dimensions, *metrics, *(f"{part}_{name}" for part, name in more)])
    for row in rows:
        figures: Iterator[Any] = (row[part][name] for part, name in more)
        writer.writerow([*(_label(row[name]) for name in dimensions), *(row[name] for name in metrics), *figures])
    return text.getvalue()


def csv_headers(name: str, following: str | None) -> dict[str, str]:
    """`following`: the address of the next page, a link of the head as RFC 8288 has it."""
    link = {} if following is None else {"Link": f'<{following}>; rel="next"'}
    return {"Content-Disposition": f'attachment; filename="{name}.csv"'} | link


def following_page(request: Request, cursor: str | None) -> str | None:
    return None if cursor is None else str(request.url.include_query_params(cursor=cursor))


def _label(value: str | None) -> str | None:
    """A text that would be a formula has an apostrophe before it."""
    return f"'{value}" if value is not None and value.startswith(_FORMULA) else value
