"""The models over plain paths beside a reference of fractions that shares no code with them."""

import random
from collections.abc import Sequence
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import reference_models

from attribution.models import MODELS, Path, attribute, compare, markov, participation, shapley

CASES = settings(max_examples=200, deadline=None)
COUNTS = st.sampled_from([0, 0, 1, 2, 7]) | st.integers(0, 10**6)
PATHS = st.lists(
    st.builds(
        Path,
        st.lists(st.sampled_from("abcde"), min_size=1, max_size=7).map(tuple),
        COUNTS,
        st.decimals(0, 10**6, places=2),
        COUNTS,
    ),
    max_size=8,
)


@pytest.mark.parametrize(("dense_states", "block_paths"), [(4_000, 2_000), (0, 2)])
@pytest.mark.parametrize("nulls", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3])
@settings(max_examples=60, deadline=None)
@given(paths=PATHS)
def test_removal_effects_are_the_references(
    order: int,
    nulls: bool,  # noqa: FBT001
    dense_states: int,
    block_paths: int,
    paths: list[Path],
) -> None:
    """Solved at once, or by following walkers as large chains are; counted at once, or in parts."""
    with (
        patch("attribution.models.markov._DENSE_STATES", dense_states),
        patch("attribution.models.markov._BLOCK_PATHS", block_paths),
    ):
        effects = {channel: c.removal_effect for channel, c in markov(paths, order, nulls=nulls).items()}
    expected = reference_models.removal_effects(paths, order, nulls=nulls)
    assert effects == pytest.approx({channel: float(effect) for channel, effect in expected.items()}, abs=1e-9)


@CASES
@given(PATHS, st.sampled_from([1, 2, 3]), st.booleans())
def test_a_chain_shares_out_all(paths: list[Path], order: int, nulls: bool) -> None:  # noqa: FBT001
    """In proportion to removal effects, which are of 0 to 1; of no conversions there is nothing to share."""
    credits_ = markov(paths, order, nulls=nulls)
    effects = [float(credit.removal_effect or 0) for credit in credits_.values()]
    assert all(0 <= effect <= 1 for effect in effects)
    conversions = float(sum(path.conversions for path in paths))
    assert sum(float(credit.conversions) for credit in credits_.values()) == pytest.approx(conversions)
    if conversions:
        value = float(sum(Fraction(path.value) for path in paths))
        assert sum(float(credit.value) for credit in credits_.values()) == pytest.approx(value)
        assert [float(credit.conversions) for credit in credits_.values()] == pytest.approx(
            [conversions * effect / sum(effects) for effect in effects]
        )


@CASES
@given(PATHS, st.sampled_from([1, 2]))
def test_removal_effects_are_of_proportions(paths: list[Path], order: int) -> None:
    """A hundred times the same paths, and each channel has the same effect."""
    effects = {channel: credit.removal_effect for channel, credit in markov(paths, order).items()}
    assert {channel: c.removal_effect for channel, c in markov(paths * 100, order).items()} == pytest.approx(effects)


@CASES
@given(PATHS)
def test_shapley_is_that_of_all_subsets(paths: list[Path]) -> None:
    """Fraction by fraction."""
    assert {channel: credit.conversions for channel, credit in shapley(paths).items()} == (
        reference_models.shapley(paths)
    )


@CASES
@given(PATHS)
def test_models_that_share_are_exact(paths: list[Path]) -> None:
    """Their parts add up to the conversions and the value, without a rounding."""
    for model in MODELS:
        if model not in {"markov", "participation"}:
            credits_ = attribute(model, paths).values()
            assert sum(credit.conversions for credit in credits_) == sum(path.conversions for path in paths)
            assert sum(credit.value for credit in credits_) == sum(Fraction(path.value) for path in paths)


@CASES
@given(PATHS)
def test_participation_counts_each_channel_once_a_path(paths: list[Path]) -> None:
    for channel, credit in participation(paths).items():
        assert credit.conversions == sum(path.conversions for path in paths if channel in path.touches)


@CASES
@given(PATHS, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(paths: list[Path], rng: random.Random) -> None:
    """Nor whether equal paths stand in one row or in several."""
    split = [part for path in paths for part in _in_two(path)]
    rng.shuffle(split)
    there = compare(split)
    for model, attribution in compare(paths).items():
        assert list(attribution) == list(there[model])
        for channel, credit in attribution.items():
            other = there[model][channel]
            assert float(credit.conversions) == pytest.approx(float(other.conversions), abs=1e-9)
            assert float(credit.value) == pytest.approx(float(other.value), abs=1e-9)


def _in_two(path: Path) -> Sequence[Path]:
    half = int(path.conversions) // 2
    return [Path(path.touches, half, 0, path.nulls), Path(path.touches, path.conversions - half, path.value, 0)]
