"""A click as it travels: from the redirect through journal and stream to the consumer.

Record, version 2 (big-endian; ids, device and country 0 for none):

    version (1) | click id (16) | program, link, influencer, campaign, post (8 each) | channel (1) | class (1)
    | device (1) | country (2) | visitor NUL ip NUL referrer_host NUL sub1 NUL .. NUL sub5, UTF-8, empty for none

Version 1 had no device and no country.
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
RECORD_VERSION = 2
_HEAD = Struct(">B16s41sBB2s")
HEAD_SIZE = _HEAD.size
"""Of a record, in bytes: the texts follow."""
# Places in a record, for who handles many without an object for each.
TIME, CLICK_ID, PROGRAM_ID = slice(1, 9), slice(1, 17), slice(17, 25)
_LINK_PART = Struct(">QQQQQB")
_TEXTS = 3 + SUB_COUNT
_LAST_ID = 2**63 - 1
_VERSION_1, _HEAD_SIZE_1 = b"\x01", 59
NO_COUNTRY = bytes(2)
"""As a record has it."""
COUNTRY = re.compile(rb"[A-Z]{2}")
"""ISO 3166-1 alpha-2."""
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


class Device(Enum):
    """What a user agent says it runs on. A tablet that says it is a computer, as iPads do, is a desktop."""

    MOBILE = "mobile"
    TABLET = "tablet"
    DESKTOP = "desktop"
    OTHER = "other"

    # As `AgentClass`.
    __hash__ = object.__hash__


# The bytes of a record: append, never reorder.
_CHANNELS: tuple[Channel | None, ...] = (None, *Channel)
CLASSES = tuple(AgentClass)
DEVICES: tuple[Device | None, ...] = (None, *Device)
_CHANNEL_BYTE = {channel: index for index, channel in enumerate(_CHANNELS)}


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
    device: Device | None = None
    country: str | None = None
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


def pack_agent(agent_class: AgentClass, device: Device | None) -> bytes:
    """The part of a record that is the same for all clicks of a user agent."""
    return bytes((CLASSES.index(agent_class), DEVICES.index(device)))


def pack_record(
    click_id: bytes, link_part: bytes, agent_part: bytes, country: bytes, texts: Iterable[bytes]
) -> bytes:
    """`country`: a code or `NO_COUNTRY`.

    `texts`: visitor, ip, referrer host, sub1 to sub5; without NUL, empty for none.
    """
    return b"".join((b"\x02", click_id, link_part, agent_part, country, b"\0".join(texts)))


def pack_click(click: Click) -> bytes:
    link_part = pack_link(
        click.program_id, click.link_id, click.influencer_id, click.campaign_id, click.post_id, click.channel
    )
    texts = [(text or "").encode() for text in (click.visitor_id, click.ip, click.referrer_host, *click.subs)]
    country = click.country.encode() if click.country else NO_COUNTRY
    return pack_record(click.click_id, link_part, pack_agent(click.agent_class, click.device), country, texts)


def renewed(record: bytes) -> bytes:
    """A record of version 1 as one of today's; other bytes as they are.

    At an upgrade the last release's clicks may lie in a journal, the stream or the dead letters.
    """
    if not record.startswith(_VERSION_1):
        return record
    return b"".join((b"\x02", record[1:_HEAD_SIZE_1], bytes(HEAD_SIZE - _HEAD_SIZE_1), record[_HEAD_SIZE_1:]))


def country_in(country: bytes) -> str | None:
    """Of a record. Raises `MalformedClickError`."""
    if country == NO_COUNTRY:
        return None
    if COUNTRY.fullmatch(country) is None:
        raise MalformedClickError("a country without a code")
    return country.decode()


def visitor_in(record: bytes) -> str | None:
    """Of a record that is one."""
    return record[HEAD_SIZE : record.index(b"\0", HEAD_SIZE)].decode() or None


def record_time_us(record: bytes) -> int:
    """Of a record that `pack_record` made; of other bytes, some number."""
    return int.from_bytes(record[1:9], "big")


def unpack_click(record: bytes) -> Click:
    """Raises `MalformedClickError` with the reason."""
    try:
        version, click_id, link_part, agent_class, device, country = _HEAD.unpack_from(record)
        if version != RECORD_VERSION:
            raise MalformedClickError(f"record version {version}")
        texts = record[HEAD_SIZE:].decode().split("\0")
        if len(texts) != _TEXTS:
            raise MalformedClickError(f"{len(texts)} texts instead of {_TEXTS}")
        if clicked_at_us(click_id) > _LAST_US:
            raise MalformedClickError("a time that no calendar has")
        visitor, ip, referrer_host, *subs = (text or None for text in texts)
        link = unpack_link(link_part)
        return Click(
            ClickId(click_id),
            *link,
            CLASSES[agent_class],
            DEVICES[device],
            country_in(country),
            visitor,
            ip,
            referrer_host,
            tuple(subs),
        )
    except (error, IndexError, UnicodeDecodeError) as cause:
        raise MalformedClickError(str(cause)) from cause
