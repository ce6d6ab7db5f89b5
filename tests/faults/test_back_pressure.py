"""A consumer that stands still: Redis keeps its budget, the rest waits on disk, and all of it arrives afterwards."""

from pathlib import Path

from loadtests.back_pressure import Watch, record_all
from tests.support.pipeline import pipeline_over
from tests.support.waiting import eventually

from attribution.adapters.postgres import Database
from attribution.entrypoints.journals import Journals
from attribution.settings import Settings

CLICKS = 100_000
BUDGET_BYTES = 4_000_000
TRIP_BYTES = 1_000_000
"""What may be on its way when the budget is found used up, and the rest of a look at it."""


async def test_what_is_above_redis_s_budget_waits_on_disk_and_all_of_it_arrives(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        stream_budget_bytes=BUDGET_BYTES,
        journal_segment_bytes=1_000_000,
    )
    database = Database(settings)
    async with (
        pipeline_over(database_url, redis_url, tmp_path) as pipeline,
        Watch(settings) as watch,
        Journals(settings, database).clicks() as recorder,
    ):
        await record_all(recorder, CLICKS)
        await eventually(lambda: watch.peaks.stream > BUDGET_BYTES, timeout=30)
        assert watch.peaks.disk > 2 * BUDGET_BYTES

        async def all_arrived() -> bool:
            async with pipeline.database.connection() as connection:
                return bool(await connection.fetchval("SELECT count(*) FROM clicks") == CLICKS)

        async with pipeline.consuming():
            await eventually(all_arrived, timeout=120)
        assert watch.peaks.stream < BUDGET_BYTES + TRIP_BYTES
        await eventually(lambda: watch.disk < 2 * settings.journal_segment_bytes, timeout=30)
    await database.close()
