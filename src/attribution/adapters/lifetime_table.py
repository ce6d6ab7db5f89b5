"""Cohorts of customers, summed inside Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension
from attribution.errors import MissingRateError

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
    """Customers whose first purchase lies from `start` to before `end`. `horizons`: days after it."""

    program_id: ProgramId
    by: Dimension
    start: datetime
    end: datetime
    currency: str
    zone: str
    horizons: Sequence[int]
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
            rows = await connection.fetch(_statement(asked), *period, asked.zone, asked.limit + 1, asked.offset)
            [left_out] = await connection.fetch(_SQL["left_out"], *period)
        return Cohorts(rows, left_out["orders_without_customer"], left_out["customers_before"], as_of)


def _statement(asked: Acquired) -> str:
    cohorts = _part(asked, "cohort", "true", by_unit=True, by_month=True)
    parts = [
        f"({cohorts} ORDER BY month, customers DESC, unit NULLS LAST LIMIT $5 OFFSET $6)",
        f"({_part(asked, 'without_influencer', 'NOT influenced', by_month=True)} ORDER BY month)",
        f"({_part(asked, 'all', 'true')})",
        f"({_part(asked, 'nobody', 'NOT influenced')})",
    ]
    horizons = (_SQL["horizon"].format(days=days) for days in asked.horizons)
    return _SQL["customers"].format(
        column=COLUMNS[asked.by], zone="$4", horizons="".join(horizons), rows=" UNION ALL ".join(parts)
    )


def _part(asked: Acquired, name: str, which: str, *, by_unit: bool = False, by_month: bool = False) -> str:
    grouped = [name for name, wanted in (("unit", by_unit), ("month", by_month)) if wanted]
    return _SQL["cohorts"].format(
        part=f"'{name}'",
        unit="unit" if by_unit else "NULL::text",
        month="month" if by_month else "NULL::timestamptz",
        horizons="".join(f", coalesce(sum(net_{days}_minor), 0) AS net_{days}_minor" for days in asked.horizons),
        filter=which,
        grouped=f"GROUP BY {', '.join(grouped)}" if grouped else "",
    )
