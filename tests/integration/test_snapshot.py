import asyncio

import pytest

from attribution.adapters.postgres import Database
from attribution.adapters.snapshot import Snapshot, snapshot
from attribution.adapters.stats_composer import Statement
from attribution.errors import RejectedRowsError
from attribution.settings import Settings

_PROGRAMS = Statement("SELECT count(*), pg_backend_pid() FROM programs, (SELECT pg_sleep(0.05)) s", ())


async def _read(state: Snapshot, times: int) -> tuple[set[int], int]:
    """What was counted, and by how many connections."""
    rows = [row for [row] in await state.fetch_all([_PROGRAMS] * times)]
    return {count for count, _ in rows}, len({pid for _, pid in rows})


async def test_both_connections_see_the_state_of_when_the_snapshot_was_first_read(database: Database) -> None:
    async with snapshot(database, readonly=True) as state:
        [[before, _]] = await state.fetch(_PROGRAMS)
        async with database.connection() as other:
            await other.execute(
                "INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)"
                " VALUES ('late', 'Late', 'EUR', 'UTC', 'click_id', 0.5)"
            )

        assert await _read(state, 4) == ({before}, 2)

    async with snapshot(database, readonly=True) as later:
        assert await _read(later, 2) == ({before + 1}, 2)


async def test_where_no_connection_is_free_one_does_all(database_url: str) -> None:
    database = Database(Settings(database_url=database_url), size=2)
    async with snapshot(database, readonly=True) as one, snapshot(database, readonly=True) as two:
        (_, by_one), (_, by_two) = await asyncio.gather(_read(one, 3), _read(two, 3))

    assert (by_one, by_two) == (1, 1)
    await database.close()


async def test_who_writes_has_one_connection(database: Database) -> None:
    async with snapshot(database, readonly=False) as state:
        await state.connection.execute("CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1")

        found = await state.fetch_all([Statement("SELECT * FROM mine", ())] * 3)

    assert [tuple(row) for [row] in found] == [(1,)] * 3


async def test_an_error_of_either_connection_is_told_as_that_of_one(database: Database) -> None:
    with pytest.raises(RejectedRowsError, match="division by zero"):
        async with snapshot(database, readonly=True) as state:
            await state.fetch_all([_PROGRAMS, Statement("SELECT 1 / 0", ()), _PROGRAMS])
