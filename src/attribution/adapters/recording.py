"""Facts that are messages: appended where they say something new, told apart by a natural key."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .postgres import Connection

Values = Mapping[str, Any]
"""As JSON holds them: a statement takes its columns by name."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """`stored` False: it said nothing new, and `id` is the message that stands."""

    id: int
    stored: bool


async def record(
    connection: "Connection",
    statement: str,
    program_id: int,
    rows: Sequence[Values],
    key: Callable[[Values], Hashable],
) -> list[Recorded]:
    """In their order: of two with one key the second is judged, and counts, after the first."""
    outcomes: dict[int, Recorded] = {}
    rest = list(range(len(rows)))
    while rest:
        first = {key(rows[number]): number for number in reversed(rest)}
        numbers = sorted(first.values())
        found = await connection.fetch(statement, program_id, [rows[number] for number in numbers])
        outcomes |= {number: Recorded(row["id"], row["stored"]) for number, row in zip(numbers, found, strict=True)}
        rest = [number for number in rest if number not in outcomes]
    return [outcomes[number] for number in range(len(rows))]
