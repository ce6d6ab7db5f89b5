"""What occurs most, in bounded memory."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class FrequentItems(Generic[Item]):
    """Exact as long as at most `capacity` distinct items come; beyond, each count is too low by at most `error`.

    Source: Misra and Gries, Finding repeated elements, 1982. `error` is at most items / (capacity + 1).
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[Item, int] = {}
        self.error = 0

    def add(self, item: Item) -> None:
        if item in self._counts:
            self._counts[item] += 1
        elif len(self._counts) < self._capacity:
            self._counts[item] = 1
        else:
            self._counts = {known: count - 1 for known, count in self._counts.items() if count > 1}
            self.error += 1

    def top(self, limit: int) -> list[tuple[Item, int]]:
        """The most frequent first, equals by themselves as text."""
        return sorted(self._counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:limit]
