"""Examples that others have published, each with its source; where they round, the exact value."""

from fractions import Fraction

import pytest

from attribution.domain.models import Model, weights
from attribution.models import Path, linear, markov, position_based, shapley
from attribution.models.sharing import Attribution

DAY_US = 24 * 3600 * 1_000_000


def effects(attribution: Attribution) -> dict[str, float | None]:
    return {channel: credit.removal_effect for channel, credit in attribution.items()}


def conversions(attribution: Attribution) -> dict[str, float]:
    return {channel: float(credit.conversions) for channel, credit in attribution.items()}


def test_analyzecore() -> None:
    """Sergey Bryl', "Marketing Multi-Channel Attribution model with R (part 1)", analyzecore.com, 2016: three
    customers, one conversion; removal effects 0.5, 1, 1 and weights 0.2, 0.4, 0.4."""
    paths = [Path(("C1", "C2", "C3"), 1), Path(("C1",), 0, nulls=1), Path(("C2", "C3"), 0, nulls=1)]
    attribution = markov(paths)
    assert effects(attribution) == pytest.approx({"C1": 0.5, "C2": 1, "C3": 1})
    assert conversions(attribution) == pytest.approx({"C1": 0.2, "C2": 0.4, "C3": 0.4})


def test_puzyrov() -> None:
    """Serhii Puzyrov, "Markov Chain Attribution - Simple Explanation Of Removal Effect", serhiipuzyrov.com, 2019:
    from Google Ads 0.5 convert and 0.25 go on to mailing, which always converts; 0.8 start with Google Ads."""
    paths = [
        Path(("google ads",), 2, nulls=1),
        Path(("mailing",), 1),
        Path(("google ads", "mailing"), 1),
    ]
    attribution = markov(paths)
    assert effects(attribution) == pytest.approx({"google ads": 0.75, "mailing": 0.5})
    assert conversions(attribution) == pytest.approx({"google ads": 2.4, "mailing": 1.6})


def test_mta_transition_matrix() -> None:
    """The package mta (github.com/eeghor/mta, tests/test_probabilistic_models.py): from a 2/3 go to b, which
    converts 3/4, and 1/3 to c, which converts 1/2. All is lost without a; without b 1/2 of 2/3."""
    attribution = markov([Path(("a", "b"), 3, nulls=1), Path(("a", "c"), 1, nulls=1)])
    assert effects(attribution) == pytest.approx({"a": 1, "b": 3 / 4, "c": 1 / 4})


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([Path(("a",), 5)], {"a": 5}),
        ([Path(("a", "b", "c", "d"), 10)], {"a": 2.5, "b": 2.5, "c": 2.5, "d": 2.5}),
        ([Path(("a",), 4), Path(("a", "b"), 6)], {"a": 7, "b": 3}),
    ],
)
def test_mta_shapley(paths: list[Path], expected: dict[str, float]) -> None:
    """The package mta (github.com/eeghor/mta, tests/test_shapley.py)."""
    assert conversions(shapley(paths)) == expected


def test_matomo_linear_and_position_based() -> None:
    """matomo.org/faq/multi-channel-conversion-attribution/faq_25500: of 5 visits each gets 20 %; by position the
    first and the last get 40 % each and all others share 20 %."""
    five = [Path(("a", "b", "c", "d", "e"))]
    assert set(conversions(linear(five)).values()) == {0.2}
    assert [float(c) for c in conversions(position_based(five)).values()] == pytest.approx(
        [0.4, 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.4]
    )


def test_a_journey_by_time_decay() -> None:
    """github.com/coreyhaines31/marketingskills, attribution-models.md: touches on days 0, 5, 12, 30 and 38, bought
    on day 38 for 12,000, half-life 7 days: 175, 290, 575, 3,415, 7,545. It rounds on the way; exact to the cent
    are the values here, by 2^(-age/7)."""
    given = weights(Model.TIME_DECAY, [(38 - day) * DAY_US for day in (0, 5, 12, 30, 38)])
    exact = [12_000 * float(weight) for weight in given]
    assert exact == pytest.approx([175, 290, 575, 3_415, 7_545], abs=3)
    parts = [2 ** (-(38 - day) / 7) for day in (0, 5, 12, 30, 38)]
    assert exact == pytest.approx([12_000 * part / sum(parts) for part in parts])


def test_google_ads_half_life() -> None:
    """Google Ads API, AttributionModel: GOOGLE_SEARCH_ATTRIBUTION_TIME_DECAY has a half-life of 1 week; a click 8
    days before a conversion gets half as much credit as one 1 day before (Google Ads help, "Time decay")."""
    older, newer = weights(Model.TIME_DECAY, [8 * DAY_US, DAY_US])
    assert (older, newer) == (Fraction(1, 3), Fraction(2, 3))
