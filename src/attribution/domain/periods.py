"""How a period divides into whole years, months, weeks, days and hours of a time zone."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Grain(StrEnum):
    """The largest first. A week begins on Monday; an hour is an hour of the clock of the zone."""

    YEAR = "year"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


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
    at = bucket_start(start, grain, zone)
    while at < stop:
        yield at
        at = next_bucket(at, grain, zone)


def bucket_start(at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """The instant at which the bucket that holds `at` begins."""
    local = at.astimezone(zone)
    if grain is Grain.HOUR:
        return _hour_start(local)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    match grain:
        case Grain.YEAR:
            midnight = midnight.replace(month=1, day=1)
        case Grain.MONTH:
            midnight = midnight.replace(day=1)
        case Grain.WEEK:
            midnight -= timedelta(days=midnight.weekday())
    return midnight.replace(tzinfo=zone).astimezone(UTC)


def next_bucket(at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """The beginning of the bucket after the one that holds `at`."""
    start = bucket_start(at, grain, zone)
    if grain is Grain.HOUR:
        return start + timedelta(hours=1)
    # Longer than any bucket of the grain and the change of clocks in it, and shorter than two.
    beyond = {Grain.YEAR: 370, Grain.MONTH: 40, Grain.WEEK: 10, Grain.DAY: 1.5}[grain]
    return bucket_start(start + timedelta(days=beyond), grain, zone)


def first_day_from(at: datetime, zone: ZoneInfo) -> date:
    """The first day of the zone that does not begin before this instant."""
    first = bucket_start(at, Grain.DAY, zone)
    return (first if first == at else next_bucket(at, Grain.DAY, zone)).astimezone(zone).date()


def _hour_start(local: datetime) -> datetime:
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return local.astimezone(UTC) - past
