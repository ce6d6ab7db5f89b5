"""How customers came: assists, lengths of paths, time to the order, who shares paths with whom."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.report_table import ReportFacts, ReportTable
from attribution.adapters.stored_conversions import StoredConversion
from attribution.domain.attribution import Attribution, Credit, Touch, Verdict, Via
from attribution.domain.durations import format_duration
from attribution.domain.frequent import FrequentItems
from attribution.domain.programs import Program

from .attributor import judge
from .report import BATCH, Unit

_LONGEST: Final = 20
_PAIRS_HELD: Final = 20_000
_WIDEST: Final = 50
_MINUTE_US: Final = 60_000_000
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_UNTIL: Final = {
    "1h": _HOUR, "6h": 6 * _HOUR, "1d": _DAY, "3d": 3 * _DAY, "7d": 7 * _DAY, "14d": 14 * _DAY, "30d": 30 * _DAY,
}  # fmt: skip
"""Buckets by the minute before which they end."""
_QUARTILES: Final = {"quartile_1": 1, "median": 2, "quartile_3": 3}
DEFINITIONS: Final = {
    "path": "the eligible touches of a conversion that is not cancelled, as it is judged by what is known now",
    "in_paths": "conversions in whose path one is",
    "credited": "conversions that one has any credit of, by a touch or a code",
    "assisted": "conversions in whose path one is without any credit of them",
    "assist_ratio": "assisted / credited",
    "lengths": f"conversions by the number of touches in their paths; {_LONGEST} stands for more too",
    "first_touch_to_conversion": (
        "whole minutes from the first touch of the path; a quartile is the least time that at least that share of"
        " conversions took no longer than"
    ),
    "overlap": (
        "conversions whose path has both; share: of the conversions whose path has either."
        f" Of a path with more than {_WIDEST} the first {_WIDEST} count"
    ),
    "error": "by how much a count of overlap may be too low; 0 unless there are very many pairs",
}


@dataclass(frozen=True, slots=True)
class JourneysQuery:
    """Conversions from `start` (inclusive) to `end` (exclusive)."""

    start: datetime
    end: datetime
    unit: Unit = Unit.INFLUENCER
    limit: int = 100


@dataclass(slots=True)
class _Journeys:
    """Memory: one entry for each unit, each whole minute of a path's length, and a bounded number of pairs."""

    conversions: int = 0
    without_path: int = 0
    in_paths: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    assisted: Counter[str] = field(default_factory=Counter)
    assisted_conversions: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    minutes: Counter[int] = field(default_factory=Counter)
    pairs: FrequentItems[tuple[str, str]] = field(default_factory=lambda: FrequentItems(_PAIRS_HELD))

    def add(self, unit: Unit, conversion: StoredConversion, judged: Attribution) -> None:
        path = [t.touch for t in judged.touches if t.verdict in (Verdict.CREDITED, Verdict.NOT_CREDITED)]
        credited = {_paid(unit, credit) for credit in judged.credits if credit.via is not Via.NONE} - {None}
        self.credited.update(name for name in credited if name is not None)
        if not path:
            self.without_path += 1
            return
        self.conversions += 1
        units = list(dict.fromkeys(name for touch in path if (name := _name(unit, touch)) is not None))
        self.in_paths.update(units)
        assisted = [name for name in units if name not in credited]
        self.assisted.update(assisted)
        self.assisted_conversions += bool(assisted)
        self.lengths[min(len(path), _LONGEST)] += 1
        self.minutes[(conversion.facts.occurred_at_us - path[0].clicked_at_us) // _MINUTE_US] += 1
        for pair in combinations(sorted(units[:_WIDEST]), 2):
            self.pairs.add(pair)


def _name(unit: Unit, touch: Touch) -> str | None:
    name = unit.of(touch)
    return None if name == "none" else name


def _paid(unit: Unit, credit: Credit) -> str | None:
    named = {
        Unit.INFLUENCER: credit.influencer_id,
        Unit.CAMPAIGN: credit.campaign_id,
        Unit.CHANNEL: credit.channel and credit.channel.value,
    }
    return None if named[unit] is None else str(named[unit])


class JourneyReports:
    def __init__(self, table: ReportTable) -> None:
        self._table = table
        # Each holds a connection for as long as the conversions of its period need.
        self._judging = asyncio.Semaphore(1)

    async def query(self, program: Program, query: JourneysQuery) -> Mapping[str, Any]:
        async with self._judging, self._table.snapshot() as facts:
            as_of = await facts.as_of(program.program_id)
            journeys = await _read(facts, program, query)
        return _answer(program, query, as_of, journeys)


async def _read(facts: ReportFacts, program: Program, query: JourneysQuery) -> _Journeys:
    journeys = _Journeys()
    async for keys in facts.keys(program.program_id, query.start, query.end, BATCH):
        conversions = await facts.conversions(keys)
        for conversion, judged in zip(conversions, await judge(facts, conversions), strict=True):
            journeys.add(query.unit, conversion, judged)
    return journeys


def _answer(program: Program, query: JourneysQuery, as_of: datetime, journeys: _Journeys) -> Mapping[str, Any]:
    zone = ZoneInfo(program.timezone)
    return {
        "from": query.start.astimezone(zone),
        "to": query.end.astimezone(zone),
        "timezone": program.timezone,
        "unit": query.unit.value,
        "as_of": as_of,
        "conversions": journeys.conversions,
        "conversions_without_path": journeys.without_path,
        "assisted_conversions": journeys.assisted_conversions,
        "rows": _rows(query, journeys),
        "lengths": [{"touches": n, "conversions": journeys.lengths[n]} for n in sorted(journeys.lengths)],
        "first_touch_to_conversion": _times(journeys.minutes),
        "overlap": [
            {
                "between": list(pair),
                "conversions": count,
                "share": _share(count, sum(journeys.in_paths[name] for name in pair) - count),
            }
            for pair, count in journeys.pairs.top(query.limit)
        ],
        "error": journeys.pairs.error,
        "definitions": DEFINITIONS,
    }


def _rows(query: JourneysQuery, journeys: _Journeys) -> list[Mapping[str, Any]]:
    """Who assists most first."""
    units = journeys.in_paths.keys() | journeys.credited.keys()
    first = sorted(units, key=lambda name: (-journeys.assisted[name], -journeys.in_paths[name], name))
    return [
        {
            query.unit.value: name,
            "in_paths": journeys.in_paths[name],
            "credited": journeys.credited[name],
            "assisted": journeys.assisted[name],
            "assist_ratio": _share(journeys.assisted[name], journeys.credited[name]),
        }
        for name in first[: query.limit]
    ]


def _times(minutes: Counter[int]) -> Mapping[str, Any]:
    total, so_far = minutes.total(), 0
    quartiles: dict[str, int | None] = dict.fromkeys(_QUARTILES)
    buckets = dict.fromkeys((*(f"under_{name}" for name in _UNTIL), "longer"), 0)
    for minute in sorted(minutes):
        so_far += minutes[minute]
        for name, quarter in _QUARTILES.items():
            if quartiles[name] is None and 4 * so_far >= quarter * total:
                quartiles[name] = minute
        bucket = next((f"under_{name}" for name, until in _UNTIL.items() if minute < until), "longer")
        buckets[bucket] += minutes[minute]
    return {
        **{
            name: None if minute is None else format_duration(timedelta(minutes=minute))
            for name, minute in quartiles.items()
        },
        "buckets": buckets,
    }


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.6f}" if whole else None
