"""Attribution models: how one conversion's credit is shared among the touches of its path.

A path is the eligible touches in the order of time. Each model gives one weight a touch; they are exact fractions
and sum to 1.
"""

from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from typing import Final


class Model(StrEnum):
    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"
    LINEAR = "linear"


_ONE: Final = Fraction(1)
_ZERO: Final = Fraction(0)


def _last_touch(length: int) -> list[Fraction]:
    return [_ZERO] * (length - 1) + [_ONE]


def _first_touch(length: int) -> list[Fraction]:
    return [_ONE] + [_ZERO] * (length - 1)


def _linear(length: int) -> list[Fraction]:
    return [Fraction(1, length)] * length


_MODELS: Final[dict[Model, Callable[[int], list[Fraction]]]] = {
    Model.LAST_TOUCH: _last_touch,
    Model.FIRST_TOUCH: _first_touch,
    Model.LINEAR: _linear,
}


def weights(model: Model, length: int) -> list[Fraction]:
    """Of a path of `length` touches, at least one; the oldest first."""
    return _MODELS[model](length)
