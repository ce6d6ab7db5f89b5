from datetime import timedelta

import pytest

from attribution.domain.durations import DURATION_MAX, DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P30D", timedelta(days=30)),
        ("P2W", timedelta(weeks=2)),
        ("PT10S", timedelta(seconds=10)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT90M", timedelta(minutes=90)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("PT1,5S", timedelta(seconds=1.5)),
        ("P0D", timedelta(0)),
        ("PT36H", timedelta(hours=36)),
        ("P36500D", DURATION_MAX),
    ],
)
def test_exact_durations(text: str, duration: timedelta) -> None:
    """Weeks, days, hours, minutes and seconds to the microsecond; a day has 24 hours."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "", "P", "PT", "P1DT", "P1M", "P1Y", "P1W1D", "30D", "-P1D", "P-1D", "P1.5D", "PT1.S", "PT0.0000001S",
        "p1d", "PT1S1M", "P1D ", "P\u0661D", "P1D\n", "P36500DT1S", "P" + "9" * 5_000 + "D", "PT" + "9" * 30 + "S",
    ],
)  # fmt: skip
def test_what_is_no_exact_duration_is_refused(text: str) -> None:
    """Months and years have no length, a window is never negative nor of centuries, nothing is rounded."""
    with pytest.raises(DurationError):
        parse_duration(text)


def test_a_negative_duration_is_told_so() -> None:
    with pytest.raises(DurationError, match="must not be negative"):
        parse_duration("-P1DT2H")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=30), "P30D"),
        (timedelta(hours=36), "P1DT43200S"),
        (timedelta(seconds=10), "PT10S"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (timedelta(0), "P0D"),
    ],
)
def test_durations_are_written_in_days_and_seconds(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text
