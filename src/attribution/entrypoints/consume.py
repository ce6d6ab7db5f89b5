"""Role `worker`: one consumer process."""

import uvloop

from attribution.settings import Settings

from .consumer import run_consumer
from .lifeline import end_with_parent


def consume(settings: Settings) -> None:
    async def run() -> None:
        end_with_parent(settings.shutdown_timeout_s)
        await run_consumer(settings)

    uvloop.run(run())
