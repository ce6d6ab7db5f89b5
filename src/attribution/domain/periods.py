"""How a period divides into whole years, quarters, months, weeks, days and hours of a time zone."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo


class Grain(StrEnum):
    """The largest first.

    A quarter is of a year; a week begins on Monday; an hour is an hour of the clock of the zone. A day begins at the
    first of its midnights. Where clocks change by half an hour, the hour before the change lasts until their next
    full hour.
    """

    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


TO_THE_DAY: Final = (Grain.YEAR, Grain.MONTH, Grain.WEEK, Grain.DAY)
TO_THE_HOUR: Final = (*TO_THE_DAY, Grain.HOUR)
"""The grains of sums."""
_HOUR: Final = timedelta(hours=1)
_MIDNIGHT: Final = time()
_BEYOND: Final = {Grain.YEAR: 366, Grain.QUARTER: 92, Grain.MONTH: 31, Grain.WEEK: 7, Grain.DAY: 1}
"""Days from the first of a bucket that are in the next one."""
_YEARS: Final = range(1970, 2100)
"""Of which facts may be."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `stop`: instants in UTC."""

    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class Piece(Span):
    """Whole buckets of one grain."""

    grain: Grain


@dataclass(frozen=True, slots=True)
class Cover:
    """`pieces` and `edges` are disjoint and together the period."""

    pieces: tuple[Piece, ...]
    edges: tuple[Span, ...]


def cover(start: datetime, stop: datetime, zone: ZoneInfo, grains: Collection[Grain]) -> Cover:
    """With as few buckets as these grains allow: the largest in the middle, the smaller ones on either side."""
    pieces: list[Piece] = []
    rest = [Span(start, stop)] if start < stop else []
    for grain in Grain:
        if grain in grains:
            divided = [_divide(span, grain, zone) for span in rest]
            pieces += [piece for piece, _ in divided if piece is not None]
            rest = [span for _, left in divided for span in left]
    return Cover(tuple(pieces), tuple(rest))


def _divide(span: Span, grain: Grain, zone: ZoneInfo) -> tuple[Piece | None, list[Span]]:
    first = bucket_start(span.start, grain, zone)
    if first < span.start:
        first = next_bucket(span.start, grain, zone)
    last = bucket_start(span.stop, grain, zone)
    if first >= last:
        return None, [span]
    sides = (Span(span.start, first), Span(last, span.stop))
    return Piece(first, last, grain), [side for side in sides if side.start < side.stop]


def buckets(start: datetime, stop: datetime, grain: Grain, zone: ZoneInfo) -> Iterator[datetime]:
    """The beginnings of all buckets that the period touches."""
    if grain is Grain.HOUR:
        return _hours(start, stop, zone)
    return _days(_first_day(start.astimezone(zone).date(), grain), stop, grain, zone)


def _hours(start: datetime, stop: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    at = bucket_start(start, Grain.HOUR, zone)
    while at < stop:
        yield at
        at = next_bucket(at, Grain.HOUR, zone)


def _days(day: date, stop: datetime, grain: Grain, zone: ZoneInfo) -> Iterator[datetime]:
    at = _midnight(day, zone)
    while at < stop:
        yield at
        before = at
        while at <= before:  # A zone may leave out a day, which begins with the next.
            day = _first_day(day + timedelta(days=_BEYOND[grain]), grain)
            at = _midnight(day, zone)


def bucket_start(at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """The instant at which the bucket that holds `at` begins."""
    if grain is Grain.HOUR:
        return _full_hour(_full_hour(at, zone), zone)
    return _midnight(_first_day(at.astimezone(zone).date(), grain), zone)


def _first_day(day: date, grain: Grain) -> date:
    """Of the bucket, of a day or longer, that holds this one."""
    match grain:
        case Grain.YEAR:
            return day.replace(month=1, day=1)
        case Grain.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Grain.MONTH:
            return day.replace(day=1)
        case Grain.WEEK:
            return day - timedelta(days=day.weekday())
    return day


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, _MIDNIGHT, zone).astimezone(UTC)


def next_bucket(at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """The beginning of the bucket after the one that holds `at`."""
    start = bucket_start(at, grain, zone)
    if grain is Grain.HOUR:
        after = _full_hour(start + _HOUR, zone)
        return after if bucket_start(after, grain, zone) == after else after + _HOUR
    # With half a day more, for the change of clocks.
    return bucket_start(start + timedelta(days=_BEYOND[grain] + 0.5), grain, zone)


def first_day_from(at: datetime, zone: ZoneInfo) -> date:
    """The first day of the zone that does not begin before this instant."""
    first = bucket_start(at, Grain.DAY, zone)
    return (first if first == at else next_bucket(at, Grain.DAY, zone)).astimezone(zone).date()


def _full_hour(at: datetime, zone: ZoneInfo) -> datetime:
    """By the clock as it is at this instant; before the last full hour it may have been another."""
    local = at.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return local.astimezone(UTC) - past


def repeated_midnights(start: datetime, stop: datetime, zone: ZoneInfo) -> Mapping[datetime, datetime]:
    """Second midnight -> first, of days with two, as clocks go back; of all buckets of the period, and maybe more."""
    years = _years(start, stop)
    return {second: first for year in years for second, first in _repeated_midnights(year, zone)}


def has_broken_hours(start: datetime, stop: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks change by less than an hour, or by hours and a part of one, in or near the period."""
    return any(_has_broken_hours(year, zone) for year in _years(start, stop))


def _years(start: datetime, stop: datetime) -> range:
    return range(max(start.year - 1, _YEARS.start), min(stop.year + 2, _YEARS.stop))


@lru_cache(maxsize=10_000)
def _has_broken_hours(year: int, zone: ZoneInfo) -> bool:
    days = (datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(367))
    minutes = {_full_hour(day, zone).minute for day in days}
    return len(minutes) > 1


@lru_cache(maxsize=10_000)
def _repeated_midnights(year: int, zone: ZoneInfo) -> tuple[tuple[datetime, datetime], ...]:
    days = (date(year, 1, 1) + timedelta(days=number) for number in range(366))
    midnights = (
        tuple(datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (1, 0)) for day in days
    )
    return tuple((second, first) for second, first in midnights if second > first)
