import asyncio

import pytest

from attribution.conversions.together import together
from attribution.errors import UnavailableError

pytestmark = pytest.mark.asyncio


async def test_who_tries_again_after_a_lane_failed_is_not_cancelled() -> None:
    """A driver that fails later must not be taken for the end of its task."""
    ended = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise UnavailableError("away")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(UnavailableError):
        await together([fails(), lasts()])
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    assert ended.is_set()
