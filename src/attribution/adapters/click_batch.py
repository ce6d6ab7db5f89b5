"""Clicks between the stream and the table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from attribution.domain.clicks import MalformedClickError, renewed

from .click_rows import copy_row


@dataclass(slots=True)
class ClickBatch:
    """Clicks in columns: `records[n]` is what travelled, of today's version, `rows[n]` what COPY takes."""

    records: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Self:
        """Raises `MalformedClickError`."""
        batch = cls()
        batch.extend(list(records))
        return batch

    def extend(self, records: Sequence[bytes]) -> None:
        """By all of them, or raises `MalformedClickError` and stays as it was."""
        try:
            rows = [copy_row(record) for record in records]
        except MalformedClickError:
            records = [renewed(record) for record in records]
            rows = [copy_row(record) for record in records]
        self.rows += rows
        self.records += records

    def __len__(self) -> int:
        return len(self.records)

    def first_and_last(self) -> tuple[bytes, bytes]:
        """By time: a record begins with its version, which all share, and its click id."""
        return min(self.records), max(self.records)

    def halves(self) -> tuple["ClickBatch", "ClickBatch"]:
        middle = len(self) // 2
        return (
            ClickBatch(self.records[:middle], self.rows[:middle]),
            ClickBatch(self.records[middle:], self.rows[middle:]),
        )

    def __add__(self, other: "ClickBatch") -> "ClickBatch":
        return ClickBatch(self.records + other.records, self.rows + other.rows)
