"""A click as it travels: from the redirect through journal and stream to the consumer.

Record, version 1 (big-endian; ids 0 for none):

    version (1) | click id (16) | program, link, influencer, campaign, post (8 each) | channel (1) | class (1)
    | visitor NUL ip NUL referrer_host NUL sub1 NUL .. NUL sub5, UTF-8, empty for none
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from struct import Struct, error
from typing import NamedTuple

from .click_id import clicked_at_us
from .ids import CampaignId, ClickId, InfluencerId, LinkId, PostId, ProgramId
from .instants import to_us

SUB_COUNT = 5
SUB_MAX_LENGTH = 128
VISITOR_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
RECORD_VERSION = 1
_HEAD = Struct(">B16s41sB")
HEAD_SIZE = _HEAD.size
"""Of a record, in bytes: the texts follow."""
# Places in a record, for who handles many without an object for each.
TIME, CLICK_ID, PROGRAM_ID, LINK_AND_CLASS = slice(1, 9), slice(1, 17), slice(17, 25), slice(17, 59)
_LINK_PART = Struct(">QQQQQB")
_TEXTS = 3 + SUB_COUNT
_LAST_ID = 2**63 - 1
_LAST_US = to_us(datetime.max.replace(tzinfo=UTC))


class Channel(Enum):
    INSTAGRAM = "instagram"
    TIKTOK = "tiktok"
    YOUTUBE = "youtube"
    FACEBOOK = "facebook"
    X = "x"
    BLOG = "blog"
    EMAIL = "email"
    OTHER = "other"


class AgentClass(Enum):
    """Who asked, by user agent. Everything but `BROWSER` and `UNKNOWN` is a bot."""

    BROWSER = "browser"
    UNKNOWN = "unknown"
    SEARCH_ENGINE = "search-engine"
    SOCIAL_PREVIEW = "social-preview"
    AI_CRAWLER = "ai-crawler"
    MONITORING = "monitoring"
    SCANNER = "scanner"
    ADVERTISING = "advertising"
    SEO = "seo"
    FEED_READER = "feed-reader"
    ARCHIVER = "archiver"
    ACADEMIC = "academic"
    HTTP_LIBRARY = "http-library"
    BROWSER_AUTOMATION = "browser-automation"
    OTHER_BOT = "other-bot"

    # Members are dictionary keys of each click, and Enum's own hash is written in Python.
    __hash__ = object.__hash__

    @property
    def is_bot(self) -> bool:
        return self not in (AgentClass.BROWSER, AgentClass.UNKNOWN)


# The bytes of a record: append, never reorder.
_CHANNELS: tuple[Channel | None, ...] = (None, *Channel)
_CLASSES = tuple(AgentClass)
_CHANNEL_BYTE = {channel: index for index, channel in enumerate(_CHANNELS)}
CLASS_BYTE = {agent_class: bytes([index]) for index, agent_class in enumerate(_CLASSES)}


class MalformedClickError(ValueError):
    """The bytes are not a click record"""


@dataclass(frozen=True, slots=True)
class Click:
    click_id: ClickId
    program_id: ProgramId
    link_id: LinkId
    influencer_id: InfluencerId | None
    campaign_id: CampaignId | None
    post_id: PostId | None
    channel: Channel | None
    agent_class: AgentClass
    visitor_id: str | None = None
    ip: str | None = None
    referrer_host: str | None = None
    subs: tuple[str | None, ...] = (None,) * SUB_COUNT

    @property
    def clicked_at_us(self) -> int:
        return clicked_at_us(self.click_id)


class LinkPart(NamedTuple):
    """What a link gives to each of its clicks."""

    program_id: ProgramId
    link_id: LinkId
    influencer_id: InfluencerId | None
    campaign_id: CampaignId | None
    post_id: PostId | None
    channel: Channel | None


def pack_link(
    program_id: int,
    link_id: int,
    influencer_id: int | None,
    campaign_id: int | None,
    post_id: int | None,
    channel: Channel | None,
) -> bytes:
    """The part of a record that is the same for all clicks of a link."""
    return _LINK_PART.pack(
        program_id, link_id, influencer_id or 0, campaign_id or 0, post_id or 0, _CHANNEL_BYTE[channel]
    )


def unpack_link(link_part: bytes) -> LinkPart:
    """Raises `MalformedClickError` for ids that no table has, IndexError for an unknown channel."""
    program, link, influencer, campaign, post, channel = _LINK_PART.unpack(link_part)
    if max(program, link, influencer, campaign, post) > _LAST_ID or not (program and link):
        raise MalformedClickError("an id that no table has")
    return LinkPart(
        ProgramId(program),
        LinkId(link),
        InfluencerId(influencer) if influencer else None,
        CampaignId(campaign) if campaign else None,
        PostId(post) if post else None,
        _CHANNELS[channel],
    )


def pack_record(click_id: bytes, link_part: bytes, class_byte: bytes, texts: Iterable[bytes]) -> bytes:
    """`texts`: visitor, ip, referrer host, sub1 to sub5; without NUL, empty for none."""
    return b"".join((b"\x01", click_id, link_part, class_byte, b"\0".join(texts)))


def pack_click(click: Click) -> bytes:
    link_part = pack_link(
        click.program_id, click.link_id, click.influencer_id, click.campaign_id, click.post_id, click.channel
    )
    texts = [(text or "").encode() for text in (click.visitor_id, click.ip, click.referrer_host, *click.subs)]
    return pack_record(click.click_id, link_part, CLASS_BYTE[click.agent_class], texts)


def visitor_in(record: bytes) -> str | None:
    """Of a record that is one."""
    return record[HEAD_SIZE : record.index(b"\0", HEAD_SIZE)].decode() or None


def record_time_us(record: bytes) -> int:
    """Of a record that `pack_record` made; of other bytes, some number."""
    return int.from_bytes(record[1:9], "big")


def unpack_click(record: bytes) -> Click:
    """Raises `MalformedClickError` with the reason."""
    try:
        version, click_id, link_part, agent_class = _HEAD.unpack_from(record)
        if version != RECORD_VERSION:
            raise MalformedClickError(f"record version {version}")
        texts = record[HEAD_SIZE:].decode().split("\0")
        if len(texts) != _TEXTS:
            raise MalformedClickError(f"{len(texts)} texts instead of {_TEXTS}")
        if clicked_at_us(click_id) > _LAST_US:
            raise MalformedClickError("a time that no calendar has")
        visitor, ip, referrer_host, *subs = (text or None for text in texts)
        link = unpack_link(link_part)
        return Click(ClickId(click_id), *link, _CLASSES[agent_class], visitor, ip, referrer_host, tuple(subs))
    except (error, IndexError, UnicodeDecodeError) as cause:
        raise MalformedClickError(str(cause)) from cause
