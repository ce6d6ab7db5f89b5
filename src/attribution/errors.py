"""One error tree. Adapters translate their drivers' errors into it; the API translates it into statuses."""

import asyncio
from collections.abc import Iterable
from datetime import date
from typing import Final, NamedTuple, Self

_RATES_NAMED: Final = 10


class AttributionError(Exception):
    """An error of the attribution service"""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class SettingsError(AttributionError):
    """A setting is missing, unknown or wrong"""


class FieldError(NamedTuple):
    """Where in the input something is wrong (`("body", "items", 0, "amount")`), and what."""

    loc: tuple[str | int, ...]
    msg: str


class InvalidInputError(AttributionError):
    """The input is not valid"""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, e.loc))}: {e.msg}" for e in errors))
        self.errors = errors


class NotFoundError(AttributionError):
    """There is no such object in this programme"""


class ConflictError(AttributionError):
    """The name is taken"""


class MissingRateError(AttributionError):
    """An exchange rate is missing"""

    def __init__(self, day: date, base: str, quote: str, *others: tuple[date, str]) -> None:
        """`others`: days and bases of further rates to the same `quote` that are missing."""
        pairs = [(day, base), *others]
        named = ", ".join(f"from {base} to {quote} for {day}" for day, base in pairs[:_RATES_NAMED])
        more = f" and {len(pairs) - _RATES_NAMED} more" if len(pairs) > _RATES_NAMED else ""
        super().__init__(f"there is no exchange rate {named}{more}: POST /v1/fx-rates")
        self.day, self.base, self.quote = day, base, quote

    @classmethod
    def of(cls, missing: Iterable[tuple[date, str]], quote: str) -> Self:
        """Days and bases, of which there is at least one."""
        (day, base), *others = sorted(missing)
        return cls(day, base, quote, *others)


class UnavailableError(AttributionError):
    """A part that the request needs is away; try again"""


class DatabaseUnavailableError(UnavailableError):
    """The database is away; try again"""


class StreamUnavailableError(UnavailableError):
    """The stream server is away; try again"""


class RejectedRowsError(AttributionError):
    """The database refused the content of a row"""


def raise_if_cancelled() -> None:
    """Where a driver took a cancellation for its own: who tries again after an outage would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
