"""Answers about the credit of a conversion, now and as it was recorded: the same for orders and all others."""

import datetime as dt
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from attribution.domain.conversions import DEFAULT_SOURCE
from attribution.domain.programs import Program
from attribution.errors import NotFoundError

from .fields import PRINTABLE
from .resources import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from .services import Services

SourceInQuery = Annotated[str, Query(min_length=1, max_length=255, pattern=PRINTABLE)]


class Extensible(BaseModel):
    """An answer to which more may be added."""

    model_config = ConfigDict(extra="allow")


class Touch(Extensible):
    click_id: str
    clicked_at: datetime
    link_id: str
    influencer_id: str | None
    campaign_id: str | None
    verdict: str
    weight: str | None = None


class CodeVerdict(Extensible):
    code: str
    verdict: str


class Credit(Extensible):
    influencer_id: str | None
    via: Literal["click", "code"]
    weight: str
    revenue: str


class MissingRate(BaseModel):
    date: dt.date
    base: str
    quote: str


class Value(BaseModel):
    """In the programme's currency, at the rate of the conversion's day; all null while that is missing.

    `commission` alone is null while only the rate of a plan's currency is.
    """

    currency: str
    gross: str | None
    net: str | None
    discount: str | None
    commission: str | None
    missing_rate: MissingRate | None


class Commission(BaseModel):
    influencer_id: str
    plan_id: str | None
    """None as of a past moment: what was recorded tells no plan."""
    percent: str | None
    flat: str | None
    flat_currency: str | None
    commission: str | None
    """None while an exchange rate is missing."""


class Attribution(Extensible):
    status: Literal["attributed", "pending", "unattributed"]
    reason: str | None
    model: str
    rule_id: str | None
    touches: list[Touch]
    codes: list[CodeVerdict]
    credits: list[Credit]
    currency: str
    """Of the revenue of `credits`."""
    value: Value
    commissions: list[Commission]
    as_of: datetime | None = None
    """Of `credits`, `value` and `commissions`, where it was asked for; all else is of now."""


class Entry(Extensible):
    """A difference: what was recorded by an instant is the sum of the entries up to it."""

    recorded_at: datetime
    recomputation_id: str | None
    """The recomputation that appended it."""
    via: Literal["click", "code", "none"]
    influencer_id: str | None
    link_id: str | None
    click_id: str | None
    code: str | None
    weight: str
    currency: str
    gross: str
    net: str
    discount: str
    value_currency: str
    """The programme's: of `value`, which is the net in it, and of `commission`."""
    value: str
    commission: str


class History(BaseModel):
    data: list[Entry]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    source: SourceInQuery = DEFAULT_SOURCE
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Query(max_length=64)] = None


async def history_of(
    services: Services, program: Program, conversion_type: str, external_id: str, asked: HistoryQuery
) -> History:
    after = decode_cursor(asked.cursor)
    entries = found(
        await services.credits.history(
            program, asked.source, conversion_type, storable(external_id), after, asked.limit + 1
        )
    )
    more = encode_cursor(entries[asked.limit - 1][0]) if len(entries) > asked.limit else None
    return History(data=[Entry(**entry) for _, entry in entries[: asked.limit]], next_cursor=more)


def storable(external_id: str) -> str:
    if not external_id or "\0" in external_id:
        raise NotFoundError
    return external_id


def found(answer: Any) -> Any:
    if answer is None:
        raise NotFoundError
    return answer
