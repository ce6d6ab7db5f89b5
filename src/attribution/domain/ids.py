"""Types of the ids. Inside they are integers, 0 standing for none in binary records; outside, decimal strings."""

from typing import NewType

ProgramId = NewType("ProgramId", int)
InfluencerId = NewType("InfluencerId", int)
CampaignId = NewType("CampaignId", int)
PostId = NewType("PostId", int)
LinkId = NewType("LinkId", int)
CodeId = NewType("CodeId", int)
RuleId = NewType("RuleId", int)
CommissionPlanId = NewType("CommissionPlanId", int)
ConversionId = NewType("ConversionId", int)
RecomputationId = NewType("RecomputationId", int)
ClickId = NewType("ClickId", bytes)
"""16 bytes: microseconds since 1970 as an unsigned 64-bit big-endian integer, then 64 random bits.
Their order as bytes is the order of time."""
