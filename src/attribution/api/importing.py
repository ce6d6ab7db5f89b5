"""A CSV, row by row: each accepted or refused by itself, in batches that memory does not feel."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Protocol

from pydantic import BaseModel

from attribution.errors import AttributionError, FieldError, InvalidInputError

from .csv_table import BadRow, CsvRow, CsvTable
from .problems import FieldProblem

_BATCH = 200


class Outcome(StrEnum):
    """`unchanged`: it is here already; `skipped`: a platform's row of sums."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


Taken = Outcome | AttributionError


class Importer(Protocol):
    def check(self, columns: Sequence[str]) -> None:
        """Raises `InvalidInputError` for columns that say nothing, or lack what is needed."""
        ...

    async def take(self, rows: Sequence[CsvRow]) -> list[Taken]:
        """One outcome each, in their order; when it returns, what is accepted is durable."""
        ...


class RefusedRow(BaseModel):
    """`row` as spreadsheets count: the header is row 1."""

    row: int
    errors: list[FieldProblem]


class ImportCounts(BaseModel):
    accepted: int = 0
    unchanged: int = 0
    skipped: int = 0


async def import_csv(table: CsvTable, importer: Importer, refuse: Callable[[RefusedRow], None]) -> ImportCounts:
    """Rows that were accepted before a failure stay, and a repeat finds them."""
    importer.check(table.columns)
    counts = ImportCounts()
    for batch in _batches(iter(table)):
        rows = [row for row in batch if isinstance(row, CsvRow)]
        outcomes = iter(await importer.take(rows))
        for row in batch:
            outcome = next(outcomes) if isinstance(row, CsvRow) else _bad(row)
            if isinstance(outcome, Outcome):
                setattr(counts, outcome, getattr(counts, outcome) + 1)
            else:
                refuse(_refused(row.number, outcome))
        await asyncio.sleep(0)
    return counts


def refuse_unknown_columns(columns: Sequence[str], known: Sequence[str]) -> None:
    unknown = [
        FieldError(("body", 1, name[:64]), "is not a known column") for name in columns if name not in ("", *known)
    ]
    if unknown:
        raise InvalidInputError(*unknown)


def misnamed(column: str, ids: Sequence[int], unknown: str) -> FieldError:
    """Of a reference that is not one object's: no object's, or that of each of these posts."""
    several = f"is the address of the posts {', '.join(map(str, ids))}: say which by its `post_id`"
    return FieldError(("body", column), several if ids else unknown)


def _batches(rows: Iterator[CsvRow | BadRow]) -> Iterator[list[CsvRow | BadRow]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _bad(row: BadRow) -> InvalidInputError:
    return InvalidInputError(FieldError(("body",), row.message))


def _refused(number: int, error: AttributionError) -> RefusedRow:
    faults = error.errors if isinstance(error, InvalidInputError) else (FieldError(("body",), str(error)),)
    return RefusedRow(row=number, errors=[FieldProblem(loc=["body", number, *f.loc[1:]], msg=f.msg) for f in faults])
