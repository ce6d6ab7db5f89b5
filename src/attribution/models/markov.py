"""Markov chains over paths: a channel is worth what would be lost without it.

Source: Anderl, Becker, von Wangenheim, Schumann, "Mapping the customer journey: A graph-based framework for online
attribution modeling" (2014). Absorbing chains: Kemeny, Snell, "Finite Markov Chains" (1960), chapter 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain as chained
from operator import attrgetter
from typing import Any, Final

import numpy as np
from scipy import sparse

from attribution.errors import AttributionError

from .paths import Number, Path
from .sharing import Attribution, ChannelCredit

ORDERS: Final = (1, 2, 3)
_DENSE_STATES: Final = 4_000
"""Up to here the chain's matrix is inverted: 128 MB. Beyond, walkers are followed until none is left."""
_UNABSORBED: Final = 1e-15
_WALKERS_CELLS: Final = 4_000_000
_WORK_MAX: Final = 5_000_000_000
# In place of generators: a fifth of the whole time over 200,000 paths.
_TOUCHES, _CONVERSIONS, _VALUE, _NULLS = map(attrgetter, ("touches", "conversions", "value", "nulls"))

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


class ChainError(AttributionError):
    """The chain cannot be made, or is too large to be solved"""


@dataclass(frozen=True, slots=True)
class _Steps:
    """All touches of all paths in a row, without repeats. `first`, `last`: of their path; `walks`: through it."""

    channel: Indices
    first: np.ndarray[tuple[int], np.dtype[np.bool_]]
    last: np.ndarray[tuple[int], np.dtype[np.bool_]]
    conversions: Vector
    walks: Vector


@dataclass(frozen=True, slots=True)
class _Chain:
    """Probabilities: of starting in each state, of going from one to another, of converting from each."""

    start: Vector
    moves: Any
    converts: Vector
    channel: Indices
    """That each state ends in."""


def markov(paths: Sequence[Path], order: int = 1, *, nulls: bool = True) -> Attribution:
    """Conversions and value shared in proportion to the channels' removal effects.

    The chain goes from the start through states, which are the last `order` channels of a path (fewer at its
    beginning), to conversion or null; consecutive repeats of a channel are one. Removing a channel sends all that
    flows into states that end in it to null. Its removal effect is the part of the conversions that is lost, from 0
    to 1. Without `nulls` only conversions walk. Raises `ChainError` for another order than 1 to 3.
    """
    if order not in ORDERS:
        raise ChainError("the order of a Markov chain is 1, 2 or 3")
    channels = sorted(set(chained.from_iterable(map(_TOUCHES, paths))))
    effects = np.zeros(len(channels))
    walked = [path for path in paths if path.conversions or (nulls and path.nulls)]
    if any(path.conversions for path in walked):
        steps = _steps(walked, {channel: index for index, channel in enumerate(channels)}, nulls=nulls)
        effects = _removal_effects(_chain(steps, len(channels), order), len(channels))
    shares = effects / (effects.sum() or 1)
    conversions, value = (float(sum(map(of, paths))) for of in (_CONVERSIONS, _VALUE))
    return {
        channel: ChannelCredit(conversions * float(share), value * float(share), float(effect))
        for channel, share, effect in zip(channels, shares, effects, strict=True)
    }


def _steps(paths: Sequence[Path], index: dict[str, int], *, nulls: bool) -> _Steps:
    walks = [*map(_TOUCHES, paths)]
    lengths = np.fromiter(map(len, walks), np.int64, len(walks))
    ends = np.cumsum(lengths)
    channel = np.fromiter(map(index.__getitem__, chained.from_iterable(walks)), np.int64, int(ends[-1]))
    first = np.zeros(len(channel), bool)
    first[ends - lengths] = True
    kept = first.copy()
    kept[1:] |= channel[1:] != channel[:-1]
    first = first[kept]
    conversions = _floats(_CONVERSIONS, paths)
    missed = _floats(_NULLS, paths) if nulls else np.zeros(len(paths))
    path_of = np.cumsum(first) - 1
    return _Steps(
        channel[kept],
        first,
        np.append(first[1:], True),
        conversions[path_of],
        (conversions + missed)[path_of],
    )


def _floats(of: Callable[[Path], Number], paths: Sequence[Path]) -> Vector:
    return np.fromiter(map(float, map(of, paths)), float, len(paths))


def _chain(steps: _Steps, channels: int, order: int) -> _Chain:
    code = steps.channel + 1
    before = code
    since = steps.first
    for power in range(1, order):
        before = np.append(0, before[:-1])
        before[since] = 0
        code = code + before * (channels + 1) ** power
    known, state = np.unique(code, return_inverse=True)
    size = len(known)
    through = np.bincount(state, steps.walks, size)
    inner = ~steps.last[:-1]
    pairs = (state[:-1][inner], state[1:][inner])
    moves = sparse.coo_array((steps.walks[:-1][inner], pairs), (size, size)).tocsr()
    moves.data /= np.repeat(through, np.diff(moves.indptr))
    start = np.bincount(state[steps.first], steps.walks[steps.first], size)
    return _Chain(
        start / start.sum(),
        moves,
        np.bincount(state[steps.last], steps.conversions[steps.last], size) / through,
        known % (channels + 1) - 1,
    )


def _removal_effects(chain: _Chain, channels: int) -> Vector:
    effects = _by_inverse(chain, channels) if len(chain.start) <= _DENSE_STATES else _by_walking(chain, channels)
    return np.clip(effects, 0, 1)


def _by_inverse(chain: _Chain, channels: int) -> Vector:
    """With N the chain's fundamental matrix, whose (i, j) is how often a walker from i is in j:

    of those who start, f = N[start, S] N[S, S]^-1 first meet the set S in each of its states, and convert from there
    with probability (N converts)[S]. These are lost when S is the states of a removed channel.
    """
    visits = np.linalg.inv(np.eye(len(chain.start)) - chain.moves.toarray())
    from_start, converts = chain.start @ visits, visits @ chain.converts
    lost = np.zeros(channels)
    for channel in np.unique(chain.channel):
        removed = np.flatnonzero(chain.channel == channel)
        first_met = np.linalg.solve(visits[np.ix_(removed, removed)].T, from_start[removed])
        lost[channel] = first_met @ converts[removed]
    effects: Vector = lost / (chain.start @ converts)
    return effects


def _by_walking(chain: _Chain, channels: int) -> Vector:
    """The same by following the walkers, step by step, until fewer than 1e-15 of them are on their way."""
    if channels * chain.moves.nnz > _WORK_MAX:
        raise ChainError(f"a chain of {len(chain.start)} states and {channels} channels is too large to be solved")
    everyone = _converted(chain, np.array([-1]))[0]
    size = max(1, _WALKERS_CELLS // len(chain.start))
    blocks = (np.arange(begin, min(begin + size, channels)) for begin in range(0, channels, size))
    without: Vector = np.concatenate([_converted(chain, removed) for removed in blocks])
    effects: Vector = 1 - without / everyone
    return effects


def _converted(chain: _Chain, removed: Indices) -> Vector:
    """The part of the walkers that converts without each of the removed channels."""
    allowed = chain.channel[:, np.newaxis] != removed[np.newaxis]
    step = chain.moves.T.tocsr()
    walkers = chain.start[:, np.newaxis] * allowed
    converted = np.zeros(len(removed))
    while walkers.sum(axis=0).max() > _UNABSORBED:
        converted += chain.converts @ walkers
        walkers = (step @ walkers) * allowed
    return converted
