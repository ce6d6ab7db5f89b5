"""`/readyz`: whether links resolve and clicks are kept, and the state of each dependency."""

import asyncio
from collections.abc import Awaitable

from attribution.adapters.link_store import LinkStore
from attribution.adapters.postgres import Database
from attribution.api.services import Readiness
from attribution.errors import UnavailableError
from attribution.redirect.recorder import ClickRecorder

_TIMEOUT_S = 1.0


class ReadinessCheck:
    def __init__(self, database: Database, links: LinkStore, recorder: ClickRecorder) -> None:
        self._database = database
        self._links = links
        self._recorder = recorder

    async def __call__(self) -> Readiness:
        """One of Postgres and Redis is enough for links, the journal alone for clicks."""
        database, redis = await asyncio.gather(_answers(self._database.ping()), _answers(self._links.ping()))
        journal = self._recorder.writable
        states = {"database": database, "redis": redis, "journal": journal}
        return Readiness(
            ready=journal and (database or redis),
            dependencies={name: "ok" if state else "unavailable" for name, state in states.items()},
        )


async def _answers(ping: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await ping
    except (UnavailableError, TimeoutError):
        return False
    return True
