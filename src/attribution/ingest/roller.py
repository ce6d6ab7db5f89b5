"""Keeps the rollups short behind the rows; what is not in them yet is read from the deltas."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from attribution import metrics
from attribution.adapters.rollups import Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.errors import AttributionError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RollerPolicy:
    """Few deltas are cheaper to read than to roll up: they wait until there are `enough`, or for `most_s`."""

    enough: int = 20_000
    at_once: int = 1_000_000
    poll_s: float = 1.0
    most_s: float = 30.0
    rests: float = 4.0
    """Times as long as it took, it rests: clicks come first, and more deltas at once cost less each."""


class Roller:
    def __init__(
        self,
        rollups: Rollups,
        sketches: VisitorSketches,
        policy: RollerPolicy,
        behind: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`behind`: whether clicks or orders wait; then deltas wait too, but never longer than `most_s`."""
        self._behind = behind
        self._rollups = rollups
        self._sketches = sketches
        self._policy = policy
        self._now = now

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        rolled_up_at = loop.time()
        while True:
            began = loop.time()
            pause = self._policy.poll_s
            try:
                due = began >= rolled_up_at + self._policy.most_s
                if await self.step(due=due) or due:
                    rolled_up_at = loop.time()
                    pause = max(pause, self._policy.rests * (rolled_up_at - began))
            except AttributionError as error:
                _log.warning("rolling_up_interrupted", error=str(error))
            await asyncio.sleep(pause)

    async def step(self, *, due: bool) -> bool:
        """Whether something was rolled up."""
        for program_id in await self._rollups.outdated():
            await self._rollups.rebuild(program_id)
            _log.info("rollups_rebuilt", program_id=program_id)
        while await self._sketches.step(self._now()):
            await asyncio.sleep(0)
        if not due and (self._behind() or await self._rollups.waiting(self._policy.enough) < self._policy.enough):
            return False
        moved = await self._rollups.roll_up(self._policy.at_once)
        metrics.DELTAS_ROLLED_UP.inc(moved)
        return moved > 0
