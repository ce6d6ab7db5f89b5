"""What came long after a post was published or a campaign ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.domain.instants import EPOCH
from attribution.domain.measures import Dimension
from attribution.domain.programs import Program

from .columns import ratio
from .metrics import METRICS
from .query import StatsQuery
from .reader import StatsReader

COUNTED: Final = ("clicks", "revenue")
DAYS_MAX: Final = 4_000
_WEEK: Final = 7
DEFINITIONS: Final = {
    **{name: METRICS[name].formula for name in COUNTED},
    "number": "days of the programme's zone since the one that holds the beginning, which is 0; or sevens of them",
    "share_after": "after / (before + after) the beginning, to the instant",
    "half_life": "the least number of days by whose end half of all that came since the beginning had come",
}


@dataclass(frozen=True, slots=True)
class TailQuery:
    """`of`: posts or campaigns. `since`: when the post was published or the campaign ended; `end`: exclusive."""

    of: Dimension
    number: int
    since: datetime
    end: datetime
    weekly: bool = False


class LongTails:
    def __init__(self, stats: StatsReader) -> None:
        self._stats = stats

    async def query(self, program: Program, query: TailQuery) -> Mapping[str, Any]:
        before = await self._ask(program, query, EPOCH, query.since)
        after = await self._ask(program, query, query.since, query.end, Dimension.DAY)
        zone = ZoneInfo(program.timezone)
        first = query.since.astimezone(zone).date()
        days = {_number(row["day"], first): row for row in after["rows"]}
        return {
            query.of.value: str(query.number),
            "since": query.since.astimezone(zone),
            "to": query.end.astimezone(zone),
            "timezone": program.timezone,
            "currency": program.currency,
            "as_of": after["as_of"],
            "before": before["totals"],
            "after": after["totals"],
            "share_after": {name: _share(after["totals"], before["totals"], name) for name in COUNTED},
            "half_life_days": {name: _half_life(days, name) for name in COUNTED},
            "rows": list(_rows(days, _last(query, zone, first), after["totals"], weekly=query.weekly)),
            "definitions": DEFINITIONS,
        }

    async def _ask(
        self, program: Program, query: TailQuery, start: datetime, end: datetime, *group_by: Dimension
    ) -> Mapping[str, Any]:
        return await self._stats.query(
            program,
            StatsQuery(
                start,
                max(start, end),
                group_by=group_by,
                metrics=COUNTED,
                filters={query.of: [query.number]},
                limit=DAYS_MAX + 1,
            ),
        )


def _number(day: str, first: date) -> int:
    return (date.fromisoformat(day) - first).days


def _last(query: TailQuery, zone: ZoneInfo, first: date) -> int:
    """The day that holds the last instant."""
    last = (query.end - datetime.resolution).astimezone(zone).date()
    return (last - first).days


def _share(after: Mapping[str, Any], before: Mapping[str, Any], name: str) -> str | None:
    late = Decimal(after[name])
    return ratio(late, late + Decimal(before[name]))


def _half_life(days: Mapping[int, Mapping[str, Any]], name: str) -> int | None:
    numbers = sorted(days)
    sums = list(accumulate(Decimal(days[number][name]) for number in numbers))
    if not sums or sums[-1] <= 0:
        return None
    return next(number for number, so_far in zip(numbers, sums, strict=True) if 2 * so_far >= sums[-1])


def _rows(
    days: Mapping[int, Mapping[str, Any]], last: int, totals: Mapping[str, Any], *, weekly: bool
) -> Iterator[Mapping[str, Any]]:
    """Empty days and weeks too."""
    length = _WEEK if weekly else 1
    so_far = dict.fromkeys(COUNTED, Decimal(0))
    for number in range(last // length + 1):
        within = [days[day] for day in range(number * length, (number + 1) * length) if day in days]
        came = {name: sum((Decimal(row[name]) for row in within), Decimal(0)) for name in COUNTED}
        so_far = {name: so_far[name] + came[name] for name in COUNTED}
        yield {
            "number": number,
            "clicks": int(came["clicks"]),
            "revenue": _money(came["revenue"], totals["revenue"]),
            "share_so_far": {name: ratio(so_far[name], Decimal(totals[name])) for name in COUNTED},
        }


def _money(amount: Decimal, like: str) -> str:
    """With the decimals of the currency."""
    return f"{amount.quantize(Decimal(like)):f}"
