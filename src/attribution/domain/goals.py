"""What a campaign is for, and the metrics that say how far it got."""

from collections.abc import Mapping
from enum import StrEnum


class Goal(StrEnum):
    VISIBILITY = "visibility"
    LEADS = "leads"
    SALES = "sales"
    REPUTATION = "reputation"


GOAL_METRICS: Mapping[Goal, tuple[str, ...]] = {
    Goal.VISIBILITY: ("posts", "views", "impressions", "reach"),
    Goal.LEADS: ("leads", "cost_per_lead"),
    Goal.SALES: ("orders", "revenue", "cpa", "roas", "roi"),
    Goal.REPUTATION: ("followers", "engagement_rate", "visits"),
}
"""The metrics of a goal's report; targets are set for these."""
