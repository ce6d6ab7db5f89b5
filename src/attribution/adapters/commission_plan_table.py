"""Commission plans as crediting needs them: all of a programme."""

from collections.abc import Collection
from fractions import Fraction
from typing import TYPE_CHECKING

from attribution.domain.commission import CommissionPlan, PlanBook, Scope
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us

from .postgres import Database, Row
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("commission_plans")


class CommissionPlanTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def book(self, program_id: ProgramId) -> PlanBook:
        async with self._database.connection() as connection:
            return (await plan_books(connection, [program_id]))[program_id]


async def plan_books(connection: "Connection", programs: Collection[ProgramId]) -> dict[ProgramId, PlanBook]:
    """As this connection's transaction sees them."""
    plans: dict[ProgramId, list[CommissionPlan]] = {program: [] for program in programs}
    for row in await connection.fetch(_SQL["book"], list(programs)):
        plans[row["program_id"]].append(_plan(row))
    return {program: PlanBook(of_program) for program, of_program in plans.items()}


def _plan(row: Row) -> CommissionPlan:
    percent = row["percent"]
    return CommissionPlan(
        plan_id=row["commission_plan_id"],
        scope=Scope(row["influencer_id"], row["campaign_id"], row["conversion_type"], row["new_customer"]),
        effective_from_us=to_us(row["effective_from"]),
        created_at_us=to_us(row["created_at"]),
        rate=None if percent is None else Fraction(percent) / 100,
        flat_minor=row["flat_minor"],
        currency=row["currency"],
    )
