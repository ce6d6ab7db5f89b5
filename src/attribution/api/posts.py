"""/v1/posts"""

from attribution.domain.clicks import Channel as ChannelName
from attribution.domain.links import Status

from .fields import Channel, Id, Instant, Name, Reference, Url
from .resources import UNSET, Changes, Disableable, New, Resource


class PostChanges(Changes):
    influencer_id: Reference = UNSET
    campaign_id: Reference | None = None
    channel: Channel = UNSET
    url: Url | None = None
    content_type: Name | None = None
    published_at: Instant | None = None
    status: Status = UNSET


class NewPost(PostChanges, New):
    influencer_id: Reference
    channel: Channel
    status: Status = "active"


class Post(Disableable):
    influencer_id: Id
    campaign_id: Id | None
    channel: ChannelName
    url: str | None
    content_type: str | None
    published_at: Instant | None


POSTS = Resource("posts", "a post", NewPost, Post, PostChanges)
