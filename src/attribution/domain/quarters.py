"""Quarter hours: the grain in which clicks are counted from tap to row. Days of all time zones consist of them."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from .instants import EPOCH

QUARTER = timedelta(minutes=15)
QUARTER_US = QUARTER // timedelta(microseconds=1)


def quarter_of(at_us: int) -> int:
    """Quarter hours since 1970."""
    return at_us // QUARTER_US


def quarter_start(quarter: int) -> datetime:
    return EPOCH + quarter * QUARTER


def begins_quarter(instant: datetime) -> bool:
    return (instant - EPOCH) % QUARTER == timedelta()


def count_by_quarter(times_us: Iterable[int]) -> Counter[int]:
    return Counter(at_us // QUARTER_US for at_us in times_us)
