"""Buckets of a period, and the period before it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from .measures import GRAINS, Dimension
from .periods import Grain, Span, bucket_start, buckets

BUCKETS_MAX: Final = 10_000
_AT_LEAST: Final = {
    Grain.MONTH: timedelta(days=28),
    Grain.WEEK: timedelta(days=6),
    Grain.DAY: timedelta(hours=22),
    Grain.HOUR: timedelta(hours=1),
}


def has_too_many(period: Span, dimensions: Collection[Dimension]) -> bool:
    """Perhaps more than `BUCKETS_MAX` of the finest of these dimensions."""
    return (period.stop - period.start) / _AT_LEAST[_grain(dimensions)] > BUCKETS_MAX


def buckets_of(
    period: Span, zone: ZoneInfo, dimensions: Sequence[Dimension], filters: Mapping[Dimension, Sequence[Any]]
) -> list[dict[Dimension, datetime]]:
    """Of these dimensions of time all buckets together that the period touches and `filters` of time let through."""
    limits = {name: values for name, values in filters.items() if name in GRAINS}
    names = dict.fromkeys([*dimensions, *limits])
    found: dict[tuple[datetime, ...], dict[Dimension, datetime]] = {}
    grain = _grain(names)
    for at in buckets(period.start, period.stop, grain, zone):
        starts = {name: at if GRAINS[name] is grain else bucket_start(at, GRAINS[name], zone) for name in names}
        if all(starts[name] in values for name, values in limits.items()):
            chosen = {name: starts[name] for name in dimensions}
            found[tuple(chosen.values())] = chosen
    return list(found.values())


def _grain(dimensions: Collection[Dimension]) -> Grain:
    """The coarsest whose buckets each lie in one of every dimension: of months and weeks, days."""
    if set(dimensions) == {Dimension.MONTH, Dimension.WEEK}:
        return Grain.DAY
    return max((GRAINS[name] for name in dimensions), key=list(Grain).index)


def period_before(period: Span, zone: ZoneInfo) -> Span:
    """As many months, where it is whole months of the zone; else as many days; else as long."""
    start, stop = period.start.astimezone(zone), period.stop.astimezone(zone)
    if _is_whole(period, Grain.MONTH, zone):
        months = (stop.year - start.year) * 12 + stop.month - start.month
        year, month = divmod(start.year * 12 + start.month - 1 - months, 12)
        before = start.replace(year=year, month=month + 1)
    elif _is_whole(period, Grain.DAY, zone):
        before = start - (stop.date() - start.date())
    else:
        return Span(period.start - (period.stop - period.start), period.start)
    # What the clock says, once: the day may not have a midnight.
    return Span(bucket_start(before.replace(fold=0, hour=12), Grain.DAY, zone), period.start)


def _is_whole(period: Span, grain: Grain, zone: ZoneInfo) -> bool:
    return all(bucket_start(at, grain, zone) == at for at in (period.start, period.stop))


class Shift:
    """From the buckets of a period to those of the one before, the first to the first."""

    def __init__(self, period: Span, before: Span, zone: ZoneInfo) -> None:
        self._periods = (period, before)
        self._zone = zone
        self._known: dict[Grain, Mapping[datetime, datetime]] = {}

    def back(self, dimension: Dimension, start: datetime) -> datetime | None:
        """None: the period before has no such bucket, as it has fewer days, or `start` is not in the period."""
        grain = GRAINS[dimension]
        if grain not in self._known:
            now, then = (list(buckets(p.start, p.stop, grain, self._zone)) for p in self._periods)
            self._known[grain] = dict(zip(now, then, strict=False))
        return self._known[grain].get(start)
