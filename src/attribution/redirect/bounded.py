"""A bounded map for what can be computed again."""

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Two generations: a full young one becomes the old one, and the old one's unused entries are forgotten.

    A hit is one dictionary look-up, eviction costs nothing per entry, at most `2 * capacity` are held.
    """

    __slots__ = ("_capacity", "_old", "young")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.young: dict[K, V] = {}
        """Where most are found, for who can't afford a call to look there first."""
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: K) -> V | None:
        value = self.young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self.young) >= self._capacity and key not in self.young:
            self._old, self.young = self.young, {}
        self.young[key] = value

    def pop(self, key: K) -> V | None:
        young = self.young.pop(key, None)
        old = self._old.pop(key, None)
        return old if young is None else young

    def values(self) -> Iterator[V]:
        yield from self.young.values()
        yield from self._old.values()

    def clear(self) -> None:
        self.young.clear()
        self._old.clear()
