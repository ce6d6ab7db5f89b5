"""/v1/recomputations: what other rules would have given for a period, or shall give from now on."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, BeforeValidator, Field

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.adapters.recomputation_table import RecomputationTable
from attribution.domain.durations import format_duration
from attribution.domain.models import Model
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.errors import ConflictError, FieldError, InvalidInputError

from .auth import ProgramOf
from .fields import Duration, HalfLife, Id, Line, PayModel, ProgramKey, Reference, RuleWindows, dump
from .problems import documented
from .resources import ON_READ, Answer, New, PageQuery, Resource, encode_cursor, known_id
from .route import V1Route
from .rules import PositionWeights
from .services import Services
from .stats import moment

_MODEL_OF = {"half_life": Model.TIME_DECAY, "position_weights": Model.POSITION_BASED}
_AMOUNTS = ("weight_units", "net_minor", "net_value", "commission")
Bound = Annotated[str, Field(max_length=64, description="an instant, or a date in the programme's zone")]


class NewRecomputation(New):
    """Of conversions from `from` to before `to`. Without `rule` and `model`: by the rules in force, as known now.

    `windows` and `min_click_to_conversion` stand in place of the rule's own; campaigns' windows go before them.
    """

    program: ProgramKey | None = None
    external_id: Line | None = None
    start: Bound = Field(alias="from")
    end: Bound = Field(alias="to")
    rule: Reference | None = None
    model: PayModel | None = None
    half_life: HalfLife | None = None
    position_weights: PositionWeights | None = None
    windows: RuleWindows = Field(default_factory=dict)
    min_click_to_conversion: Duration | None = None
    dry_run: bool = False

    def check(self) -> None:
        if self.rule is not None and self.model is not None:
            raise InvalidInputError(FieldError(("body", "model"), "cannot be given beside rule"))
        for name, model in _MODEL_OF.items():
            if self.model is not model and getattr(self, name) is not None:
                raise InvalidInputError(FieldError(("body", name), f"belongs to model {model}"))

    def columns(self, program: Program) -> dict[str, Any]:
        self.check()
        zone = ZoneInfo(program.timezone)
        start, end = (moment(name, text, zone, "body") for name, text in (("from", self.start), ("to", self.end)))
        if end <= start:
            raise InvalidInputError(FieldError(("body", "to"), "must be after from"))
        said = dump(self, exclude={"program", "start", "end", "rule"})
        return said | {"start_at": start, "end_at": end, "rule_id": self.rule}


class RecomputationStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Progress(BaseModel):
    """Conversions. `total` is null until it is counted."""

    done: int
    total: int | None


class Totals(BaseModel):
    """`changed`: conversions whose recorded credits change, or would."""

    conversions: int
    changed: int


class Recomputation(Answer):
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    rule: Id | None
    model: Model | None
    half_life: str | None
    position_weights: list[str] | None
    windows: dict[str, str]
    min_click_to_conversion: Annotated[
        str | None, BeforeValidator(lambda value: format_duration(value) if isinstance(value, timedelta) else value)
    ]
    dry_run: bool
    status: RecomputationStatus
    error: str | None
    progress: Progress
    totals: Totals
    started_at: datetime | None
    finished_at: datetime | None


def _present(row: Row) -> dict[str, Any]:
    return {
        **row,
        "from": row["start_at"],
        "to": row["end_at"],
        "rule": row["rule_id"],
        "half_life": row["parameters"].get("half_life"),
        "position_weights": row["parameters"].get("position_weights"),
        "progress": {"done": row["done"], "total": row["total"]},
        "totals": {"conversions": row["done"], "changed": row["changed"]},
    }


RECOMPUTATIONS = Resource("recomputations", "a recomputation", NewRecomputation, Recomputation, present=_present)


class Part(BaseModel):
    """`revenue` in the order's currency; in `value_currency` it is `value`, and `commission` is.

    `value` is null of recomputations before it was recorded.
    """

    weight: str
    revenue: str
    value: str | None
    commission: str


class PartDifference(BaseModel):
    """`difference`: after minus before."""

    influencer_id: Id | None
    before: Part
    after: Part
    difference: Part


class OrderPart(PartDifference):
    via: str


class OrderDifference(BaseModel):
    """Of a conversion, the parts whose recorded credits change; `via` is `none` for what nobody earned.

    A `difference` of nothing: credit moved between clicks of the influencer.
    """

    source: str
    type: str
    external_id: str
    occurred_at: datetime
    currency: str
    value_currency: str
    parts: list[OrderPart]


class InfluencerDifference(PartDifference):
    """Over the `conversions` whose parts differ. The row of null holds what nobody earned."""

    currency: str
    value_currency: str
    conversions: int


class DifferencesByOrder(BaseModel):
    data: list[OrderDifference]
    next_cursor: str | None


class DifferencesByInfluencer(BaseModel):
    data: list[InfluencerDifference]
    next_cursor: str | None


class DifferencesBy(StrEnum):
    INFLUENCER = "influencer"
    ORDER = "order"


def recomputation_router(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/recomputations/{id}", tags=["recomputations"], route_class=V1Route)
    objects = Objects(services.database, RECOMPUTATIONS.table)
    table = RecomputationTable(services.database)

    @router.delete(
        "",
        status_code=204,
        response_class=Response,
        summary="Cancel a recomputation; what it has applied stays",
        responses=ON_READ | documented(409),
    )
    async def cancel(id: str, program: ProgramOf) -> None:  # noqa: A002
        if not await table.cancel(program.program_id, known_id(id)):
            row = await objects.read(program.program_id, known_id(id))
            if row["status"] != RecomputationStatus.CANCELLED:
                raise ConflictError(f"the recomputation is {row['status']} already")

    @router.get(
        "/differences",
        response_model=DifferencesByInfluencer | DifferencesByOrder,
        summary="What a recomputation changes, or a dry run would, by influencer or by order",
        responses=ON_READ,
    )
    async def differences(
        id: str,  # noqa: A002
        program: ProgramOf,
        query: Annotated[PageQuery, Depends()],
        by: Annotated[DifferencesBy, Query()] = DifferencesBy.INFLUENCER,
    ) -> object:
        key = (program.program_id, known_id(id))
        await objects.read(*key)
        limit = query.limit
        if by is DifferencesBy.INFLUENCER:
            rows = await table.by_influencer(*key, query.after, limit + 1)
            more = encode_cursor(query.after + limit) if len(rows) > limit else None
            return DifferencesByInfluencer(
                data=[_of_influencer(row, program.currency) for row in rows[:limit]], next_cursor=more
            )
        orders = _by_order(await table.by_order(*key, query.after, limit + 1), program.currency)
        more = encode_cursor(orders[limit - 1][0]) if len(orders) > limit else None
        return DifferencesByOrder(data=[order for _, order in orders[:limit]], next_cursor=more)

    return router


def _by_order(rows: Sequence[Row], home: str) -> list[tuple[int, OrderDifference]]:
    """With the conversions' ids, which `rows` are ordered by."""
    return [
        (number, _of_order(list(parts), home))
        for number, parts in groupby(rows, lambda row: int(row["conversion_id"]))
    ]


def _of_order(parts: Sequence[Row], home: str) -> OrderDifference:
    said = ("source", "type", "external_id", "occurred_at", "currency")
    return OrderDifference(
        **{name: parts[0][name] for name in said},
        value_currency=home,
        parts=[OrderPart(via=row["via"], **_part_difference(row, home)) for row in parts],
    )


def _of_influencer(row: Row, home: str) -> InfluencerDifference:
    return InfluencerDifference(
        currency=row["currency"],
        value_currency=home,
        conversions=row["conversions"],
        **_part_difference(row, home),
    )


def _part_difference(row: Row, home: str) -> Mapping[str, Any]:
    before, after = ([row[f"{name}_{when}"] for name in _AMOUNTS] for when in ("before", "after"))
    difference = [None if was is None else now - was for was, now in zip(before, after, strict=True)]
    return {
        "influencer_id": row["influencer_id"],
        "before": _part(before, row["currency"], home),
        "after": _part(after, row["currency"], home),
        "difference": _part(difference, row["currency"], home),
    }


def _part(amounts: Sequence[Any], currency: str, home: str) -> Part:
    weight_units, net_minor, net_value, commission = amounts
    weight = Decimal(weight_units).scaleb(-18)
    return Part(
        weight=f"{weight.normalize():f}",
        revenue=from_minor(net_minor, currency),
        value=None if net_value is None else from_minor(net_value, home),
        commission=from_minor(commission, home),
    )
