"""A period is divided without gap and overlap, at the same instants as Postgres divides it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from attribution.domain.periods import Grain, bucket_start, buckets, cover, next_bucket

ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo", "Pacific/Auckland",
    "Atlantic/Azores", "Australia/Lord_Howe",
)  # fmt: skip
instants = st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES).map(ZoneInfo)
grains = st.sampled_from(Grain)


@given(instants, instants, zones, st.sets(grains))
def test_pieces_and_edges_are_the_period(a: datetime, b: datetime, zone: ZoneInfo, chosen: set[Grain]) -> None:
    start, stop = min(a, b), max(a, b)
    found = cover(start, stop, zone, chosen)
    spans = sorted([*found.pieces, *found.edges], key=lambda span: span.start)
    at = start
    for span in spans:
        assert span.start == at < span.stop
        at = span.stop
    assert at == stop


@given(instants, instants, zones, st.sets(grains))
def test_a_piece_is_whole_buckets(a: datetime, b: datetime, zone: ZoneInfo, chosen: set[Grain]) -> None:
    for piece in cover(min(a, b), max(a, b), zone, chosen).pieces:
        assert piece.grain in chosen
        assert bucket_start(piece.start, piece.grain, zone) == piece.start
        assert bucket_start(piece.stop, piece.grain, zone) == piece.stop


@given(instants, zones, grains)
def test_a_bucket_holds_its_instants_and_the_next_begins_where_it_ends(
    at: datetime, zone: ZoneInfo, grain: Grain
) -> None:
    start, after = bucket_start(at, grain, zone), next_bucket(at, grain, zone)
    assert start <= at < after
    assert bucket_start(after, grain, zone) == after
    assert bucket_start(after - timedelta(microseconds=1), grain, zone) == start


def test_quarters_are_of_the_year() -> None:
    begun = buckets(
        datetime(2026, 2, 3, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), Grain.QUARTER, ZoneInfo("UTC")
    )
    assert [(at.year, at.month, at.day) for at in begun] == [(2026, month, 1) for month in (1, 4, 7, 10)]


def test_buckets_of_the_days_when_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begun = list(
        buckets(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), Grain.HOUR, berlin)
    )
    assert len(begun) == 25
    days = list(buckets(datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC), Grain.DAY, berlin))
    assert [day.isoformat() for day in days] == ["2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00"]
