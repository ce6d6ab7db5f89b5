"""What facts are summed by, and what is summed."""

from dataclasses import dataclass
from enum import StrEnum


class Dimension(StrEnum):
    INFLUENCER = "influencer"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"
    POST = "post"
    LINK = "link"
    CODE = "code"
    CONVERSION_TYPE = "conversion_type"
    CONTENT_TYPE = "content_type"
    COUNTRY = "country"
    DEVICE = "device"
    SUB1 = "sub1"
    SUB2 = "sub2"
    SUB3 = "sub3"
    SUB4 = "sub4"
    SUB5 = "sub5"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


class Sum(StrEnum):
    """Of the rows of a group. Money is in minor units of the programme's currency."""

    CLICKS = "clicks"
    BOT_CLICKS = "bot_clicks"
    UNIQUE_VISITORS = "unique_visitors"
    CONVERSIONS = "conversions"
    ORDERS = "orders"
    GROSS = "gross_minor"
    NET = "net_minor"
    DISCOUNT = "discount_minor"


@dataclass(frozen=True, slots=True)
class Term:
    """A sum, taken `sign` times, and times the programme's gross margin if that is said."""

    sum: Sum
    sign: int = 1
    times_margin: bool = False
