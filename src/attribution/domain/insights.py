"""Post insights: running totals as platforms show them, and their growth."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

METRICS = ("impressions", "reach", "views", "likes", "comments", "shares", "saves", "link_taps", "followers")
"""Of a post, since it was published. `followers`: those it won, less those it lost where the platform says so."""


@dataclass(frozen=True, slots=True)
class Total:
    """A running total of one metric of one post, as it stood at `at_us`."""

    at_us: int
    value: int


def growth(totals: Iterable[Total], from_us: int, to_us: int) -> int:
    """In `[from_us, to_us)`: the last total known before its end less the last known before its start.

    `totals` in the order of their messages: of two for one moment the later counts. Before its first total a post
    has 0, so what it had then counts where it was first seen. Platforms take back what they found to be false, so
    a total may shrink and growth be negative; clamped at 0, days would no longer sum to their month.
    """
    [grown] = series(totals, [from_us, to_us])
    return grown


def series(totals: Iterable[Total], edges_us: Sequence[int]) -> list[int]:
    """The growth between each edge and the next: they sum to the growth from the first to the last edge."""
    current = sorted({total.at_us: total.value for total in totals}.items())
    moments = [at_us for at_us, _ in current]
    values = [0, *(value for _, value in current)]
    known = [values[bisect_left(moments, edge_us)] for edge_us in edges_us]
    return [after - before for before, after in pairwise(known)]
