"""Campaigns with what they are for, and their posts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from attribution.domain.goals import Goal
from attribution.domain.ids import ProgramId
from attribution.errors import NotFoundError

from .postgres import Database
from .statements import statements

_SQL = statements("goal_reports")


@dataclass(frozen=True, slots=True)
class AimedCampaign:
    campaign_id: int
    name: str
    goal: Goal | None
    targets: Mapping[str, Decimal]
    starts_at: datetime | None
    ends_at: datetime | None


class GoalTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def campaigns(self, program_id: ProgramId, after: int, limit: int) -> list[AimedCampaign]:
        """Those that have a goal."""
        return await self._campaigns(program_id, after, None, limit)

    async def campaign(self, program_id: ProgramId, campaign_id: int) -> AimedCampaign:
        """Raises `NotFoundError`."""
        found = await self._campaigns(program_id, 0, campaign_id, 1)
        if not found:
            raise NotFoundError("there is no such campaign")
        return found[0]

    async def _campaigns(self, *arguments: int | None) -> list[AimedCampaign]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["campaigns"], *arguments)
        return [
            AimedCampaign(
                row["campaign_id"],
                row["name"],
                Goal(row["goal"]) if row["goal"] else None,
                {metric: Decimal(figure) for metric, figure in row["targets"].items()},
                row["starts_at"],
                row["ends_at"],
            )
            for row in rows
        ]

    async def posts(self, program_id: ProgramId, campaign_id: int, start: datetime, end: datetime) -> int:
        """Published from `start` to before `end`, and not disabled."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(_SQL["posts"], program_id, campaign_id, start, end)
        return count

    async def published_at(self, program_id: ProgramId, post_id: int) -> datetime | None:
        """Raises `NotFoundError`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SQL["post"], program_id, post_id)
        if row is None:
            raise NotFoundError("there is no such post")
        published_at: datetime | None = row["published_at"]
        return published_at
