"""The fields of requests and answers: strict, exact, and described in OpenAPI as they are checked."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from attribution.domain import clicks
from attribution.domain.durations import parse_duration
from attribution.domain.links import DESTINATION_MAX_LENGTH, RESERVED_SLUGS, SLUG, destination_error
from attribution.domain.models import Model, ReportModel
from attribution.domain.money import MoneyError, exponent, parse_decimal, to_minor
from attribution.domain.rfc3339 import parse_instant
from attribution.domain.rules import DEFAULT_TYPE
from attribution.errors import FieldError, InvalidInputError

INSTANT_MIN = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT_MAX = datetime(3000, 1, 1, tzinfo=UTC)
_ID_MAX = 2**63 - 1
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_NUMBER = r"^[0-9]{1,31}(\.[0-9]{1,30})?$"
_VISITORS_OWN = frozenset(f"sub{number}" for number in range(1, clicks.SUB_COUNT + 1))
_TYPE = r"^[a-z][a-z0-9_]{0,31}$"


class Strict(BaseModel):
    """What a client sends: no field it does not know, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        value = parse_instant(value)
    if not isinstance(value, datetime):
        raise ValueError("must be a string, an RFC 3339 time with an offset")  # noqa: TRY004
    if not INSTANT_MIN <= value < INSTANT_MAX:
        raise ValueError("is not between the years 1970 and 2999")
    return value


def _day(value: object) -> date:
    if isinstance(value, str):
        try:
            value = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError:
            raise ValueError("is no day of the calendar, like 2026-11-20") from None
    if not isinstance(value, date):
        raise ValueError("must be a string, a date like 2026-11-20")  # noqa: TRY004
    if not INSTANT_MIN.date() <= value < INSTANT_MAX.date():
        raise ValueError("is not between the years 1970 and 2999")
    return value


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("must be a decimal number")  # noqa: TRY004
    return parse_decimal(value)


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """`check` raises ValueError."""

    def run(value: str) -> str:
        check(value)
        return value

    return AfterValidator(run)


def _check_not_blank(value: str) -> None:
    if not value.strip():
        raise ValueError("is blank")


def _check_reference(value: str) -> None:
    if object_id(value) is None:
        raise ValueError("is unknown in this programme")


def _check_slug(value: str) -> None:
    if SLUG.fullmatch(value) is None:
        raise ValueError("must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
    if value.casefold() in RESERVED_SLUGS:
        raise ValueError("is a reserved name")


def _check_pays(value: object) -> object:
    if value in tuple(ReportModel):
        raise ValueError(
            f"{value} is a report over all paths of a period, never for pay; use GET /v1/reports/attribution"
        )
    return value


def _check_not_zero(value: str) -> None:
    if not parse_duration(value):
        raise ValueError("must be longer than zero")


def _check_url(value: str) -> None:
    if error := destination_error(value):
        raise ValueError(error)


def _check_free(name: str) -> None:
    if name.casefold() in _VISITORS_OWN:
        raise ValueError("belongs to visitors, who send sub1 to sub5")


def _check_timezone(value: str) -> None:
    if value not in _timezones():
        raise ValueError("is not a time zone of the IANA database, like Europe/Berlin")


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _check_campaign_window_type(value: str) -> None:
    if value == DEFAULT_TYPE:
        raise ValueError("a campaign's windows are by conversion type; `default` belongs to rules")


def object_id(value: str) -> int | None:
    """The number in an id, or None for what is the id of nothing."""
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_ID_MAX))):
        return None
    number = int(value)
    return number if 0 < number <= _ID_MAX and str(number) == value else None


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An RFC 3339 string with an offset, in UTC afterwards."""
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A day in the programme's zone."""
Amount = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(ge=0),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _NUMBER}, {"type": "number", "minimum": 0}], "examples": ["39.80"]}
    ),
]
"""Not negative, from a string or a JSON number, exactly."""
Line = Annotated[str, Field(min_length=1, max_length=255, pattern=PRINTABLE), _checked(_check_not_blank)]
"""One line of text that says something."""
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE), _checked(_check_not_blank)]
Email = Annotated[str, Field(max_length=320, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
Reference = Annotated[str, Field(max_length=64), _checked(_check_reference)]
"""The id of another object of the programme."""
ProgramKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Slug = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{SLUG.pattern}$"}), _checked(_check_slug)]
Url = Annotated[str, Field(max_length=DESTINATION_MAX_LENGTH), _checked(_check_url)]
"""Absolute, http or https."""
ParamName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"), _checked(_check_free)]
VisitorId = Annotated[str, Field(pattern=f"^{clicks.VISITOR_ID.pattern}$")]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"]), _checked(exponent)]
Timezone = Annotated[str, Field(examples=["Europe/Berlin"]), _checked(_check_timezone)]
Duration = Annotated[str, Field(max_length=64, examples=["P30D"]), _checked(parse_duration)]
"""ISO 8601, of exact length."""
HalfLife = Annotated[Duration, _checked(_check_not_zero)]
PayModel = Annotated[Model, Field(strict=False), BeforeValidator(_check_pays)]
"""A model that may decide who is paid."""
Channel = Annotated[clicks.Channel, Field(strict=False)]
ConversionType = Annotated[str, Field(pattern=_TYPE)]
RuleWindows = Annotated[dict[ConversionType, Duration], Field(max_length=100)]
CampaignWindows = Annotated[
    dict[Annotated[ConversionType, _checked(_check_campaign_window_type)], Duration], Field(max_length=100)
]

Id = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]
"""An id in an answer; the database counts."""
MoneyText = Annotated[str, BeforeValidator(lambda value: f"{value:f}" if isinstance(value, Decimal) else value)]
"""Money or a share in an answer: a decimal string."""


def minor_units(amount: Decimal, currency: str, name: str) -> int:
    """Raises `InvalidInputError` that names the field."""
    try:
        return to_minor(amount, currency)
    except MoneyError as error:
        raise InvalidInputError(FieldError(("body", name), str(error))) from error


def dump(model: BaseModel, **options: Any) -> dict[str, Any]:
    """As JSON holds it: what the statements take."""
    return model.model_dump(mode="json", **options)
