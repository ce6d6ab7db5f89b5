"""Windows and the terms of recomputations, as rows hold them."""

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction

from attribution.domain.durations import parse_duration
from attribution.domain.ids import RuleId
from attribution.domain.models import Ends, Model
from attribution.domain.rules import Terms

from .postgres import Row

_MICROSECOND = timedelta(microseconds=1)


def windows_us(windows: Mapping[str, str]) -> dict[str, int]:
    return {name: parse_duration(duration) // _MICROSECOND for name, duration in windows.items()}


def terms_of(row: Row) -> Terms:
    """Columns: rule_id, model, parameters, windows, min_click_to_conversion."""
    half_life, least = row["parameters"].get("half_life"), row["min_click_to_conversion"]
    return Terms(
        rule_id=RuleId(row["rule_id"]) if row["rule_id"] else None,
        model=Model(row["model"]) if row["model"] else None,
        half_life_us=parse_duration(half_life) // _MICROSECOND if half_life else None,
        position_weights=_ends(row["parameters"].get("position_weights")),
        windows_us=windows_us(row["windows"]),
        min_click_to_conversion_us=None if least is None else least // _MICROSECOND,
    )


def _ends(shares: list[str] | None) -> Ends | None:
    if shares is None:
        return None
    first, middle, last = map(Fraction, shares)
    return first, middle, last
