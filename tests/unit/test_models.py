from fractions import Fraction

import pytest

from attribution.domain.models import Model, weights

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


@pytest.mark.parametrize("model", Model)
def test_a_single_touch_has_all(model: Model) -> None:
    """A path of one touch gives it everything, whatever the model."""
    assert weights(model, 1) == [1]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model.LAST_TOUCH, [0, 0, 1]),
        (Model.FIRST_TOUCH, [1, 0, 0]),
        (Model.LINEAR, [THIRD, THIRD, THIRD]),
    ],
)
def test_weights_of_three_touches(model: Model, expected: list[Fraction]) -> None:
    """The oldest touch is first; a third is exactly a third."""
    assert weights(model, 3) == expected


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("length", [1, 2, 3, 7, 1_000])
def test_weights_sum_to_one(model: Model, length: int) -> None:
    """Exactly, however long the path."""
    assert len(weights(model, length)) == length
    assert sum(weights(model, length)) == 1
