"""What customers are worth, by who brought them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.customer_values import HORIZONS, NETS
from attribution.adapters.lifetime_table import Acquired, LifetimeTable
from attribution.adapters.postgres import Row
from attribution.domain.measures import Dimension
from attribution.domain.money import exponent, from_minor
from attribution.domain.programs import Program

from .columns import ratio

DEFINITIONS: Final = {
    "cohort": (
        "customers by the one with the most credit of their first purchase that is not cancelled (of equals that of"
        " the earliest click) and its month in the programme's zone; a customer is in one cohort"
    ),
    "net_revenue_per_customer": (
        "net of refunds of all purchases of the cohort's customers, whoever is credited, less than so many times 24"
        " hours after each one's first, / customers; null until all of the cohort have had that time; in totals of"
        " those months all of whose customers have had it, which have customers_counted"
    ),
    "net_revenue_so_far": "net of refunds of all their purchases so far",
    "refunds": "what of their purchases was refunded so far",
    "repeat_rate": "customers with more than one purchase so far / customers",
    "without_influencer": "customers whose first purchase no influencer has credit of",
}


@dataclass(frozen=True, slots=True)
class LifetimeQuery:
    """First purchases from `start` to before `end`."""

    by: Dimension
    start: datetime
    end: datetime
    limit: int = 1_000
    offset: int = 0


class LifetimeValues:
    def __init__(self, table: LifetimeTable) -> None:
        self._table = table

    async def query(self, program: Program, query: LifetimeQuery) -> Mapping[str, Any]:
        """Raises `MissingRateError` for a purchase that cannot be exchanged."""
        zone = ZoneInfo(program.timezone)
        found = await self._table.cohorts(
            Acquired(
                program.program_id,
                query.by,
                query.start,
                query.end,
                program.currency,
                program.timezone,
                query.limit,
                query.offset,
            )
        )
        parts: dict[str, list[Row]] = {"cohort": [], "without_influencer": [], "all": []}
        for row in found.rows:
            parts[row["part"]].append(row)
        cohorts, nobodys, months = parts.values()

        def shown(row: Row) -> Mapping[str, Any]:
            return _labels(row, query.by, zone) | _figures([row], program.currency, found.as_of)

        def total(rows: Sequence[Row]) -> Mapping[str, Any]:
            return _figures(rows, program.currency, found.as_of) | {"customers_counted": _counted(rows, found.as_of)}

        more = len(cohorts) > query.limit
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "by": query.by.value,
            "timezone": program.timezone,
            "currency": program.currency,
            "as_of": found.as_of,
            "rows": list(map(shown, cohorts[: query.limit])),
            "without_influencer": list(map(shown, nobodys)),
            "totals": {"all": total(months), "without_influencer": total(nobodys)},
            "left_out": {
                "orders_without_customer": found.orders_without_customer,
                "customers_before": found.customers_before,
            },
            "definitions": DEFINITIONS,
            "next_offset": query.offset + query.limit if more else None,
        }


def _labels(row: Row, by: Dimension, zone: ZoneInfo) -> dict[str, Any]:
    """Who only where it is grouped by them."""
    who = {by.value: row["unit"]} if row["part"] == "cohort" else {}
    return who | {"month": row["month"].astimezone(zone).strftime("%Y-%m")}


def _figures(rows: Sequence[Row], currency: str, as_of: datetime) -> dict[str, Any]:
    """Of these together; at a horizon, of those all of whose customers have had the time."""
    customers, net = _sum(rows, "customers"), _sum(rows, "net_minor")
    return {
        "customers": customers,
        "orders": _sum(rows, "orders"),
        "net_revenue_per_customer": {
            str(days): _each(_sum(_over(rows, days, as_of), NETS[days]), counted, currency)
            for days, counted in zip(HORIZONS, _counted(rows, as_of).values(), strict=True)
        },
        "net_revenue_so_far": from_minor(net, currency),
        "refunds": from_minor(_sum(rows, "gross_minor") - net, currency),
        "repeat_rate": ratio(_sum(rows, "repeaters"), customers),
    }


def _counted(rows: Sequence[Row], as_of: datetime) -> dict[str, int]:
    return {str(days): _sum(_over(rows, days, as_of), "customers") for days in HORIZONS}


def _over(rows: Sequence[Row], days: int, as_of: datetime) -> list[Row]:
    return [row for row in rows if row["youngest"] + timedelta(days=days) <= as_of]


def _sum(rows: Sequence[Row], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _each(minor: int, customers: int, currency: str) -> str | None:
    return ratio(Decimal(minor).scaleb(-exponent(currency)), customers)
