"""What other trackers, apps and spreadsheets bring: clicks, and files of objects and facts."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum


@dataclass(frozen=True, slots=True)
class ImportedClick:
    """`clicked_at` in UTC. `external_id`: the bringer's own id; a repeat is the same click."""

    slug: str
    clicked_at: datetime
    visitor_id: str | None = None
    user_agent: str | None = None
    referrer: str | None = None
    ip: str | None = None
    external_id: str | None = None


class ClickRejection(Enum):
    """Why an imported click is no click. Also the label of its metric."""

    INVALID = "invalid"
    UNKNOWN_SLUG = "unknown_slug"
    IN_THE_FUTURE = "in_the_future"
    TOO_OLD = "too_old"


class ImportKind(StrEnum):
    """What a file may hold."""

    INFLUENCERS = "influencers"
    CAMPAIGNS = "campaigns"
    POSTS = "posts"
    LINKS = "links"
    CODES = "codes"
    INSIGHTS = "insights"
    COSTS = "costs"
    FX_RATES = "fx-rates"
    COMMISSION_PLANS = "commission-plans"


IMPORT_KINDS = tuple(str(kind) for kind in ImportKind)
