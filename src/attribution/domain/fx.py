"""Exchange rates: a conversion keeps the rate of its day, and a missing rate is an error, never 1."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from attribution.errors import MissingRateError

from .instants import from_us
from .money import exponent, half_up


@dataclass(frozen=True, slots=True)
class FxRate:
    """One `base` is `rate` `quote` on `day` of the programme's zone. Append-only: `created_at_us` tells versions."""

    day: date
    base: str
    quote: str
    rate: Fraction
    created_at_us: int = 0


class RateBook:
    """The rates of a programme, in the order they were created."""

    def __init__(self, rates: Iterable[FxRate]) -> None:
        self._versions: dict[tuple[date, frozenset[str]], list[FxRate]] = {}
        for rate in rates:
            self._versions.setdefault((rate.day, frozenset((rate.base, rate.quote))), []).append(rate)

    def knows(self, day: date, base: str, quote: str) -> bool:
        return base == quote or (day, frozenset((base, quote))) in self._versions

    def rate(self, day: date, base: str, quote: str, bound_at_us: int | None = None) -> Fraction:
        """What one `base` is in `quote`; a rate given the other way round counts as its inverse.

        Of several versions the last one made by `bound_at_us`, else the first made after it: a conversion that
        waited for its rate keeps the one it got. Unbound (None): the last. Raises `MissingRateError`.
        """
        return self.rates(day, base, quote, bound_at_us)[0]

    def rates(self, day: date, base: str, quote: str, bound_at_us: int | None = None) -> list[Fraction]:
        """As `rate`, and after it those made later, for what cannot be exchanged at it."""
        if base == quote:
            return [Fraction(1)]
        versions = self._versions.get((day, frozenset((base, quote))))
        if not versions:
            raise MissingRateError(day, base, quote)
        known = [v for v in versions if bound_at_us is None or v.created_at_us <= bound_at_us]
        later = [v for v in versions if bound_at_us is not None and v.created_at_us > bound_at_us]
        last_known = [max(reversed(known), key=_created)] if known else []
        return [v.rate if v.base == base else 1 / v.rate for v in (*last_known, *sorted(later, key=_created))]


def _created(rate: FxRate) -> int:
    return rate.created_at_us


def day_of(at_us: int, timezone: str) -> date:
    return from_us(at_us).astimezone(ZoneInfo(timezone)).date()


def exchange(minor: int, base: str, quote: str, rate: Fraction) -> int:
    """Minor units of `base` in those of `quote`, half up to the minor unit.

    Exchange a conversion's whole, then split it: parts exchanged one by one would not add up.
    """
    return half_up(minor * minor_rate(base, quote, rate))


def minor_rate(base: str, quote: str, rate: Fraction) -> Fraction:
    """Minor units of `quote` for one of `base`."""
    return rate * Fraction(10) ** (exponent(quote) - exponent(base))
