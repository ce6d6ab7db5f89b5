"""What a programme spends beside commission, by the day."""

from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from .money import split

DAYS_MAX = 3660
"""Ten years: a longer period is a slip of the pen."""


class CostKind(StrEnum):
    """`fee`: paid to an influencer; `product`: given to one; `ad`: paid to a platform; `other`."""

    FEE = "fee"
    PRODUCT = "product"
    AD = "ad"
    OTHER = "other"


def spread(amount_minor: int, first_day: date, end_day: date) -> dict[date, int]:
    """The same for each day of `first_day` to `end_day` (exclusive), and exactly `amount_minor` together.

    What does not divide evenly goes to the first days, a minor unit each (`money.split`).
    """
    days = (end_day - first_day).days
    parts = split(amount_minor, [Fraction(1, days)] * days)
    return {first_day + timedelta(number): part for number, part in enumerate(parts)}
