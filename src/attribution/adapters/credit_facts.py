"""Reads the facts that decide conversions, and their credits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from attribution.domain.attribution import Credit, Touch
from attribution.domain.codes import Code, CodeHistory, CodePolicy, code_key
from attribution.domain.conversions import Item
from attribution.domain.durations import parse_duration
from attribution.domain.ids import (
    CampaignId,
    CodeId,
    ConversionId,
    InfluencerId,
    ProgramId,
    RecomputationId,
    RuleId,
)
from attribution.domain.instants import from_us, to_us
from attribution.domain.models import DEFAULTS, Model, Parameters
from attribution.domain.refunds import RefundMessage
from attribution.domain.rules import CampaignWindows, Rule, RuleBook, Terms

from . import refund_events
from .credit_entries import credit_of
from .postgres import Row
from .statements import statements
from .stored_conversions import ConversionKey, StoredConversion, arrays_of
from .terms import terms_of, windows_us
from .touches import by_conversion, names, touch_of

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("credits")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    entry_id: int
    recorded_at: datetime
    credit: Credit
    recomputation_id: RecomputationId | None


class CreditFacts:
    """Reads, in whatever transaction the connection is in."""

    visitors_are_named = False
    """Whether an attributor has written whom the conversions name."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    @property
    def connection(self) -> "Connection":
        return self._connection

    async def find(
        self, program_id: ProgramId, source: str, conversion_type: str, external_id: str
    ) -> ConversionKey | None:
        found = await self._connection.fetchval(_SQL["one"], program_id, source, conversion_type, external_id)
        return (program_id, ConversionId(found)) if found is not None else None

    async def conversions(self, keys: Iterable[ConversionKey]) -> list[StoredConversion]:
        rows = await self._connection.fetch(_SQL["conversions"], *arrays_of(keys))
        return [StoredConversion.of(row) for row in rows]

    async def rule_books(self, programs: Iterable[ProgramId]) -> dict[ProgramId, RuleBook]:
        wanted = list(set(programs))
        rules: dict[ProgramId, list[Rule]] = {program: [] for program in wanted}
        windows: dict[ProgramId, dict[CampaignId, list[CampaignWindows]]] = {program: {} for program in wanted}
        for row in await self._connection.fetch(_SQL["rules"], wanted):
            rules[row["program_id"]].append(_rule(row))
        for row in await self._connection.fetch(_SQL["campaign_windows"], wanted):
            windows[row["program_id"]].setdefault(row["campaign_id"], []).append(_campaign_windows(row))
        terms: dict[ProgramId, dict[RecomputationId, Terms]] = {program: {} for program in wanted}
        for row in await self._connection.fetch(_SQL["terms"], wanted):
            terms[row["program_id"]][row["recomputation_id"]] = terms_of(row)
        return {
            program: RuleBook(
                tuple(rules[program]), {c: tuple(v) for c, v in windows[program].items()}, terms[program]
            )
            for program in wanted
        }

    async def code_histories(self, conversions: Sequence[StoredConversion]) -> dict[ProgramId, CodeHistory]:
        wanted = {(c.program_id, code_key(text)) for c in conversions for text in c.facts.discount_codes}
        versions: dict[ProgramId, dict[str, dict[CodeId, list[Code]]]] = {c.program_id: {} for c in conversions}
        if wanted:
            for row in await self._connection.fetch(_SQL["codes"], *columns_of(wanted, 2)):
                of_text = versions[row["program_id"]].setdefault(row["wanted_key"], {})
                of_text.setdefault(row["code_id"], []).append(_code(row))
        return {
            program: CodeHistory({key: tuple(codes.values()) for key, codes in texts.items()})
            for program, texts in versions.items()
        }

    async def _named_clicks(self, conversions: Sequence[StoredConversion]) -> dict[ConversionId, list[Touch]]:
        if not conversions:
            return {}
        rows = await self._connection.fetch(_SQL["named_clicks"], *arrays_of(c.key for c in conversions))
        return by_conversion(rows)

    async def touches(
        self, conversions: Sequence[StoredConversion], since_us: Sequence[int]
    ) -> dict[ConversionId, list[Touch]]:
        """Of all visitors whom a conversion, or one of its customer that is not after it, names; from `since_us` to
        the conversion, and some before, where others need them. And the click it names, here or not.
        """
        if not conversions:
            return {}
        window = max(c.facts.occurred_at_us - since for c, since in zip(conversions, since_us, strict=True))
        touches = by_conversion(
            await self._connection.fetch(
                _SQL["touches"],
                *arrays_of(c.key for c in conversions),
                timedelta(microseconds=window),
                not self.visitors_are_named,
            )
        )
        # Most were found by their visitors.
        unseen = [c for c in conversions if c.click_id and not names(touches.get(c.conversion_id, ()), c.click_id)]
        for conversion_id, named in (await self._named_clicks(unseen)).items():
            touches.setdefault(conversion_id, []).extend(named)
        return touches

    async def older_touches(
        self, conversions: Sequence[StoredConversion], since_us: Sequence[int]
    ) -> dict[ConversionId, list[Touch]]:
        """Of each visitor the newest touch, and the newest bot, before `since_us`."""
        if not conversions:
            return {}
        keys, since = arrays_of(c.key for c in conversions), [from_us(us) for us in since_us]
        rows = await self._connection.fetch(_SQL["older_clicks"], *keys, since, not self.visitors_are_named)
        return by_conversion(rows)

    async def all_clicks(
        self, conversion: StoredConversion, limit: int, influencer_id: InfluencerId | None = None
    ) -> tuple[list[Touch], int]:
        """The newest `limit` candidates by visitor, or those of an influencer, and how many there are."""
        rows = await self._connection.fetch(
            _SQL["all_clicks"],
            *conversion.key,
            conversion.customer_id,
            from_us(conversion.facts.occurred_at_us),
            limit,
            influencer_id,
            conversion.click_id,
        )
        return [touch_of(tuple(row)[:-1]) for row in rows], rows[0]["candidates"] if rows else 0

    async def refunds(self, conversion: StoredConversion) -> tuple[list[RefundMessage], list[Item]]:
        """And the items that they are of."""
        key = (conversion.source, conversion.type, conversion.external_id)
        return await refund_events.of_order(self._connection, *conversion.key, key)

    async def credits_recorded(
        self, keys: Sequence[ConversionKey], by: datetime | None = None
    ) -> dict[ConversionId, list[Credit]]:
        """The sums of the entries that were recorded by an instant, or until now."""
        credits_: dict[ConversionId, list[Credit]] = {}
        for row in await self._connection.fetch(_SQL["credits_recorded"], *arrays_of(keys), by):
            credits_.setdefault(row["conversion_id"], []).append(credit_of(row))
        return credits_

    async def entries(self, key: ConversionKey, after: int, limit: int) -> list[Entry]:
        """As they were appended."""
        rows = await self._connection.fetch(_SQL["entries"], *key, after, limit)
        return [Entry(row["entry_id"], row["recorded_at"], credit_of(row), row["recomputation_id"]) for row in rows]


def columns_of(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _rule(row: Row) -> Rule:
    return Rule(
        rule_id=RuleId(row["rule_id"]),
        model=Model(row["model"]),
        windows_us=windows_us(row["windows"]),
        min_click_to_conversion_us=row["min_click_to_conversion"] // _MICROSECOND,
        effective_from_us=to_us(row["effective_from"]),
        created_at_us=to_us(row["created_at"]),
        parameters=_parameters(row["parameters"]),
    )


def _parameters(said: Mapping[str, Any]) -> Parameters:
    """What a rule leaves out has its default."""
    half_life, position_weights = said.get("half_life"), said.get("position_weights")
    first, middle, last = map(Fraction, position_weights) if position_weights else DEFAULTS.position_weights
    return Parameters(
        parse_duration(half_life) // _MICROSECOND if half_life else DEFAULTS.half_life_us, (first, middle, last)
    )


def _campaign_windows(row: Row) -> CampaignWindows:
    return CampaignWindows(windows_us(row["windows"]), to_us(row["effective_from"]), to_us(row["created_at"]))


def _code(row: Row) -> Code:
    return Code(
        code_id=CodeId(row["code_id"]),
        text=row["code"],
        influencer_id=InfluencerId(row["influencer_id"]),
        campaign_id=row["campaign_id"] and CampaignId(row["campaign_id"]),
        policy=CodePolicy(row["policy"]),
        starts_at_us=to_us(row["starts_at"]) if row["starts_at"] else None,
        ends_at_us=to_us(row["ends_at"]) if row["ends_at"] else None,
        enabled=row["status"] == "active",
        created_at_us=to_us(row["created_at"]),
    )
