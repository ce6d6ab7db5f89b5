"""Global models as a person would work them out: chains of fractions by elimination, Shapley over all subsets."""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from math import factorial

from attribution.models import Path

START, CONVERSION, NULL = ("start",), ("conversion",), ("null",)
State = tuple[str, ...]


def _collapsed(touches: Sequence[str]) -> list[str]:
    return [touch for index, touch in enumerate(touches) if index == 0 or touch != touches[index - 1]]


def transitions(paths: Sequence[Path], order: int, *, nulls: bool) -> dict[State, dict[State, Fraction]]:
    counts: dict[State, dict[State, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for path in paths:
        touches = _collapsed(path.touches)
        states = [START] + [("last", *touches[max(0, end - order) : end]) for end in range(1, len(touches) + 1)]
        for outcome, walks in ((CONVERSION, path.conversions), (NULL, path.nulls if nulls else 0)):
            for here, there in pairwise([*states, outcome]):
                if walks:
                    counts[here][there] += Fraction(walks)
    return {
        here: {there: count / sum(following.values()) for there, count in following.items()}
        for here, following in counts.items()
    }


def converting(chain: dict[State, dict[State, Fraction]], removed: str | None) -> Fraction:
    """The probability of getting from the start to conversion, by elimination of one state after the other."""
    rows = {
        here: {NULL if there[0] == "last" and there[-1] == removed else there: Fraction(0) for there in following}
        for here, following in chain.items()
    }
    for here, following in chain.items():
        for there, probability in following.items():
            rows[here][NULL if there[0] == "last" and there[-1] == removed else there] += probability
    for gone in [state for state in rows if state != START]:
        out = rows.pop(gone)
        staying = out.pop(gone, Fraction(0))
        for row in rows.values():
            into = row.pop(gone, Fraction(0))
            for there, probability in out.items():
                if into:
                    row[there] = row.get(there, Fraction(0)) + into * probability / (1 - staying)
    return rows[START].get(CONVERSION, Fraction(0)) if rows else Fraction(0)


def removal_effects(paths: Sequence[Path], order: int, *, nulls: bool) -> dict[str, Fraction]:
    chain = transitions(paths, order, nulls=nulls)
    channels = {touch for path in paths for touch in path.touches}
    whole = converting(chain, None)
    if whole == 0:
        return dict.fromkeys(channels, Fraction(0))
    return {channel: 1 - converting(chain, channel) / whole for channel in channels}


def shapley(paths: Sequence[Path]) -> dict[str, Fraction]:
    channels = sorted({touch for path in paths for touch in path.touches})

    def worth(members: set[str]) -> Fraction:
        return sum((Fraction(path.conversions) for path in paths if set(path.touches) <= members), Fraction(0))

    values = dict.fromkeys(channels, Fraction(0))
    for channel in channels:
        others = [other for other in channels if other != channel]
        for size in range(len(others) + 1):
            chance = Fraction(factorial(size) * factorial(len(others) - size), factorial(len(channels)))
            for members in combinations(others, size):
                values[channel] += chance * (worth({*members, channel}) - worth(set(members)))
    return values
