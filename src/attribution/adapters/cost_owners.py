"""Whose costs are, kept equal to what they and their posts say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attribution.domain.ids import ProgramId

from .postgres import LONG_S
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("cost_owners")


@dataclass(frozen=True, slots=True)
class CostMismatch:
    """Owners: influencer, campaign and channel."""

    rollup: str
    cost_id: int
    owners: tuple[Any, ...]
    expected: tuple[Any, ...]


async def rebuild(connection: "Connection", program_id: ProgramId) -> None:
    wrong = [mismatch.cost_id for mismatch in await mismatches(connection, program_id, None)]
    if wrong:
        await connection.execute(_SQL["mend"], program_id, wrong, timeout=LONG_S)


async def mismatches(connection: "Connection", program_id: ProgramId, limit: int | None) -> list[CostMismatch]:
    """`limit` None: all."""
    rows = await connection.fetch(_SQL["compare"], program_id, limit, timeout=LONG_S)
    return [CostMismatch("cost_owners", cost_id, tuple(kept[:3]), tuple(kept[3:])) for cost_id, *kept in rows]
