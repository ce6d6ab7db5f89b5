"""/v1/stats: what a brand asks of its programme."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from inspect import signature
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from attribution.domain.clicks import Channel, Device, country_in
from attribution.domain.measures import IDS, By, Dimension
from attribution.domain.models import Model
from attribution.domain.periods import Grain, bucket_start
from attribution.domain.rfc3339 import parse_instant
from attribution.errors import FieldError, InvalidInputError
from attribution.stats.metrics import METRICS
from attribution.stats.query import RECORDED, StatsQuery

from .auth import ProgramOf
from .fields import object_id
from .problems import documented
from .route import V1Route
from .services import QuestionServices
from .stats_csv import as_csv, csv_headers, following_page
from .value_list import value_list

_CSV = "text/csv"
_LIMIT_MAX = 10_000
_VALUES_MAX = 1_000
DEFAULT_PERIOD = timedelta(days=30)
_NONE = "none"
_Text = Annotated[str | None, Query(max_length=20_000)]


_Value = str | int | float | None
_Row = dict[str, _Value | dict[str, _Value]]


class PreviousPeriod(BaseModel):
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")


class StatsAnswer(BaseModel):
    """Rows hold the dimensions asked for, then the metrics. Counts are numbers; money and ratios decimal strings.

    With `compare=previous` each row, and `totals`, have `previous` and `change` too, by metric.
    """

    model_config = ConfigDict(extra="allow")

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    previous_period: PreviousPeriod | None
    timezone: str
    currency: str
    model: str
    by: By
    as_of: datetime
    rows: list[_Row]
    totals: _Row
    definitions: dict[str, str]
    metrics: dict[str, dict[str, str | bool | None]]
    estimated: dict[str, dict[str, str]]
    not_additive: list[str]
    next_cursor: str | None


def _invalid(parameter: str, message: str) -> InvalidInputError:
    return InvalidInputError(FieldError(("query", parameter), message))


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _chosen(parameter: str, text: str | None, known: Sequence[str]) -> list[str]:
    names = _listed(text)
    for name in names:
        if name not in known:
            raise _invalid(parameter, f"{name[:100]!r} is none of {', '.join(known)}")
    if len(set(names)) < len(names):
        raise _invalid(parameter, "names one twice")
    return names


def moment(parameter: str, text: str, zone: ZoneInfo, where: str = "query") -> datetime:
    """An instant, or the beginning of a date in the programme's zone. Raises `InvalidInputError`."""
    try:
        if len(text) == len("2026-11-20"):
            return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
        return parse_instant(text)
    except (ValueError, OverflowError):
        message = "is neither a date like 2026-11-20 nor a time with an offset"
        raise InvalidInputError(FieldError((where, parameter), message)) from None


def _sort(text: str | None, sortable: Sequence[str]) -> tuple[str | None, bool]:
    if not text:
        return None, False
    name = text.removeprefix("-")
    if name not in sortable:
        raise _invalid("sort", f"is none of {', '.join(sortable)}, which may have a minus before it")
    return name, text.startswith("-")


def _model(text: str) -> Model | None:
    if text not in (RECORDED, *Model):
        raise _invalid("model", f"is none of {', '.join((RECORDED, *Model))}")
    return None if text == RECORDED else Model(text)


def offset_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        offset = int(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        offset = -1
    if offset < 0:
        raise _invalid("cursor", "is not a cursor of this list")
    return offset


def cursor_of(offset: int | None) -> str | None:
    return None if offset is None else urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")


def _channel(text: str, _: ZoneInfo) -> str:
    return Channel(text).value


def _device(text: str, _: ZoneInfo) -> str:
    return Device(text).value


def _country(text: str, _: ZoneInfo) -> str:
    country = country_in(text.encode())
    if country is None:
        raise ValueError(text)
    return country


def _id(text: str, _: ZoneInfo) -> int:
    value = object_id(text)
    if value is None:
        raise ValueError(text)
    return value


def _text(text: str, _: ZoneInfo) -> str:
    if not text or not text.isprintable():
        raise ValueError(text)
    return text


def _identifier(text: str, zone: ZoneInfo) -> str:
    if not text.isidentifier():
        raise ValueError(text)
    return _text(text, zone)


def _customers(text: str, _: ZoneInfo) -> str:
    if text not in ("new", "returning"):
        raise ValueError(text)
    return text


def _day(text: str, zone: ZoneInfo) -> datetime:
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(text)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _month(text: str, zone: ZoneInfo) -> datetime:
    return _day(f"{text}-01", zone)


def _week(text: str, zone: ZoneInfo) -> datetime:
    if date.fromisoformat(text).weekday():
        raise ValueError(text)
    return _day(text, zone)


def _hour(text: str, zone: ZoneInfo) -> datetime:
    at = parse_instant(text)
    if bucket_start(at, Grain.HOUR, zone) != at:
        raise ValueError(text)
    return at


_SUBS = (Dimension.SUB1, Dimension.SUB2, Dimension.SUB3, Dimension.SUB4, Dimension.SUB5)
_VALUES: Mapping[Dimension, tuple[Callable[[str, ZoneInfo], Any], str]] = {
    **dict.fromkeys(IDS, (_id, "an id")),
    **dict.fromkeys(_SUBS, (_text, "a sub id")),
    Dimension.CHANNEL: (_channel, "a channel"),
    Dimension.CODE: (_text, "a code"),
    Dimension.CONVERSION_TYPE: (_identifier, "a conversion type"),
    Dimension.NEW_OR_RETURNING: (_customers, "`new` or `returning`"),
    Dimension.CONTENT_TYPE: (_text, "a type of content"),
    Dimension.COUNTRY: (_country, "a country's code like DE"),
    Dimension.DEVICE: (_device, "`mobile`, `tablet`, `desktop` or `other`"),
    Dimension.MONTH: (_month, "a month like 2026-11"),
    Dimension.WEEK: (_week, "a Monday like 2026-11-16"),
    Dimension.DAY: (_day, "a day like 2026-11-20"),
    Dimension.HOUR: (_hour, "an hour's beginning with an offset, like 2026-11-20T10:00:00+01:00"),
}


def _filter_values(dimension: Dimension, text: str, zone: ZoneInfo) -> list[Any]:
    parsed, what = _VALUES[dimension]
    values = value_list(text)
    if len(values) > _VALUES_MAX:
        raise _invalid(dimension, f"has more than {_VALUES_MAX} values")
    return [None if value == _NONE else _parsed(dimension, value, zone, parsed, what) for value in values]


def _parsed(
    dimension: Dimension, value: str, zone: ZoneInfo, parsed: Callable[[str, ZoneInfo], Any], what: str
) -> Any:
    try:
        return parsed(value, zone)
    except (ValueError, OverflowError):
        raise _invalid(dimension, f"{value[:100]!r} is not {what}") from None


class _Filters(BaseModel):
    """As `value_list` reads them; `none` stands for rows without one."""

    influencer: _Text = None
    campaign: _Text = None
    channel: _Text = None
    post: _Text = None
    link: _Text = None
    code: _Text = None
    conversion_type: _Text = None
    new_or_returning: _Text = None
    content_type: _Text = None
    country: _Text = None
    device: _Text = None
    sub1: _Text = None
    sub2: _Text = None
    sub3: _Text = None
    sub4: _Text = None
    sub5: _Text = None
    month: _Text = None
    week: _Text = None
    day: _Text = None
    hour: _Text = None

    def values_in(self, zone: ZoneInfo) -> Mapping[Dimension, list[Any]]:
        return {
            Dimension(name): _filter_values(Dimension(name), text, zone)
            for name, text in self.model_dump(exclude_none=True).items()
        }


async def _filters(**said: Any) -> _Filters:
    return _Filters(**said)


# FastAPI reads here what it may ask for. The class itself it would call in a thread, which takes longer.
_filters.__signature__ = signature(_Filters)  # type: ignore[attr-defined]


async def _query(
    program: ProgramOf,
    filters: Annotated[_Filters, Depends(_filters)],
    start: Annotated[str | None, Query(alias="from", max_length=64)] = None,
    end: Annotated[str | None, Query(alias="to", max_length=64)] = None,
    group_by: Annotated[str | None, Query(max_length=500)] = None,
    metrics: Annotated[str | None, Query(max_length=500)] = None,
    by: Annotated[By, Query()] = By.CONVERSION,
    model: Annotated[str, Query(max_length=64)] = RECORDED,
    fill: Annotated[bool | None, Query()] = None,
    compare: Annotated[Literal["previous"] | None, Query()] = None,
    sort: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX)] = 1_000,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> StatsQuery:
    zone = ZoneInfo(program.timezone)
    until = moment("to", end, zone) if end else datetime.now(UTC)
    since = moment("from", start, zone) if start else until - DEFAULT_PERIOD
    if since > until:
        raise _invalid("from", "is after `to`")
    dimensions = _chosen("group_by", group_by, list(Dimension))
    wanted = _chosen("metrics", metrics, list(METRICS)) or list(METRICS)
    name, descending = _sort(sort, [*dimensions, *wanted])
    return StatsQuery(
        start=since,
        end=until,
        group_by=[Dimension(name) for name in dimensions],
        metrics=wanted,
        filters=filters.values_in(zone),
        by=by,
        model=_model(model),
        fill=fill,
        compare=compare is not None,
        sort=name,
        descending=descending,
        limit=limit,
        offset=offset_of(cursor),
    )


StatsQueryOf = Annotated[StatsQuery, Depends(_query)]


def as_json(answer: Mapping[str, Any]) -> bytes:
    """What `Stats.query` answers, as `/v1/stats` does: `StatsAnswer`, without a second look at each of its values."""
    shown = {**answer, "next_cursor": cursor_of(answer["next_offset"])}
    del shown["next_offset"]
    return orjson.dumps(shown, option=orjson.OPT_UTC_Z)


def stats_router(services: QuestionServices) -> APIRouter:
    router = APIRouter(prefix="/v1/stats", tags=["stats"], route_class=V1Route)

    @router.get(
        "",
        response_model=StatsAnswer,
        summary="Clicks, conversions, revenue, cost and reach, by any of the dimensions",
        responses=documented(401, 404, 409, 422, 503) | {200: {"content": {_CSV: {"schema": {"type": "string"}}}}},
    )
    async def stats(
        request: Request,
        program: ProgramOf,
        query: StatsQueryOf,
        form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
    ) -> Response:
        answer = await services.stats.query(program, query)
        if form == "csv" or (form is None and _CSV in request.headers.get("accept", "")):
            return _csv_answer(request, query, answer["rows"], cursor_of(answer["next_offset"]))
        return Response(as_json(answer), media_type="application/json")

    return router


def _csv_answer(
    request: Request, query: StatsQuery, rows: Sequence[Mapping[str, Any]], cursor: str | None
) -> Response:
    text = as_csv(query.group_by, query.metrics, rows, compare=query.compare)
    headers = csv_headers("stats", following_page(request, cursor))
    return Response(text, media_type=f"{_CSV}; charset=utf-8", headers=headers)
