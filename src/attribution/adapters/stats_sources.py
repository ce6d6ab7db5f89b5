"""The sources of facts: what each tells of them, and what it sums."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from attribution.domain.insights import METRICS
from attribution.domain.measures import GRAINS, IDS, Dimension, Sum


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """`statement`: its fragment in `sql/stats.sql`. A dimension that is in neither mapping is null in all its facts.

    `columns`: of the tables in the fragment, for the dimensions asked; `always`: those that its sums need too.
    """

    statement: str
    sums: tuple[Sum, ...]
    columns: Mapping[Dimension, str]
    always: tuple[str, ...] = ()
    times: Collection[Dimension] = tuple(GRAINS)


def _of(prefix: str, *dimensions: Dimension) -> Mapping[Dimension, str]:
    return {d: f"{prefix}{d}_id" if d in IDS else f"{prefix}{d}" for d in dimensions}


_PLACES = (Dimension.INFLUENCER, Dimension.CAMPAIGN, Dimension.POST, Dimension.CHANNEL)
_AUDIENCE: Final = (Dimension.COUNTRY, Dimension.DEVICE)
SUBS: Final = (Dimension.SUB1, Dimension.SUB2, Dimension.SUB3, Dimension.SUB4, Dimension.SUB5)

CLICKS: Final = Source(
    "clicks",
    (Sum.CLICKS, Sum.BOT_CLICKS),
    {**_of("", *_PLACES, Dimension.LINK, *_AUDIENCE, *SUBS), Dimension.CONTENT_TYPE: "post_id"},
)
CREDITS: Final = Source(
    "credits",
    (
        Sum.CONVERSIONS, Sum.ORDERS, Sum.LEADS, Sum.NEW_CUSTOMERS, Sum.GROSS, Sum.NET, Sum.DISCOUNT, Sum.COMMISSION,
    ),
    {
        **_of("e.", *_PLACES, Dimension.LINK, Dimension.CODE, *_AUDIENCE),
        **_of("k.", *SUBS),
        Dimension.CONTENT_TYPE: "e.post_id",
        Dimension.CONVERSION_TYPE: "e.type",
        Dimension.NEW_OR_RETURNING: "e.new_customer",
    },
    always=("e.type", "e.new_customer"),
)  # fmt: skip
INSIGHTS: Final = Source(
    "insights",
    tuple(Sum(metric) for metric in METRICS),
    {**_of("", *_PLACES), Dimension.CONTENT_TYPE: "post_id"},
)
MONEY: Final = (Sum.GROSS, Sum.NET, Sum.DISCOUNT, Sum.COMMISSION)
"""Of credits: what is exchanged into the programme's currency."""
WEIGHTS: Final = (Sum.CONVERSIONS, Sum.ORDERS, Sum.LEADS, Sum.NEW_CUSTOMERS)
COSTS: Final = Source(
    "costs",
    (Sum.COSTS,),
    {**_of("d.", *_PLACES), Dimension.CONTENT_TYPE: "d.post_id"},
    times=(Dimension.MONTH, Dimension.WEEK, Dimension.DAY),
)
SOURCES: Final = (CLICKS, CREDITS, INSIGHTS, COSTS)
ADDED: Final = tuple(name for source in SOURCES for name in source.sums)
"""What is summed over groups; visitors are counted apart."""
