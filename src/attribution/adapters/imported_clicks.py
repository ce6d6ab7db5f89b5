"""Click ids of imported clicks, fixed by their external ids; and the links they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from attribution.domain.clicks import Channel
from attribution.domain.ids import CampaignId, ClickId, InfluencerId, LinkId, PostId, ProgramId

from .postgres import Database, Row
from .statements import statements

_SQL = statements("imports")


@dataclass(frozen=True, slots=True)
class ImportedLink:
    link_id: LinkId
    influencer_id: InfluencerId | None
    campaign_id: CampaignId | None
    post_id: PostId | None
    channel: Channel | None


class ImportedClicks:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def links(self, program_id: ProgramId, slugs: Sequence[str]) -> Mapping[str, ImportedLink]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["links"], program_id, slugs)
        return {row["slug"]: _link(row) for row in rows}

    async def reserve(
        self, program_id: ProgramId, wanted: Mapping[str, tuple[ClickId, LinkId]]
    ) -> Mapping[str, tuple[ClickId, LinkId]]:
        """External id -> the click id and link it has from now on, or had before."""
        ids = list(wanted)
        async with self._database.transaction() as connection:
            await connection.execute(
                _SQL["reserve"],
                program_id,
                ids,
                [UUID(bytes=click_id) for click_id, _ in wanted.values()],
                [link_id for _, link_id in wanted.values()],
            )
            rows = await connection.fetch(_SQL["reserved"], program_id, ids)
        return {row["external_id"]: (ClickId(row["click_id"].bytes), LinkId(row["link_id"])) for row in rows}


def _link(row: Row) -> ImportedLink:
    return ImportedLink(
        LinkId(row["link_id"]),
        row["influencer_id"],
        row["campaign_id"],
        row["post_id"],
        Channel(row["channel"]) if row["channel"] else None,
    )
