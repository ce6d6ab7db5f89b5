"""Reads what only explanations tell: names, devices, and what is recorded so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from attribution.domain.attribution import Credit, Status, Touch
from attribution.domain.candidates import NamedBy, Naming, TouchDetail
from attribution.domain.click_id import clicked_at
from attribution.domain.ids import ClickId, ConversionId, InfluencerId, ProgramId
from attribution.domain.instants import from_us

from .credit_entries import differences
from .credit_facts import CreditFacts
from .postgres import Row
from .statements import statements
from .stored_conversions import StoredConversion

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("explanations")


@dataclass(frozen=True, slots=True)
class CreditRecord:
    """What is recorded: `status` None before the first judgement.

    `is_as_computed`: its credits are those that judging now gives.
    """

    status: Status | None = None
    judged_at: datetime | None = None
    bound_at: datetime | None = None
    is_waiting: bool = False
    is_as_computed: bool = True


class ExplanationFacts:
    """In the transaction of `facts`."""

    def __init__(self, facts: CreditFacts) -> None:
        self._facts = facts
        self._connection: Connection = facts.connection

    async def details(self, program_id: ProgramId, touches: Sequence[Touch]) -> dict[ClickId, TouchDetail]:
        rows = await self._connection.fetch(
            _SQL["touch_details"],
            program_id,
            [UUID(bytes=touch.click_id) for touch in touches],
            [clicked_at(touch.click_id) for touch in touches],
            [touch.link_id for touch in touches],
        )
        return {
            ClickId(row["click_id"].bytes): TouchDetail(row["slug"], row["agent_class"], row["visitor_id"])
            for row in rows
        }

    async def namings(self, conversion: StoredConversion) -> dict[str, Naming]:
        """By visitor, how the conversion comes to count the clicks of each."""
        occurred_at = from_us(conversion.facts.occurred_at_us)
        rows = await self._connection.fetch(_SQL["namings"], *conversion.key, conversion.customer_id, occurred_at)
        return {row["visitor_id"]: _naming(row, conversion.conversion_id) for row in rows}

    async def names(self, program_id: ProgramId, ids: Iterable[InfluencerId]) -> dict[InfluencerId, str]:
        rows = await self._connection.fetch(_SQL["influencer_names"], program_id, list(ids))
        return {InfluencerId(row["influencer_id"]): row["name"] for row in rows}

    async def record(self, conversion: StoredConversion, computed: Sequence[Credit]) -> CreditRecord:
        [row] = await self._connection.fetch(_SQL["record"], *conversion.key)
        recorded = (await self._facts.credits_recorded([conversion.key])).get(conversion.conversion_id, ())
        return CreditRecord(
            status=Status(row["status"]) if row["status"] else None,
            judged_at=row["attributed_at"],
            bound_at=row["bound_at"],
            is_waiting=row["is_waiting"],
            is_as_computed=not differences(recorded, computed),
        )


def _naming(row: Row, conversion_id: ConversionId) -> Naming:
    if row["conversion_id"] != conversion_id:
        return Naming(NamedBy.CUSTOMER, (row["source"], row["type"], row["external_id"]))
    return Naming(NamedBy.VISITOR if row["is_own"] else NamedBy.VISITOR_OF_CLICK)
