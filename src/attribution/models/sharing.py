"""Models that share out each path by itself: by position, or equally among its members. Exact."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from attribution.domain.models import U_SHAPED, Ends, Model, by_position
from attribution.errors import AttributionError

from .paths import Number, Path

Weight = Number | str


class WeightsError(AttributionError):
    """Position weights are three numbers, none negative, that sum to 1: first, middle, last"""


@dataclass(frozen=True, slots=True)
class ChannelCredit:
    """Fractions where the model is exact, floats where it solves equations. `removal_effect`: of 0 to 1."""

    conversions: Fraction | float
    value: Fraction | float
    removal_effect: float | None = None


Attribution = dict[str, ChannelCredit]
"""By channel, in the order of their names; every channel of the paths is there."""


def last_touch(paths: Iterable[Path]) -> Attribution:
    """All to the last touch."""
    return _by_position(Model.LAST_TOUCH, paths)


def first_touch(paths: Iterable[Path]) -> Attribution:
    """All to the first touch."""
    return _by_position(Model.FIRST_TOUCH, paths)


def linear(paths: Iterable[Path]) -> Attribution:
    """1/n to each of n touches; a channel that was touched twice has two parts."""
    return _by_position(Model.LINEAR, paths)


def position_based(paths: Iterable[Path], position_weights: Sequence[Weight] = U_SHAPED) -> Attribution:
    """0.4 to the first touch, 0.4 to the last, 0.2 shared by those between; or other weights that sum to 1.

    Of two touches first and last keep their proportion. Source: Google Analytics, "Position Based" of its
    multi-channel funnels. Raises `WeightsError`.
    """
    return _by_position(Model.POSITION_BASED, paths, _ends(position_weights))


def _ends(position_weights: Sequence[Weight]) -> Ends:
    """A float is the decimal number that it is written as."""
    try:
        first, middle, last = (Fraction(str(weight)) for weight in position_weights)
    except ValueError:
        raise WeightsError from None
    if min(first, middle, last) < 0 or first + middle + last != 1:
        raise WeightsError
    return first, middle, last


def j_shaped(paths: Iterable[Path]) -> Attribution:
    """0.6 to the last touch, 0.2 to the first, 0.2 shared by those between; 0.75 and 0.25 of two.

    Source: Adobe Analytics, attribution model "J curve".
    """
    return _by_position(Model.J_SHAPED, paths)


def inverse_j(paths: Iterable[Path]) -> Attribution:
    """`j_shaped` mirrored: 0.6 to the first touch. Source: Adobe Analytics, "Inverse J"."""
    return _by_position(Model.INVERSE_J, paths)


def participation(paths: Iterable[Path]) -> Attribution:
    """All to every channel of the path, once: the sum over channels is more than the total.

    Source: Adobe Analytics, "Participation".
    """
    return _shared(paths, _members, lambda count: (Fraction(1),) * count)


def shapley(paths: Iterable[Path]) -> Attribution:
    """The Shapley value of the game v(S) = conversions of the paths whose channels all lie in S; of value likewise.

    Exact for any number of channels: v is a sum of unanimity games, one for each path's set of channels, and the
    Shapley value is linear and divides a unanimity game equally among its members. So each path's conversions
    are shared equally among its distinct channels, which is what is computed here.
    Source: L. S. Shapley, "A Value for n-Person Games" (1953), lemma 3; for attribution: Zhao, Mahboobi, Bagheri,
    "Shapley Value Methods for Attribution Modeling in Online Advertising" (2018), arXiv:1804.05327.
    """
    return _shared(paths, _members, partial(by_position, Model.LINEAR))


def _by_position(model: Model, paths: Iterable[Path], position_weights: Ends = U_SHAPED) -> Attribution:
    return _shared(paths, lambda path: path.touches, lambda length: by_position(model, length, position_weights))


def _members(path: Path) -> Sequence[str]:
    return tuple(set(path.touches))


def _shared(
    paths: Iterable[Path],
    holders: Callable[[Path], Sequence[str]],
    weights: Callable[[int], Sequence[Fraction]],
) -> Attribution:
    """Summed first by channel and place, since places are few and adding fractions is slow."""
    by_place: dict[tuple[str, int, int], list[int | Fraction]] = defaultdict(lambda: [0, 0])
    for path in paths:
        conversions, value, channels = exact(path.conversions), exact(path.value), holders(path)
        for position, channel in enumerate(channels):
            sums = by_place[channel, len(channels), position]
            sums[0] += conversions
            sums[1] += value
    totals: dict[str, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for (channel, length, position), (conversions, value) in by_place.items():
        weight = weights(length)[position]
        totals[channel][0] += weight * conversions
        totals[channel][1] += weight * value
    return {channel: ChannelCredit(conversions, value) for channel, (conversions, value) in sorted(totals.items())}


def exact(number: Number) -> int | Fraction:
    return number if isinstance(number, int) else Fraction(number)
