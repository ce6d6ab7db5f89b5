"""What customers are worth, by who brought them."""

from collections.abc import Mapping
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
        " hours after each one's first, / customers; null until all of the cohort have had that time"
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
        parts: dict[str, list[Mapping[str, Any]]] = {"cohort": [], "without_influencer": [], "all": [], "nobody": []}
        for row in found.rows:
            parts[row["part"]].append(_cohort(row, query.by, program, zone, found.as_of))
        more = len(parts["cohort"]) > query.limit
        return {
            "from": query.start.astimezone(zone),
            "to": query.end.astimezone(zone),
            "by": query.by.value,
            "timezone": program.timezone,
            "currency": program.currency,
            "as_of": found.as_of,
            "rows": parts["cohort"][: query.limit],
            "without_influencer": parts["without_influencer"],
            "totals": {"all": parts["all"][0], "without_influencer": parts["nobody"][0]},
            "left_out": {
                "orders_without_customer": found.orders_without_customer,
                "customers_before": found.customers_before,
            },
            "definitions": DEFINITIONS,
            "next_offset": query.offset + query.limit if more else None,
        }


def _cohort(row: Row, by: Dimension, program: Program, zone: ZoneInfo, as_of: datetime) -> Mapping[str, Any]:
    """Who and when only where it is grouped by them."""
    labels: dict[str, Any] = {by.value: row["unit"]} if row["part"] == "cohort" else {}
    if row["month"] is not None:
        labels["month"] = row["month"].astimezone(zone).strftime("%Y-%m")
    customers = row["customers"]
    return labels | {
        "customers": customers,
        "orders": int(row["orders"]),
        "net_revenue_per_customer": {
            str(days): _each(row[NETS[days]], customers, program.currency)
            if _is_over(row["youngest"], days, as_of)
            else None
            for days in HORIZONS
        },
        "net_revenue_so_far": from_minor(int(row["net_minor"]), program.currency),
        "refunds": from_minor(int(row["gross_minor"] - row["net_minor"]), program.currency),
        "repeat_rate": ratio(Decimal(row["repeaters"]), Decimal(customers)),
    }


def _is_over(youngest: datetime | None, days: int, as_of: datetime) -> bool:
    return youngest is not None and youngest + timedelta(days=days) <= as_of


def _each(minor: Decimal, customers: int, currency: str) -> str | None:
    return ratio(Decimal(minor).scaleb(-exponent(currency)), Decimal(customers))
