"""The clock of the machine is set while the service runs."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from tests.chaos.clock import Clock
from tests.chaos.machine import ClockedValkey
from tests.support.waiting import eventually

from attribution.adapters.click_stream import StreamReader, StreamWriter
from attribution.errors import StreamUnavailableError
from attribution.journal import Batch, Position

_HOUR_US = 3_600_000_000
_ID = UUID(int=1)


async def test_what_a_dead_consumer_left_is_taken_over_though_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    if not clock.movable:
        pytest.skip("there is no C compiler")
    async with (
        ClockedValkey(tmp_path / "valkey", clock) as valkey,
        Redis.from_url(valkey.url) as redis,
    ):
        clock.move(_HOUR_US)
        dead, alive = (StreamReader(redis, 0, name, claim_idle_ms=100) for name in ("dead", "alive"))
        await dead.ensure_group()
        await StreamWriter(redis, 0).append(_ID, [Batch(Position(1, 0), b"frames", 1)])
        [left] = await dead.read(10)
        clock.move(0)
        taken = []

        async def took_over() -> bool:
            # A wait that began by the old clock lasts until the reply's patience ends; consumers ask again.
            with suppress(StreamUnavailableError):
                taken.extend(await alive.read(10))
            return bool(taken)

        await eventually(took_over)
        assert taken == [left]
