"""Instants as clients write them: RFC 3339 with an offset, to the microsecond."""

import re
from datetime import UTC, datetime

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.(?P<fraction>\d+))?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_FRACTION_DIGITS = 6


class InstantError(ValueError):
    """Not an instant"""


def parse_instant(text: str) -> datetime:
    """In UTC. Raises `InstantError`."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise InstantError("is not an RFC 3339 time with an offset, like 2026-11-20T10:00:00Z")
    if len(match["fraction"] or "") > _FRACTION_DIGITS:
        raise InstantError("is finer than a microsecond")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InstantError("is no moment of the calendar") from None
