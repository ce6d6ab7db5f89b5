"""Buckets of time as Postgres and as Python divide it, in every zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from attribution.adapters.postgres import Database
from attribution.adapters.stats_composer import Composer
from attribution.adapters.stats_question import Question
from attribution.adapters.stats_sources import CLICKS
from attribution.domain.ids import ProgramId
from attribution.domain.measures import GRAINS
from attribution.domain.periods import bucket_start

START, STOP = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
DAY, QUARTER, JUST = timedelta(days=1), timedelta(minutes=15), timedelta(microseconds=1)


def offsets(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta | None]]:
    """Each of its clocks from when on, to the quarter of an hour."""
    before = None
    for day in (START + number * DAY for number in range((STOP - START).days)):
        if day.astimezone(zone).utcoffset() != before:
            quarters = (day - DAY + number * QUARTER for number in range(97))
            change = next(at for at in quarters if at.astimezone(zone).utcoffset() != before)
            before = day.astimezone(zone).utcoffset()
            yield change, before


def moments(zone: ZoneInfo) -> list[datetime]:
    """Of every week one, and round each change the beginning and the end of each quarter of an hour."""
    weekly = {START + number * 7 * DAY for number in range((STOP - START).days // 7)}
    round_them = {change + number * QUARTER for change, _ in offsets(zone) for number in range(-8, 9)}
    return sorted(weekly | round_them | {at - JUST for at in round_them})


async def in_statements(database: Database, zone: ZoneInfo) -> list[Any]:
    """Moments, what the clock shows, and their buckets."""
    composer = Composer(Question(ProgramId(1), "EUR", Decimal(1), zone, START, STOP, list(GRAINS), {}, set()))
    buckets = ", ".join(f"{composer.expression(dimension, CLICKS)} AS {dimension}" for dimension in GRAINS)
    at, its_zone = composer.value(moments(zone), "timestamptz[]"), composer.value(zone.key, "text")
    query = f"SELECT at, at AT TIME ZONE {its_zone} AS local, {buckets} FROM unnest({at}) AS f (at)"  # noqa: S608
    async with database.connection() as connection:
        return await connection.fetch(query, *composer.values)


async def test_buckets_are_the_same_in_statements_and_in_python(database: Database) -> None:
    """Round all changes of clocks; but for zones of which the two know other clocks, as their versions differ."""
    async with database.connection() as connection:
        known = {row["name"] for row in await connection.fetch("SELECT name FROM pg_timezone_names")}
    zones = map(ZoneInfo, sorted(available_timezones() & known))
    compared = 0
    for zone in {tuple(offsets(zone)): zone for zone in zones}.values():
        rows = await in_statements(database, zone)
        if any(row["local"] != row["at"].astimezone(zone).replace(tzinfo=None) for row in rows):
            continue
        compared += 1
        for row in rows:
            for dimension, grain in GRAINS.items():
                start = bucket_start(row["at"], grain, zone)
                assert row[dimension] == start <= row["at"], (zone, row["at"], grain)
                assert bucket_start(start, grain, zone) == start, (zone, row["at"], grain)
    assert compared > 50
