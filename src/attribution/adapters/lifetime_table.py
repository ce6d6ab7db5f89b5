"""Cohorts of customers, summed inside Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension
from attribution.errors import MissingRateError

from .customer_values import NETS, VALUES_NOW
from .postgres import Database, Row
from .statements import statements

_SQL = statements("lifetime_values")
COLUMNS: Final[Mapping[Dimension, str]] = {
    Dimension.INFLUENCER: "influencer_id",
    Dimension.CAMPAIGN: "campaign_id",
    Dimension.CHANNEL: "channel",
    Dimension.CODE: "code",
}


@dataclass(frozen=True, slots=True)
class Acquired:
    """Customers whose first purchase lies from `start` to before `end`."""

    program_id: ProgramId
    by: Dimension
    start: datetime
    end: datetime
    currency: str
    zone: str
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Cohorts:
    """`rows` have `part`: `cohort`, `without_influencer` (by month), or `all` and `nobody` (over all months)."""

    rows: Sequence[Row]
    orders_without_customer: int
    customers_before: int
    as_of: datetime


class LifetimeTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def cohorts(self, asked: Acquired) -> Cohorts:
        """One more cohort than `limit`, where there is one. Raises `MissingRateError`."""
        period = (asked.program_id, asked.start, asked.end)
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            as_of = await connection.fetchval(_SQL["as_of"], asked.program_id) or EPOCH
            for missing in await connection.fetch(_SQL["missing_rate"], asked.program_id, asked.start):
                raise MissingRateError(missing["day"], missing["base"], asked.currency)
            without_customer = await connection.fetchval(_SQL["orders_without_customer"], *period)
            await connection.execute(_SQL["settings"], asked.zone)
            found = await connection.fetch(_statement(asked), *period, asked.limit + 1, asked.offset)
        [before] = [row["customers"] for row in found if row["part"] == "before"]
        return Cohorts([row for row in found if row["part"] != "before"], without_customer, before, as_of)


def _statement(asked: Acquired) -> str:
    cohorts = _part("cohort", "is_new", by_unit=True, by_month=True)
    parts = [
        f"({cohorts} ORDER BY month, customers DESC, unit NULLS LAST LIMIT $4 OFFSET $5)",
        f"({_part('without_influencer', 'is_new AND NOT is_influenced', by_month=True)} ORDER BY month)",
        f"({_part('all', 'is_new')})",
        f"({_part('nobody', 'is_new AND NOT is_influenced')})",
        f"({_part('before', 'NOT is_new')})",
    ]
    return _SQL["customers"].format(
        column=COLUMNS[asked.by],
        values=VALUES_NOW,
        horizons="".join(f", sum({net}) AS {net}" for net in NETS.values()),
        rows=" UNION ALL ".join(parts),
    )


def _part(name: str, which: str, *, by_unit: bool = False, by_month: bool = False) -> str:
    grouped = [name for name, wanted in (("sums.unit", by_unit), ("sums.month", by_month)) if wanted]
    return _SQL["cohorts"].format(
        part=f"'{name}'",
        unit="sums.unit::text" if by_unit else "NULL::text",
        month="sums.month" if by_month else "NULL::timestamptz",
        horizons="".join(f", coalesce(sum({net}), 0) AS {net}" for net in NETS.values()),
        filter=which,
        grouped=f"GROUP BY {', '.join(grouped)}" if grouped else "",
    )
