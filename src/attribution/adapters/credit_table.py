"""Reads the facts that decide conversions, and appends the credits."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

from attribution.domain.attribution import (
    Attribution,
    ClickState,
    ConversionFacts,
    Credit,
    Touch,
)
from attribution.domain.click_id import clicked_at
from attribution.domain.codes import Code, CodeHistory, CodePolicy, code_key
from attribution.domain.conversions import ConversionStatus, Item, net_minor
from attribution.domain.durations import parse_duration
from attribution.domain.ids import (
    CampaignId,
    ClickId,
    CodeId,
    ConversionId,
    InfluencerId,
    LinkId,
    ProgramId,
    RecomputationId,
    RuleId,
)
from attribution.domain.instants import from_us, to_us
from attribution.domain.models import DEFAULTS, Model, Parameters
from attribution.domain.refunds import RefundMessage
from attribution.domain.rules import CampaignWindows, Rule, RuleBook, Terms
from attribution.domain.valuation import Valuation
from attribution.errors import DatabaseUnavailableError

from . import refund_events
from .credit_entries import CHANNELS, COLUMNS, credit_of, differences, entry
from .postgres import Database, Row
from .statements import statements
from .terms import terms_of, windows_us

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("credits")
_STATUSES = {status.value: status for status in ConversionStatus}
_MICROSECOND = timedelta(microseconds=1)
ConversionKey = tuple[ProgramId, ConversionId]
Visitors = Mapping[ConversionId, Collection[str]]


# A named tuple, like what is made of it: hundreds of thousands are made.
class StoredConversion(NamedTuple):
    program_id: ProgramId
    conversion_id: ConversionId
    source: str
    type: str
    external_id: str
    status: ConversionStatus
    currency: str
    refunded_minor: int
    """As asked: may be more than gross."""
    customer_id: str | None
    new_customer: bool | None
    """As the shop says."""
    click_id: UUID | None
    click_link_id: LinkId | None
    facts: ConversionFacts
    bound_at_us: int | None
    is_judged: bool = False
    """Whether an attributor has seen it before."""
    visitors: frozenset[str] = frozenset()
    """Whom it names: its own, and that of the click that it names, if that is here."""
    named: frozenset[str] = frozenset()
    """Whom it named when that was last written."""
    has_arrived: bool = False
    """Its click is here, and still awaited."""
    recomputation_id: RecomputationId | None = None
    """The one that bound it."""

    @classmethod
    def of(cls, row: Row) -> "StoredConversion":
        status = _STATUSES[row["status"]]
        return cls(
            program_id=ProgramId(row["program_id"]),
            conversion_id=ConversionId(row["conversion_id"]),
            source=row["source"],
            type=row["type"],
            external_id=row["external_id"],
            status=status,
            currency=row["currency"],
            refunded_minor=row["refunded_minor"],
            customer_id=row["customer_id"],
            new_customer=row["new_customer"],
            click_id=row["click_id"],
            click_link_id=row["click_link_id"],
            facts=ConversionFacts(
                occurred_at_us=to_us(row["occurred_at"]),
                gross_minor=row["gross_minor"],
                net_minor=net_minor(status, row["gross_minor"], row["refunded_minor"]),
                discount_minor=row["discount_minor"],
                click_state=ClickState(row["click_state"]) if row["click_state"] else None,
                discount_codes=tuple(row["discount_codes"]),
            ),
            bound_at_us=to_us(row["bound_at"]) if row["bound_at"] else None,
            is_judged=row["attribution_status"] is not None,
            visitors=frozenset(filter(None, (row["visitor_id"], row["click_visitor_id"]))),
            named=frozenset(row["named"]),
            has_arrived=row["click_stored"] and row["awaits_click"],
            recomputation_id=row["recomputation_id"],
        )

    @property
    def key(self) -> ConversionKey:
        return (self.program_id, self.conversion_id)

    @property
    def over_refunded_minor(self) -> int:
        return max(0, self.refunded_minor - self.facts.gross_minor)


@dataclass(frozen=True, slots=True)
class Binding:
    """Of conversions to a recomputation: from now on its terms judge them, and what was known at its instant."""

    recomputation_id: RecomputationId
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    entry_id: int
    recorded_at: datetime
    credit: Credit
    recomputation_id: RecomputationId | None


class Judged(NamedTuple):
    conversion: StoredConversion
    attribution: Attribution
    valuation: Valuation

    def row(self) -> tuple[Any, ...]:
        attribution, valuation = self.attribution, self.valuation
        rule, rate, missing = attribution.judgement.rule, valuation.rate, valuation.missing
        return (
            *self.conversion.key, attribution.status, attribution.reason, rule.model, rule.rule_id,
            attribution.credited, rate and Decimal(rate.numerator), rate and Decimal(rate.denominator),
            missing and missing.day, missing and missing.base,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of the queue, and the conversions they ask to be judged."""

    queue_rows: Sequence[tuple[ProgramId, int]]
    conversions: Sequence[ConversionKey]


class CreditTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def lead(self) -> AsyncIterator["CreditSession | None"]:
        """None while another attributor leads."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_SQL["lead"]):
                yield None
                return
            try:
                yield CreditSession(connection, self._database)
            finally:
                await connection.execute("SELECT pg_advisory_unlock_all()")

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["CreditFacts"]:
        """All reads see one state of the database."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            yield CreditFacts(connection)


class CreditFacts:
    """Reads, in whatever transaction the connection is in."""

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

    async def conversions(self, keys: Sequence[ConversionKey]) -> list[StoredConversion]:
        rows = await self._connection.fetch(_SQL["conversions"], *_columns(keys, 2))
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
            for row in await self._connection.fetch(_SQL["codes"], *_columns(wanted, 2)):
                of_text = versions[row["program_id"]].setdefault(row["wanted_key"], {})
                of_text.setdefault(row["code_id"], []).append(_code(row))
        return {
            program: CodeHistory({key: tuple(codes.values()) for key, codes in texts.items()})
            for program, texts in versions.items()
        }

    async def named_clicks(self, conversions: Sequence[StoredConversion]) -> dict[ConversionId, list[Touch]]:
        named = [
            (
                c.program_id,
                c.conversion_id,
                c.click_id,
                clicked_at(ClickId(c.click_id.bytes)),
                c.click_link_id,
            )
            for c in conversions
            if c.click_id is not None
        ]
        return touches_of(await self._connection.fetch(_SQL["named_clicks"], *_columns(named, 5))) if named else {}

    async def visitors(self, conversions: Sequence[StoredConversion]) -> Visitors:
        """All that a conversion, or one of its customer that is not after it, names."""
        found: dict[ConversionId, set[str]] = {c.conversion_id: set(c.visitors) for c in conversions}
        wanted = [
            (*c.key, c.customer_id, from_us(c.facts.occurred_at_us)) for c in conversions if c.customer_id is not None
        ]
        if wanted:
            for row in await self._connection.fetch(_SQL["customer_visitors"], *_columns(wanted, 4)):
                found[row["conversion_id"]].add(row["visitor_id"])
        return found

    async def visitor_clicks(
        self, conversions: Sequence[StoredConversion], visitors: Visitors, since_us: Sequence[int]
    ) -> dict[ConversionId, list[Touch]]:
        """From `since_us` to the conversion."""
        return await self._clicks("visitor_clicks", conversions, visitors, since_us)

    async def older_clicks(
        self, conversions: Sequence[StoredConversion], visitors: Visitors, since_us: Sequence[int]
    ) -> dict[ConversionId, list[Touch]]:
        """Of each visitor the newest touch, and the newest bot, before `since_us`."""
        return await self._clicks("older_clicks", conversions, visitors, since_us)

    async def _clicks(
        self, statement: str, conversions: Sequence[StoredConversion], visitors: Visitors, since_us: Sequence[int]
    ) -> dict[ConversionId, list[Touch]]:
        rows = [
            (*c.key, visitor, from_us(c.facts.occurred_at_us), from_us(since))
            for c, since in zip(conversions, since_us, strict=True)
            for visitor in visitors[c.conversion_id]
        ]
        return touches_of(await self._connection.fetch(_SQL[statement], *_columns(rows, 5))) if rows else {}

    async def all_clicks(self, conversion: StoredConversion, limit: int) -> tuple[list[Touch], int]:
        """The newest `limit` candidates by visitor, and how many there are."""
        rows = await self._connection.fetch(
            _SQL["all_clicks"],
            *conversion.key,
            conversion.customer_id,
            from_us(conversion.facts.occurred_at_us),
            limit,
        )
        return [_touch(tuple(row)[:-1]) for row in rows], rows[0]["candidates"] if rows else 0

    async def refunds(self, conversion: StoredConversion) -> tuple[list[RefundMessage], list[Item]]:
        """And the items that they are of."""
        key = (conversion.source, conversion.type, conversion.external_id)
        refunds = await refund_events.of_conversion(self._connection, conversion.program_id, key)
        items = await refund_events.items_of(self._connection, *conversion.key) if refunds else []
        return refunds, items

    async def credits_recorded(
        self, keys: Sequence[ConversionKey], by: datetime | None = None
    ) -> dict[ConversionId, list[Credit]]:
        """The sums of the entries that were recorded by an instant, or until now."""
        credits_: dict[ConversionId, list[Credit]] = {}
        for row in await self._connection.fetch(_SQL["credits_recorded"], *_columns(keys, 2), by):
            credits_.setdefault(row["conversion_id"], []).append(credit_of(row))
        return credits_

    async def entries(self, key: ConversionKey, after: int, limit: int) -> list[Entry]:
        """As they were appended."""
        rows = await self._connection.fetch(_SQL["entries"], *key, after, limit)
        return [Entry(row["entry_id"], row["recorded_at"], credit_of(row), row["recomputation_id"]) for row in rows]


class CreditSession(CreditFacts):
    """The leading attributor's: takes work from the queue and writes what came of it."""

    def __init__(self, connection: "Connection", database: Database, epoch: int | None = None) -> None:
        super().__init__(connection)
        self._database = database
        self._epoch = epoch

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Self]:
        """A further connection to write with.

        It holds no lock of the leader's, so its transactions are fenced: they end with `DatabaseUnavailableError`
        once a later leader has taken work.
        """
        async with self._database.connection() as connection:
            yield type(self)(connection, self._database, self._epoch)

    async def take(self, limit: int) -> Work:
        """The oldest rows; nothing is locked, as there is one leader. Lanes of leaders before it write no more."""
        rows = await self._connection.fetch(_SQL["queued"], limit)
        if rows:
            self._epoch = await self._connection.fetchval(_SQL["begin_epoch"])
        keys = {(row["program_id"], row["conversion_id"]) for row in rows if row["conversion_id"] is not None}
        customers = [(r["program_id"], r["customer_id"], r["since"]) for r in rows if r["customer_id"] is not None]
        if customers:
            found = await self._connection.fetch(_SQL["of_customers"], *_columns(customers, 3))
            keys |= {(row["program_id"], row["conversion_id"]) for row in found}
        return Work([(row["program_id"], row["queue_id"]) for row in rows], sorted(keys))

    async def name_visitors(self, conversions: Sequence[StoredConversion]) -> None:
        new = [(*c.key, visitor) for c in conversions for visitor in c.visitors - c.named]
        old = [(*c.key, visitor) for c in conversions for visitor in c.named - c.visitors]
        arrived = [(*c.key, c.click_id) for c in conversions if c.has_arrived]
        if new or old or arrived:
            columns = (*_columns(new, 3), *_columns(old, 3), *_columns(arrived, 3))
            await self._connection.execute(_SQL["name_visitors"], *columns)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Shuts new rules, windows and codes out until its end, so that what it binds is bound to all it saw."""
        async with self._connection.transaction(isolation="repeatable_read"):
            await self._connection.execute(_SQL["shut_out_versions"])
            if self._epoch is not None and await self._connection.fetchval(_SQL["epoch"]) != self._epoch:
                raise DatabaseUnavailableError("another attributor leads by now")
            yield

    async def write(self, judged: Sequence[Judged], at: datetime) -> None:
        """Appends what differs from the credits so far; what is the same leaves no entry."""
        before = await self.credits_recorded([j.conversion.key for j in judged if j.conversion.is_judged])
        await self.append(judged, before, at)

    async def append(
        self,
        judged: Sequence[Judged],
        before: Mapping[ConversionId, Sequence[Credit]],
        at: datetime,
        binding: Binding | None = None,
    ) -> None:
        """`binding`: that of a recomputation; without one, first credit binds."""
        recomputation_id = binding.recomputation_id if binding else None
        entries = [
            (*entry(j.conversion.key, at, credit), recomputation_id)
            for j in judged
            for credit in differences(before.get(j.conversion.conversion_id, ()), j.valuation.credits)
        ]
        if entries:
            columns = (*COLUMNS, "recomputation_id")
            await self._connection.copy_records_to_table("credit_entries", records=entries, columns=columns)
        rows = _columns([j.row() for j in judged], 11)
        await self._connection.execute(_SQL["judged"], *rows, recomputation_id, binding.at if binding else None)
        codes = {
            (j.conversion.program_id, code_key(text), j.conversion.conversion_id)
            for j in judged
            if not j.attribution.credited
            for text in j.conversion.facts.discount_codes
        }
        if codes:
            await self._connection.execute(_SQL["await_codes"], *_columns(sorted(codes), 3))

    async def done(self, work: Work) -> None:
        await self._connection.execute(_SQL["done"], *_columns(work.queue_rows, 2))


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
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


def touches_of(rows: Iterable[Row]) -> dict[ConversionId, list[Touch]]:
    touches: dict[ConversionId, list[Touch]] = {}
    for row in rows:
        touches.setdefault(row["conversion_id"], []).append(_touch(row))
    return touches


def _touch(row: Iterable[Any]) -> Touch:
    _, click_id, clicked_at, link_id, influencer_id, campaign_id, post_id, channel, is_bot, stored = row
    return Touch(
        to_us(clicked_at), ClickId(click_id.bytes), link_id, influencer_id, campaign_id, post_id,
        CHANNELS[channel], is_bot, stored,
    )  # fmt: skip
