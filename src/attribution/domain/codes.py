"""Discount codes: whose they are, and when they take the credit."""

from dataclasses import dataclass
from enum import StrEnum

from .ids import CampaignId, CodeId, InfluencerId


class CodePolicy(StrEnum):
    """`always` takes all credit, `if_involved` only if its influencer has a touch in the path, `if_winner` never."""

    ALWAYS = "always"
    IF_INVOLVED = "if_involved"
    IF_WINNER = "if_winner"


@dataclass(frozen=True, slots=True)
class Code:
    """Active from `starts_at_us` (inclusive) to `ends_at_us` (exclusive), None being open; never when disabled."""

    code_id: CodeId
    text: str
    influencer_id: InfluencerId
    campaign_id: CampaignId | None
    policy: CodePolicy
    starts_at_us: int | None = None
    ends_at_us: int | None = None
    enabled: bool = True

    def active_at(self, at_us: int) -> bool:
        started = self.starts_at_us is None or self.starts_at_us <= at_us
        return self.enabled and started and (self.ends_at_us is None or at_us < self.ends_at_us)


def code_key(text: str) -> str:
    """What codes are matched by: case and surrounding space do not matter."""
    return text.strip().casefold()
