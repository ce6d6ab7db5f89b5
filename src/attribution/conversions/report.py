"""Reports over all paths of a period: every model, side by side."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from attribution.adapters.report_table import ReportFacts, ReportTable
from attribution.adapters.stored_conversions import StoredConversion
from attribution.domain.attribution import WEIGHT_UNITS, Attribution, Touch, Verdict
from attribution.domain.models import Model, ReportModel, weights
from attribution.domain.money import from_minor, split
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError

from .attributor import judge, value_all

BATCH: Final = 10
"""Judged at a time: the event loop answers others in between."""
_NONE: Final = "none"
_MODELS: Final[tuple[str, ...]] = (*Model, *ReportModel)


class Unit(StrEnum):
    """What the touches of a path are named by."""

    INFLUENCER = "influencer"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"

    def of(self, touch: Touch) -> str:
        named = {
            Unit.INFLUENCER: touch.influencer_id,
            Unit.CAMPAIGN: touch.campaign_id,
            Unit.CHANNEL: touch.channel and touch.channel.value,
        }
        return _NONE if named[self] is None else str(named[self])


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Conversions from `start` (inclusive) to `end` (exclusive). `order` and `nulls` are of `markov`."""

    start: datetime
    end: datetime
    model: str = ReportModel.MARKOV
    unit: Unit = Unit.CHANNEL
    order: int = 1
    nulls: bool = True
    compare: bool = True

    @property
    def models(self) -> tuple[str, ...]:
        return _MODELS if self.compare else (self.model,)


@dataclass(slots=True)
class _Sums:
    """Weight in units of 1e-18, value in minor units."""

    weight_units: int = 0
    value_minor: int = 0
    removal_effect: float | None = None


@dataclass(slots=True)
class _Paths:
    """Distinct paths: their conversions, value and walks without conversion; and what models of one path gave."""

    distinct: dict[tuple[str, ...], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))
    paid: dict[str, dict[str, _Sums]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(_Sums)))
    conversions: int = 0
    value_minor: int = 0
    without_path: int = 0


class Reports:
    def __init__(self, table: ReportTable) -> None:
        self._table = table
        # Each holds a connection for as long as the conversions of its period need.
        self._judging = asyncio.Semaphore(1)

    async def attribution(self, program: Program, query: ReportQuery) -> Mapping[str, Any]:
        """Memory holds distinct paths only.

        Raises `InvalidInputError` for a chain that is too large, `MissingRateError` for what cannot be exchanged.
        """
        async with self._judging, self._table.snapshot() as facts:
            as_of = await facts.as_of(program.program_id)
            paths = await _read(facts, program, query)
        by_model = {model: dict(paths.paid[model]) for model in query.models if model in set(Model)}
        for model in query.models:
            if model in set(ReportModel):
                # Numbers are worked out beside the event loop, which answers others meanwhile.
                by_model[model] = await asyncio.to_thread(_modelled, model, paths, query)
        return _answer(program, query, as_of, paths, by_model)


async def _read(facts: ReportFacts, program: Program, query: ReportQuery) -> _Paths:
    paths = _Paths()
    pay_models = [Model(model) for model in query.models if model in set(Model)]
    async for keys in facts.keys(program.program_id, query.start, query.end, BATCH):
        conversions = await facts.conversions(keys)
        attributions = await judge(facts, conversions)
        nets = await _nets(facts, program, conversions, attributions)
        for conversion, judged, net_minor in zip(conversions, attributions, nets, strict=True):
            _add(paths, query.unit, pay_models, conversion, judged, net_minor)
    async for touches, walks in facts.null_paths(program.program_id, query.start, query.end, query.unit):
        paths.distinct[touches][2] += walks
    return paths


async def _nets(
    facts: ReportFacts,
    program: Program,
    conversions: Sequence[StoredConversion],
    attributions: Sequence[Attribution],
) -> list[int]:
    """Minor units of the programme's currency, at the rates that the conversions keep. Raises `MissingRateError`."""
    foreign = [
        (conversion, judged)
        for conversion, judged in zip(conversions, attributions, strict=True)
        if conversion.currency != program.currency
    ]
    valuations = await value_all(facts, [c for c, _ in foreign], [judged for _, judged in foreign]) if foreign else []
    exchanged = {}
    for (conversion, _), valuation in zip(foreign, valuations, strict=True):
        if valuation.worth_missing is not None:
            raise valuation.worth_missing
        exchanged[conversion.conversion_id] = sum(credit.net_value for credit in valuation.credits)
    return [exchanged.get(c.conversion_id, c.facts.net_minor) for c in conversions]


def _add(
    paths: _Paths,
    unit: Unit,
    models: Sequence[Model],
    conversion: StoredConversion,
    judged: Attribution,
    net_minor: int,
) -> None:
    """A code that takes the credit leaves the path as it is."""
    path = [t.touch for t in judged.touches if t.verdict in (Verdict.CREDITED, Verdict.NOT_CREDITED)]
    if not path:
        paths.without_path += 1
        return
    touches = tuple(unit.of(touch) for touch in path)
    paths.conversions += 1
    paths.value_minor += net_minor
    held = paths.distinct[touches]
    held[0] += 1
    held[1] += net_minor
    ages_us = [conversion.facts.occurred_at_us - touch.clicked_at_us for touch in path]
    for model in models:
        shares = weights(model, ages_us, judged.judgement.rule.parameters)
        _share_out(paths.paid[model], touches, shares, net_minor)


def _share_out(paid: dict[str, _Sums], touches: Sequence[str], shares: Sequence[Fraction], net_minor: int) -> None:
    parts = zip(touches, split(WEIGHT_UNITS, shares), split(net_minor, shares), strict=True)
    for touch, weight_units, value_minor in parts:
        paid[touch].weight_units += weight_units
        paid[touch].value_minor += value_minor


def _modelled(model: str, paths: _Paths, query: ReportQuery) -> dict[str, _Sums]:
    # A server that is never asked for reports needs no linear algebra.
    from attribution.models import ChainError, Path, attribute  # noqa: PLC0415

    table = [Path(touches, *counts) for touches, counts in paths.distinct.items()]
    try:
        modelled = attribute(model, table, order=query.order, nulls=query.nulls)
    except ChainError as error:
        raise InvalidInputError(FieldError(("query", "order"), str(error))) from error
    if model == ReportModel.PARTICIPATION:
        return {
            unit: _Sums(int(credit.conversions) * WEIGHT_UNITS, int(credit.value))
            for unit, credit in modelled.items()
        }
    conversions = [Fraction(credit.conversions) for credit in modelled.values()]
    values = [Fraction(credit.value) for credit in modelled.values()]
    return {
        unit: _Sums(weight_units, value_minor, credit.removal_effect)
        for (unit, credit), weight_units, value_minor in zip(
            modelled.items(),
            _apportioned(paths.conversions * WEIGHT_UNITS, conversions),
            _apportioned(paths.value_minor, values),
            strict=True,
        )
    }


def _apportioned(total: int, parts: Sequence[Fraction]) -> list[int]:
    whole = sum(parts)
    return split(total, [part / whole for part in parts]) if whole else [0] * len(parts)


def _answer(
    program: Program, query: ReportQuery, as_of: datetime, paths: _Paths, by_model: Mapping[str, Mapping[str, _Sums]]
) -> Mapping[str, Any]:
    units = sorted({touch for touches in paths.distinct for touch in touches})
    shown = {
        model: {unit: _shown(sums.get(unit, _Sums()), program) for unit in units} for model, sums in by_model.items()
    }
    zone = ZoneInfo(program.timezone)
    return {
        "from": query.start.astimezone(zone),
        "to": query.end.astimezone(zone),
        "timezone": program.timezone,
        "model": query.model,
        "unit": query.unit.value,
        "order": query.order,
        "nulls": query.nulls,
        "currency": program.currency,
        "as_of": as_of,
        "rows": [{query.unit.value: _label(unit), **shown[query.model][unit]} for unit in units],
        "totals": {
            "conversions": paths.conversions,
            "value": from_minor(paths.value_minor, program.currency),
            "conversions_without_path": paths.without_path,
            "null_paths": sum(counts[2] for counts in paths.distinct.values()),
            "distinct_paths": len(paths.distinct),
        },
        "comparison": [
            {query.unit.value: _label(unit), **{model: shown[model][unit] for model in query.models}}
            for unit in units
        ]
        if query.compare
        else [],
    }


def _weight(units: int) -> str:
    """Exact: sums may have more digits than decimals have by default."""
    whole, rest = divmod(units, WEIGHT_UNITS)
    return f"{whole}.{rest:018}".rstrip("0").rstrip(".")


def _label(unit: str) -> str | None:
    return None if unit == _NONE else unit


def _shown(sums: _Sums, program: Program) -> dict[str, Any]:
    shown = {
        "conversions": _weight(sums.weight_units),
        "value": from_minor(sums.value_minor, program.currency),
    }
    if sums.removal_effect is not None:
        shown["removal_effect"] = f"{sums.removal_effect:.12f}"
    return shown
