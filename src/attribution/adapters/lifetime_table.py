"""Cohorts of customers, summed inside Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from attribution.domain.ids import ProgramId
from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension
from attribution.errors import MissingRateError

from .customer_values import CHANGED_VALUES, NETS, VALUES_NOW
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
    """`rows` have `part`: `cohort`, or, by month, `all` and `without_influencer`."""

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
            if missing := await connection.fetch(_SQL["missing_rates"], asked.program_id, asked.start):
                raise MissingRateError.of(((row["day"], row["base"]) for row in missing), asked.currency)
            without_customer = await connection.fetchval(_SQL["orders_without_customer"], *period)
            await connection.execute(_SQL["settings"], asked.zone)
            found = await connection.fetch(_statement(asked), *period, asked.limit + 1, asked.offset)
        [before] = [row["customers"] for row in found if row["part"] == "before"]
        return Cohorts([row for row in found if row["part"] != "before"], without_customer, before, as_of)


def _statement(asked: Acquired) -> str:
    by_month = "date_trunc('month', first_at)"
    parts = [
        _filled("cohorts", column=COLUMNS[asked.by]),
        _part("without_influencer", "is_new AND NOT is_influenced", by_month) + " GROUP BY 3 ORDER BY month",
        _part("all", "is_new", by_month) + " GROUP BY 3",
        _part("before", "NOT is_new"),
    ]
    union = " UNION ALL ".join(f"({part})" for part in parts)
    return _filled("customers", column=COLUMNS[asked.by], changed=CHANGED_VALUES, parts=union)


def _part(name: str, which: str, month: str = "NULL::timestamptz") -> str:
    return _filled("part", part=name, filter=which, month=month)


def _filled(statement: str, **parts: str) -> str:
    horizons = "".join(f", coalesce(sum({net}), 0) AS {net}" for net in NETS.values())
    figures = _SQL["figures"].format(horizons=horizons)
    return _SQL[statement].format(values=VALUES_NOW, figures=figures, **parts)
