"""What facts are summed by, and what is summed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .periods import Grain


class Dimension(StrEnum):
    INFLUENCER = "influencer"
    CAMPAIGN = "campaign"
    CHANNEL = "channel"
    POST = "post"
    LINK = "link"
    CODE = "code"
    CONVERSION_TYPE = "conversion_type"
    NEW_OR_RETURNING = "new_or_returning"
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


IDS: Final = (Dimension.INFLUENCER, Dimension.CAMPAIGN, Dimension.POST, Dimension.LINK)
GRAINS: Final[Mapping[Dimension, Grain]] = {
    Dimension.MONTH: Grain.MONTH,
    Dimension.WEEK: Grain.WEEK,
    Dimension.DAY: Grain.DAY,
    Dimension.HOUR: Grain.HOUR,
}


class By(StrEnum):
    """The moment of a credit: its conversion's; or its touch's, where it has one (a code's has none)."""

    CONVERSION = "conversion"
    CLICK = "click"


class Sum(StrEnum):
    """Of the rows of a group. Money is in minor units of the programme's currency."""

    CLICKS = "clicks"
    BOT_CLICKS = "bot_clicks"
    UNIQUE_VISITORS = "unique_visitors"
    CONVERSIONS = "conversions"
    ORDERS = "orders"
    LEADS = "leads"
    NEW_CUSTOMERS = "new_customers"
    GROSS = "gross_minor"
    NET = "net_minor"
    DISCOUNT = "discount_minor"
    COMMISSION = "commission_minor"
    COSTS = "costs_minor"
    IMPRESSIONS = "impressions"
    REACH = "reach"
    VIEWS = "views"
    LIKES = "likes"
    COMMENTS = "comments"
    SHARES = "shares"
    SAVES = "saves"
    LINK_TAPS = "link_taps"
    FOLLOWERS = "followers"


@dataclass(frozen=True, slots=True)
class Term:
    """A sum, taken `sign` times, and times the programme's gross margin if that is said."""

    sum: Sum
    sign: int = 1
    times_margin: bool = False
