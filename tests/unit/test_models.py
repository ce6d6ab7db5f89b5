from fractions import Fraction

import pytest

from attribution.domain.models import U_SHAPED, WEEK_US, Ends, Model, Parameters, by_position, weights

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
DAY_US = WEEK_US // 7


def fractions(*decimals: str) -> list[Fraction]:
    return [Fraction(decimal) for decimal in decimals]


def ends(first: str, middle: str, last: str) -> Ends:
    return (Fraction(first), Fraction(middle), Fraction(last))


def of_length(model: Model, length: int, position_weights: Ends = U_SHAPED) -> list[Fraction]:
    return list(weights(model, [0] * length, Parameters(position_weights=position_weights)))


@pytest.mark.parametrize("model", Model)
def test_a_single_touch_has_all(model: Model) -> None:
    """A path of one touch gives it everything, whatever the model and its parameters."""
    assert of_length(model, 1) == [1]
    assert of_length(model, 1, ends("0", "1", "0")) == [1]


@pytest.mark.parametrize(
    ("model", "two", "three", "five"),
    [
        (Model.LAST_TOUCH, fractions("0", "1"), fractions("0", "0", "1"), fractions("0", "0", "0", "0", "1")),
        (Model.FIRST_TOUCH, fractions("1", "0"), fractions("1", "0", "0"), fractions("1", "0", "0", "0", "0")),
        (Model.LINEAR, [HALF] * 2, [THIRD] * 3, fractions("0.2", "0.2", "0.2", "0.2", "0.2")),
        (
            Model.POSITION_BASED,
            [HALF] * 2,
            fractions("0.4", "0.2", "0.4"),
            [Fraction("0.4"), *[Fraction(1, 15)] * 3, Fraction("0.4")],
        ),
        (
            Model.J_SHAPED,
            fractions("0.25", "0.75"),
            fractions("0.2", "0.2", "0.6"),
            [Fraction("0.2"), *[Fraction(1, 15)] * 3, Fraction("0.6")],
        ),
        (
            Model.INVERSE_J,
            fractions("0.75", "0.25"),
            fractions("0.6", "0.2", "0.2"),
            [Fraction("0.6"), *[Fraction(1, 15)] * 3, Fraction("0.2")],
        ),
        (Model.TIME_DECAY, [HALF] * 2, [THIRD] * 3, [Fraction(1, 5)] * 5),
    ],
)
def test_weights_by_position(model: Model, two: list[Fraction], three: list[Fraction], five: list[Fraction]) -> None:
    """The oldest touch is first; a third is exactly a third; touches of one instant decay alike."""
    assert of_length(model, 2) == two
    assert of_length(model, 3) == three
    assert of_length(model, 5) == five


@pytest.mark.parametrize(
    ("chosen", "two", "four"),
    [
        (ends("0.3", "0.1", "0.6"), [THIRD, 2 * THIRD], fractions("0.3", "0.05", "0.05", "0.6")),
        (ends("1", "0", "0"), fractions("1", "0"), fractions("1", "0", "0", "0")),
        (ends("0", "0.5", "0.5"), fractions("0", "1"), fractions("0", "0.25", "0.25", "0.5")),
        (ends("0", "1", "0"), [HALF] * 2, fractions("0", "0.5", "0.5", "0")),
    ],
)
def test_position_weights_can_be_chosen(chosen: Ends, two: list[Fraction], four: list[Fraction]) -> None:
    """Of two touches first and last keep their proportion; where only the middle is paid they share equally."""
    assert of_length(Model.POSITION_BASED, 2, chosen) == two
    assert of_length(Model.POSITION_BASED, 4, chosen) == four


@pytest.mark.parametrize(
    ("ages_days", "half_life_days", "expected"),
    [
        ([7, 0], 7, fractions("1", "2")),
        ([14, 7, 0], 7, fractions("1", "2", "4")),
        ([37, 30], 7, fractions("1", "2")),
        ([3, 2, 1], 1, fractions("1", "2", "4")),
        ([80, 0], 1, [Fraction("0.000000000000000000000001"), Fraction(1)]),
        ([81, 0], 1, fractions("0", "1")),
        ([36_500, 36_499, 0], 1, fractions("0", "0", "1")),
    ],
)
def test_time_decay_halves_with_every_half_life(
    ages_days: list[int], half_life_days: int, expected: list[Fraction]
) -> None:
    """2^(-age/half_life), normalised. Only differences of age matter; at 24 decimals it ends."""
    ages_us = [days * DAY_US for days in ages_days]
    given = weights(Model.TIME_DECAY, ages_us, Parameters(half_life_us=half_life_days * DAY_US))
    assert given == tuple(part / sum(expected) for part in expected)


def test_time_decay_of_an_age_between() -> None:
    """2^(-1/2) = 0.707106781186547524400844|362..., rounded to 24 decimals."""
    older, newer = weights(Model.TIME_DECAY, [WEEK_US // 2, 0])
    assert older / newer == Fraction("0.707106781186547524400844")


def test_time_decay_without_ages_is_refused() -> None:
    """By position alone it is nothing."""
    with pytest.raises(ValueError, match="needs the age of each touch"):
        by_position(Model.TIME_DECAY, 2)


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("length", [1, 2, 3, 7, 1_000])
def test_weights_sum_to_one(model: Model, length: int) -> None:
    """Exactly, however long the path."""
    assert len(of_length(model, length)) == length
    assert sum(of_length(model, length)) == 1
