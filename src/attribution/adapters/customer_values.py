"""What customers are worth so far, kept equal to their purchases; who changed is marked, and valued by who reads."""

from typing import TYPE_CHECKING, Final

from attribution.domain.ids import ProgramId

from .postgres import LONG_S
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

HORIZONS: Final = (30, 60, 90, 180, 365)
"""Days of 24 hours after the first purchase."""
UNITS: Final = ("influencer_id", "campaign_id", "channel", "code")
NETS: Final = {days: f"net_{days}_minor" for days in HORIZONS}
_COLUMNS: Final = (
    "first_at", "is_new", "is_influenced", *UNITS, "orders", "gross_minor", "net_minor", *NETS.values()
)  # fmt: skip
_SQL = statements("customer_values")


def _valued(wanted: str) -> str:
    return _SQL["valued"].format(
        wanted=_SQL[wanted],
        units=", ".join(f"by_{unit}.{unit}" for unit in UNITS),
        listed="".join(f", w.{name}" for name in NETS.values()),
        horizons="".join(_SQL["horizon"].format(hours=24 * days, name=name) for days, name in NETS.items()),
        brought=" ".join(_SQL["brought"].format(column=unit) for unit in UNITS),
    )


_LISTED = ", ".join(_COLUMNS)
CHANGED_VALUES: Final = _valued("changed")
"""A query for the marked customers of programme $1, under the name `changed`,"""
VALUES_NOW: Final = _SQL["now"].format(columns=_LISTED)
"""beside which this one is for all its customers, one a row."""
_ADD = _SQL["add"].format(columns=_LISTED, valued=_valued("taken"))
_COMPARE = _SQL["compare"].format(
    columns=_LISTED, changed=CHANGED_VALUES, now=VALUES_NOW, everybody=_valued("everybody")
)


async def roll_up(connection: "Connection", limit: int) -> int:
    """Values up to `limit` marked customers; returns how many marks it took."""
    await connection.execute(_SQL["stage"])
    taken = int(await connection.fetchval(_SQL["take"], limit))
    if taken:
        await connection.execute(_SQL["analyze"])
        await connection.execute(_SQL["drop_taken"])
        await connection.execute(_ADD)
    return taken


async def rebuild(connection: "Connection", program_id: ProgramId) -> None:
    """In a transaction with one snapshot: the marks that it sees are of changes that it sees too."""
    await connection.execute(_SQL["stage"])
    await connection.execute(_SQL["drop"], program_id)
    await connection.execute(_SQL["take_all"], program_id, timeout=LONG_S)
    await connection.execute(_SQL["analyze"])
    await connection.execute(_ADD, timeout=LONG_S)


async def mismatches(connection: "Connection", program_id: ProgramId, limit: int) -> list[str]:
    return [row["customer_id"] for row in await connection.fetch(_COMPARE, program_id, limit, timeout=LONG_S)]
