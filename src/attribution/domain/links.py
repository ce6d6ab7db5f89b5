"""A link as the redirect sees it."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal
from urllib.parse import urlsplit

from .clicks import Channel
from .ids import CampaignId, InfluencerId, LinkId, PostId, ProgramId

SLUG_MAX_LENGTH = 64
SLUG = re.compile(rf"[A-Za-z0-9_-]{{1,{SLUG_MAX_LENGTH}}}", re.ASCII)
RESERVED_SLUGS = frozenset(
    {"healthz", "readyz", "metrics", "docs", "openapi.json", "v1", "robots.txt", "favicon.ico"}
)
DESTINATION_MAX_LENGTH = 2048
DESTINATION_MAX_BYTES = 7168  # leaves room in a Location of 8 kB for the reserved parameters

Status = Literal["active", "disabled"]


class ForwardQuery(Enum):
    NONE = "none"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class Link:
    """With the settings of its programme that a redirect needs (`click_id_param`, `visitor_id_param`)."""

    link_id: LinkId
    program_id: ProgramId
    slug: str
    destination: str
    forward_query: ForwardQuery
    click_id_param: str
    visitor_id_param: str | None = None
    influencer_id: InfluencerId | None = None
    campaign_id: CampaignId | None = None
    post_id: PostId | None = None
    channel: Channel | None = None
    status: Status = "active"
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    fallback_url: str | None = None
    version: int = 1


_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def destination_error(url: str) -> str | None:
    """Why a URL can't be a destination or a fallback, or None. What passes is stored and sent as it is."""
    return _text_error(url) or _url_error(url)


def _text_error(url: str) -> str | None:
    if len(url) > DESTINATION_MAX_LENGTH:
        return f"is longer than {DESTINATION_MAX_LENGTH} characters"
    if _UNSTORABLE.search(url):
        return "has a control character or half of a surrogate pair"
    if len(url.encode()) > DESTINATION_MAX_BYTES:
        return f"is longer than {DESTINATION_MAX_BYTES} bytes in UTF-8"
    return "has space around it" if url != url.strip() else None


def _url_error(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "must be an absolute http or https URL"
    if not host or " " in parts.netloc or "\\" in parts.netloc:
        return "has no valid host"
    return None
