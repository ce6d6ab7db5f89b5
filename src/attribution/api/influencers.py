"""/v1/influencers"""

from attribution.domain.links import Status

from .fields import Email, Name
from .resources import UNSET, Changes, Disableable, New, Resource


class InfluencerChanges(Changes):
    name: Name = UNSET
    email: Email | None = None
    status: Status = UNSET


class NewInfluencer(InfluencerChanges, New):
    name: Name
    status: Status = "active"


class Influencer(Disableable):
    name: str
    email: str | None


INFLUENCERS = Resource("influencers", "an influencer", NewInfluencer, Influencer, InfluencerChanges)
