"""Windows are exact durations, written in ISO 8601: `P30D`, `PT10S`, `P1DT12H`, `P2W`. Months and years have no
exact length and are refused."""

import re
from datetime import timedelta

_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d+)W|(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:[.,]\d{1,6})?)S)?)?)",
    re.ASCII,
)
DURATION_MAX = timedelta(days=36_500)


class DurationError(ValueError):
    """Not an exact ISO 8601 duration"""


def parse_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None and text.startswith("-") and _DURATION.fullmatch(text, 1):
        raise DurationError("must not be negative")
    if match is None:
        raise DurationError("is not an ISO 8601 duration of weeks, days, hours, minutes or seconds, like P30D")
    whole, _, fraction = (match["seconds"] or "0").replace(",", ".").partition(".")
    try:
        duration = timedelta(
            weeks=int(match["weeks"] or 0),
            days=int(match["days"] or 0),
            hours=int(match["hours"] or 0),
            minutes=int(match["minutes"] or 0),
            seconds=int(whole),
            microseconds=int(fraction.ljust(6, "0")),
        )
    except (OverflowError, ValueError):
        duration = timedelta.max
    if duration > DURATION_MAX:
        raise DurationError("is longer than 100 years")
    return duration


def format_duration(duration: timedelta) -> str:
    days, rest = divmod(duration, timedelta(days=1))
    seconds, us = divmod(rest, timedelta(seconds=1))
    fraction = f".{us // timedelta(microseconds=1):06d}".rstrip("0").rstrip(".")
    time = f"T{seconds}{fraction}S" if rest else ""
    return f"P{days}D{time}" if days or not rest else f"P{time}"
