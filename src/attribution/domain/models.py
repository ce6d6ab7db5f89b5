"""Attribution models: how one conversion's credit is shared among the touches of its path.

A path is the eligible touches in the order of time. Each model gives one weight a touch; they are exact fractions
and sum to 1. A path of one touch gives it all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Final, assert_never


class Model(StrEnum):
    """Of one path alone: these decide who is paid."""

    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"
    LINEAR = "linear"
    POSITION_BASED = "position_based"
    TIME_DECAY = "time_decay"
    J_SHAPED = "j_shaped"
    INVERSE_J = "inverse_j"


class ReportModel(StrEnum):
    """Of all paths of a period: never for pay, as one order would change the credit of another."""

    MARKOV = "markov"
    SHAPLEY = "shapley"
    PARTICIPATION = "participation"


Ends = tuple[Fraction, Fraction, Fraction]
"""The parts of the first touch, of all between together, and of the last. They sum to 1."""

WEEK_US: Final = 7 * 24 * 3600 * 1_000_000
U_SHAPED: Final[Ends] = (Fraction(2, 5), Fraction(1, 5), Fraction(2, 5))
_J: Final[Ends] = (Fraction(1, 5), Fraction(1, 5), Fraction(3, 5))
_INVERSE_J: Final[Ends] = (Fraction(3, 5), Fraction(1, 5), Fraction(1, 5))


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of `time_decay` and `position_based`. `half_life_us` is above zero."""

    half_life_us: int = WEEK_US
    position_weights: Ends = U_SHAPED


DEFAULTS: Final = Parameters()
_ALL: Final = (Fraction(1),)
_HALVES: Final = (Fraction(1, 2), Fraction(1, 2))


def weights(model: Model, ages_us: Sequence[int], parameters: Parameters = DEFAULTS) -> Sequence[Fraction]:
    """Of a path of at least one touch, the oldest first. `ages_us`: conversion minus click, each at least 0."""
    if len(ages_us) == 1:
        return _ALL
    if model is Model.TIME_DECAY:
        return _time_decay(ages_us, parameters.half_life_us)
    if model is Model.POSITION_BASED:
        return by_position(model, len(ages_us), parameters.position_weights)
    # To hash fractions takes longer than all else here.
    return by_position(model, len(ages_us))


@lru_cache(maxsize=4096)
def by_position(model: Model, length: int, position_weights: Ends = U_SHAPED) -> tuple[Fraction, ...]:
    """Of a path of `length` touches. Raises `ValueError` for `time_decay`, which needs their ages."""
    match model:
        case Model.LAST_TOUCH:
            return (*(Fraction(0),) * (length - 1), Fraction(1))
        case Model.FIRST_TOUCH:
            return (Fraction(1), *(Fraction(0),) * (length - 1))
        case Model.LINEAR:
            return (Fraction(1, length),) * length
        case Model.POSITION_BASED:
            return _ends_and_middle(length, position_weights)
        case Model.J_SHAPED:
            return _ends_and_middle(length, _J)
        case Model.INVERSE_J:
            return _ends_and_middle(length, _INVERSE_J)
        case Model.TIME_DECAY:
            raise ValueError("time_decay needs the age of each touch")
    assert_never(model)


def _ends_and_middle(length: int, ends: Ends) -> tuple[Fraction, ...]:
    """Without a middle, first and last keep their proportion; where both are 0 they share equally."""
    first, middle, last = ends
    if length == 1:
        return _ALL
    if length == 2:  # noqa: PLR2004
        both = first + last
        return (first / both, last / both) if both else _HALVES
    return (first, *(middle / (length - 2),) * (length - 2), last)


# Time decay: 2^(-age / half_life), relative to the newest touch, rounded half even to 24 decimals and then exact.
# `Decimal.exp` is correctly rounded on every platform, which a C library's exp2 is not; the 16 digits beyond
# make the rounding that of the true value.
_DECAY_DECIMALS: Final = 24
_DECAYED_TO_NOTHING: Final = 81
"""Half-lives after which 24 decimals are all zero."""
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_MINUS_LN_2: Final = Context(prec=40).ln(Decimal(2)).copy_negate()
_ONE: Final = 10**_DECAY_DECIMALS


def _time_decay(ages_us: Sequence[int], half_life_us: int) -> tuple[Fraction, ...]:
    newest_us = min(ages_us)
    parts = [_decayed(age_us - newest_us, half_life_us) for age_us in ages_us]
    total = sum(parts)
    return tuple(Fraction(part, total) for part in parts)


def _decayed(behind_us: int, half_life_us: int) -> int:
    """`2^(-behind_us / half_life_us)` in units of 1e-24."""
    if behind_us == 0:
        return _ONE
    if behind_us >= _DECAYED_TO_NOTHING * half_life_us:
        return 0
    exponent = _CONTEXT.divide(_CONTEXT.multiply(_MINUS_LN_2, Decimal(behind_us)), Decimal(half_life_us))
    scaled = _CONTEXT.exp(exponent).scaleb(_DECAY_DECIMALS, _CONTEXT)
    return int(scaled.to_integral_value(ROUND_HALF_EVEN))
