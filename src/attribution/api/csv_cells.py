"""Cells of a CSV as the values that a model's fields take, in the forms that people and platforms write."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from attribution.errors import FieldError, InvalidInputError

_SPACES = re.compile(r"(?<=\d)[\s'\u2019](?=\d)")
_COUNT = re.compile(r"-?\d+|-?\d{1,3}(?:,\d{3})+|-?\d{1,3}(?:\.\d{3})+", re.ASCII)
_GROUPED = re.compile(
    r"\d{1,3}(?:(?P<group>[.,])\d{3})(?:(?P=group)\d{3})*(?P<point>(?!(?P=group))[.,])\d+", re.ASCII
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3}){2,}|\d{1,3}(?:\.\d{3}){2,}", re.ASCII)
_DOTTED_DAY = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})", re.ASCII)
_LOCAL_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|\d\d?\.\d\d?\.\d{4})(?:[ T](?P<time>\d\d:\d\d(?::\d\d)?))?", re.ASCII
)
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MICROSECOND = timedelta(microseconds=1)


def count(text: str) -> int:
    """A whole number; `12,400`, `12.400`, `12 400` and `12'400` are all twelve thousand four hundred."""
    digits = _SPACES.sub("", text)
    if _COUNT.fullmatch(digits) is None or len(digits) > 20:  # noqa: PLR2004
        raise ValueError("is not a whole number")
    return int(digits.replace(",", "").replace(".", ""))


def number(text: str) -> str:
    """A decimal string. `1,234` is refused: it may be a thousand or one and a bit."""
    digits = _SPACES.sub("", text.removesuffix("%").rstrip())
    if _THOUSANDS.fullmatch(digits):
        return digits.replace(",", "").replace(".", "")
    if match := _GROUPED.fullmatch(digits):
        return digits.replace(match["group"], "").replace(",", ".")
    if re.fullmatch(r"\d{1,3},\d{3}", digits):
        raise ValueError("may be thousands or decimals: write it without a comma")
    return digits.replace(",", ".") if re.fullmatch(r"-?\d+,\d+", digits) else digits


def boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.casefold()]
    except KeyError:
        raise ValueError("must be true or false") from None


def day(text: str) -> str:
    """`2026-11-20`, or `20.11.2026`. With slashes nobody knows which is the month."""
    if match := _DOTTED_DAY.fullmatch(text):
        return f"{match[3]}-{match[2]:0>2}-{match[1]:0>2}"
    if "/" in text:
        raise ValueError("may have the day or the month first: write it as 2026-11-20")
    return text


def moment(text: str, timezone: str, *, end_of_day: bool = False) -> str:
    """RFC 3339; or a day, perhaps with a time, in the programme's zone. `end_of_day`: what a day alone means."""
    match = _LOCAL_MOMENT.fullmatch(text)
    if match is None:
        return day(text)
    try:
        local = datetime.combine(date.fromisoformat(day(match["day"])), time.fromisoformat(match["time"] or "00:00"))
    except ValueError:
        raise ValueError("is no moment of the calendar") from None
    zone = ZoneInfo(timezone)
    if match["time"] is None and end_of_day:
        return ((local + timedelta(days=1)).replace(tzinfo=zone) - _MICROSECOND).isoformat()
    return local.replace(tzinfo=zone).isoformat()


Cell = Callable[[str], Any]


def cells_of(model: type[BaseModel], timezone: str) -> Mapping[str, Cell]:
    """The columns of a model: those of its fields that fit into a cell."""
    kinds: Mapping[Any, Cell] = {
        int: count,
        bool: boolean,
        Decimal: number,
        date: day,
        datetime: lambda text: moment(text, timezone),
    }
    fields = {field.alias or name: _type(field.annotation) for name, field in model.model_fields.items()}
    return {
        name: kinds.get(kind, str) for name, kind in fields.items() if kind not in (dict, list) and name != "program"
    }


def _type(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return _type(next(kind for kind in get_args(annotation) if kind is not NoneType))
    return origin or annotation


def values(cells: Mapping[str, str], kinds: Mapping[str, Cell]) -> dict[str, Any]:
    """Raises `InvalidInputError` that names each column that is wrong."""
    read, faults = {}, []
    for name, text in cells.items():
        try:
            read[name] = kinds[name](text)
        except ValueError as error:
            faults.append(FieldError(("body", name), str(error)))
    if faults:
        raise InvalidInputError(*faults)
    return read
