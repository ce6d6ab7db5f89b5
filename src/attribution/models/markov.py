"""Markov chains over paths: a channel is worth what would be lost without it.

Source: Anderl, Becker, von Wangenheim, Schumann, "Mapping the customer journey: A graph-based framework for online
attribution modeling" (2014). Absorbing chains: Kemeny, Snell, "Finite Markov Chains" (1960), chapter 3.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as chained
from itertools import count
from operator import attrgetter
from typing import Any, Final

import numpy as np
from scipy import sparse

from attribution.errors import AttributionError

from .paths import Path
from .sharing import Attribution, ChannelCredit

ORDERS: Final = (1, 2, 3)
_DENSE_STATES: Final = 4_000
"""Up to here the chain's matrix is inverted: 128 MB. Beyond, walkers are followed until none is left."""
_BLOCK_PATHS: Final = 2_000
"""Counted at a time: such small arrays stay in the cache and are made of memory that was just freed."""
_CODES_MAX: Final = 2**63
"""Of transitions: an index has no more."""
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
class _Walks:
    """Some paths. `channels`: of all their touches in a row, by number from 1; the others are of each path.

    `walks` are conversions and, where they count, nulls.
    """

    channels: Indices
    lengths: Indices
    conversions: Vector
    walks: Vector


@dataclass(frozen=True, slots=True)
class _Transitions:
    """From a state to a channel, and how many pass there. `code`: digits of a number to the base channels + 1.

    These are the last `order` channels, where 0 is before the first, and then the next one, where 0 is none.
    """

    code: Indices
    walks: Vector
    conversions: Vector


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
    to 1. Without `nulls` only conversions walk. Raises `ChainError` for another order than 1 to 3, and for a
    chain that is too large to be solved.
    """
    if order not in ORDERS:
        raise ChainError("the order of a Markov chain is 1, 2 or 3")
    numbers: defaultdict[str, int] = defaultdict(count(1).__next__)
    blocks = [
        _walks(paths[at : at + _BLOCK_PATHS], numbers, nulls=nulls) for at in range(0, len(paths), _BLOCK_PATHS)
    ]
    channels = sorted(numbers)
    effects = np.zeros(len(channels))
    conversions = math.fsum(block.conversions.sum() for block in blocks)
    if conversions:
        chain = _chain(_transitions(blocks, [numbers[channel] for channel in channels], order), len(channels), order)
        effects = _removal_effects(chain, len(channels))
    shares = effects / (effects.sum() or 1)
    value = math.fsum(map(_VALUE, paths))
    return {
        channel: ChannelCredit(conversions * float(share), value * float(share), float(effect))
        for channel, share, effect in zip(channels, shares, effects, strict=True)
    }


def _walks(paths: Sequence[Path], numbers: Mapping[str, int], *, nulls: bool) -> _Walks:
    """Without the repeats. `numbers`: gives one to a channel that it has not met."""
    touches = [*map(_TOUCHES, paths)]
    lengths = np.fromiter(map(len, touches), np.int64, len(paths))
    channels = np.fromiter(map(numbers.__getitem__, chained.from_iterable(touches)), np.int64, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    kept = np.append(True, channels[1:] != channels[:-1])
    kept[starts] = True
    conversions, missed = (np.fromiter(map(of, paths), float, len(paths)) for of in (_CONVERSIONS, _NULLS))
    return _Walks(
        channels[kept],
        np.add.reduceat(kept, starts, dtype=np.int64),
        conversions,
        conversions + missed if nulls else conversions,
    )


def _transitions(blocks: Sequence[_Walks], numbers: Sequence[int], order: int) -> _Transitions:
    """`numbers`: the channels', in the order in which they are numbered anew."""
    base = len(numbers) + 1
    end = base ** (order + 1)
    if end > _CODES_MAX:
        raise ChainError(f"a chain of {len(numbers)} channels is too large for order {order}")
    renumbered = np.empty(base, np.int64)
    renumbered[numbers] = np.arange(1, base)
    parts = [_summed(_of_walks(renumbered[block.channels], block, base, order), end) for block in blocks]
    together = _Transitions(
        np.concatenate([part.code for part in parts]),
        np.concatenate([part.walks for part in parts]),
        np.concatenate([part.conversions for part in parts]),
    )
    return _summed(together, end)


def _of_walks(channels: Indices, walks: _Walks, base: int, order: int) -> _Transitions:
    ends = np.cumsum(walks.lengths) - 1
    starts = ends + 1 - walks.lengths
    state = before = channels
    for power in range(1, order):
        before = np.append(0, before[:-1])
        before[starts] = 0
        state = state + before * base**power
    following = np.append(channels[1:], 0)
    following[ends] = 0
    return _Transitions(
        np.append(channels[starts], state * base + following),
        np.append(walks.walks, np.repeat(walks.walks, walks.lengths)),
        np.append(walks.conversions, np.repeat(walks.conversions, walks.lengths)),
    )


def _summed(transitions: _Transitions, end: int) -> _Transitions:
    """Each once, without those that nobody walks, by ascending codes, which are below `end`."""
    code = place = transitions.code
    if end <= len(code):
        # A code is its own place: to find the distinct ones would take longer than to count them all.
        code = np.arange(end)
    else:
        code, place = np.unique(code, return_inverse=True)
    passing = (transitions.walks, transitions.conversions)
    walks, conversions = (np.bincount(place, some, len(code)).astype(float) for some in passing)
    walked = walks > 0
    return _Transitions(code[walked], walks[walked], conversions[walked])


def _chain(transitions: _Transitions, channels: int, order: int) -> _Chain:
    base = channels + 1
    came_from, following = np.divmod(transitions.code, base)
    known = np.unique(came_from)[1:]
    size = len(known)
    begins, ends = came_from == 0, following == 0
    inner = ~(begins | ends)
    state = np.searchsorted(known, came_from)
    following_state = np.searchsorted(known, transitions.code % base**order)
    through = np.bincount(state[~begins], transitions.walks[~begins], size)
    start, converts = np.zeros(size), np.zeros(size)
    start[following_state[begins]] = transitions.walks[begins] / transitions.walks[begins].sum()
    converts[state[ends]] = transitions.conversions[ends] / through[state[ends]]
    moves = transitions.walks[inner] / through[state[inner]]
    pairs = (state[inner], following_state[inner])
    return _Chain(start, sparse.csr_array((moves, pairs), (size, size)), converts, known % base - 1)


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
