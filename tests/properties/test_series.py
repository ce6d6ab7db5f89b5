"""Buckets of a period, and the period before it."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from attribution.domain.measures import Dimension
from attribution.domain.periods import Span
from attribution.domain.series import buckets_of, period_before

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Asia/Beirut")]
zones = st.sampled_from(ZONES)
DAYS = st.dates(date(2015, 1, 1), date(2027, 12, 31))
INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@given(DAYS, st.integers(0, 400), zones)
def test_whole_days_have_as_many_days_before(day: date, days: int, zone: ZoneInfo) -> None:
    """Months aside, which have as many months before."""
    stop = day + timedelta(days=days)
    before = period_before(Span(midnight(day, zone), midnight(stop, zone)), zone)
    assert before.stop == midnight(day, zone)
    if not day.day == stop.day == 1:
        assert before.start == midnight(day - timedelta(days=days), zone)


@given(st.integers(2015, 2027), st.integers(1, 12), st.integers(1, 30), zones)
def test_whole_months_have_as_many_months_before(year: int, month: int, months: int, zone: ZoneInfo) -> None:
    def first(number: int) -> datetime:
        return midnight(date(number // 12, number % 12 + 1, 1), zone)

    number = year * 12 + month - 1
    assert period_before(Span(first(number), first(number + months)), zone) == Span(
        first(number - months), first(number)
    )


@given(INSTANTS, st.integers(1, 10**12), zones)
def test_any_other_period_has_one_as_long_before(start: datetime, length: int, zone: ZoneInfo) -> None:
    period = Span(start, start + timedelta(microseconds=length, seconds=1))
    if start != midnight(start.astimezone(zone).date(), zone):
        assert period_before(period, zone) == Span(start - (period.stop - start), start)


@given(INSTANTS, st.integers(1, 200), zones)
def test_every_instant_of_a_period_is_in_one_bucket(start: datetime, hours: int, zone: ZoneInfo) -> None:
    period = Span(start, start + timedelta(hours=hours))
    found = buckets_of(period, zone, [Dimension.MONTH, Dimension.DAY], {})
    moments = [*(start + timedelta(hours=hour) for hour in range(hours)), period.stop - timedelta(microseconds=1)]
    local = {moment.astimezone(zone).date() for moment in moments}
    assert [bucket[Dimension.DAY].astimezone(zone).date() for bucket in found] == sorted(local)
    assert all(bucket[Dimension.MONTH].astimezone(zone).day == 1 for bucket in found)
