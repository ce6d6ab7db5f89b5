"""How numbers of an answer differ from those of another, by the column."""

from collections.abc import Sequence
from decimal import Decimal

from .columns import ratio

Value = int | float | str | None
"""A number as an answer has it."""


def changes(now: Sequence[Value], before: Sequence[Value]) -> list[str | None]:
    """(now - before) / |before|, so that more is positive; null where there is no value, or it was 0."""
    return [_change(value, was) for value, was in zip(now, before, strict=True)]


def _change(now: Value, before: Value) -> str | None:
    if now is None or before is None:
        return None
    if isinstance(now, int) and isinstance(before, int):
        return ratio(now - before, abs(before))
    was = Decimal(str(before))
    return ratio(Decimal(str(now)) - was, abs(was))
