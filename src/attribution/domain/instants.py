"""Instants are UTC and exact to the microsecond; integers of microseconds since 1970 where many are handled."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    return (instant - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    return EPOCH + us * _MICROSECOND
