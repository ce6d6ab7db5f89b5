"""Who asks, and on what, by user agent.

Bots are those of the list of `crawler-user-agents`, narrowed where it takes followers for bots.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from attribution.domain.clicks import AgentClass, Device, pack_agent
from attribution.errors import SettingsError

from .bounded import BoundedCache
from .devices import device_of

_FEWEST_PATTERNS = 1000
_LONGEST_CACHED = 1024
_LONGEST_MATCHED = 2048
_CACHE_CAPACITY = 8192

# Patterns of the package that hit people, and what stands in their place (None: nothing).
_NARROWED: dict[str, str | None] = {
    r"AP3A\.240617\.008": None,  # a build of Android 15 on OPPO, OnePlus and realme phones
    "MetaIAB Facebook": None,  # IAB is the in-app browser
    "WhatsApp": "^WhatsApp",  # previews are fetched as `WhatsApp/2.x`, the app's browser says Mozilla first
    "Viber": "^Viber",
    r"Tumblr\/": r"^Tumblr\/",
    "Sogou": r"Sogou[\w ]*[Ss]pider",  # not the browser of that name
    r"Code\/1\.": r"(?<![A-Za-z])Code\/1\.",  # not QR code readers
    "Fever": r"^Fever\/",  # not the phone
}

# What the package does not know. Link previews first: they come to every link that is posted.
_ADDED: tuple[tuple[str, AgentClass], ...] = (
    (r"Bluesky Cardyb", AgentClass.SOCIAL_PREVIEW),
    (r"[Pp]interestbot", AgentClass.SOCIAL_PREVIEW),
    (r"[Ll]inkedin[Bb]ot", AgentClass.SOCIAL_PREVIEW),
    (r"(?:Pleroma|Akkoma|Misskey|Pixelfed|PeerTube|GoToSocial)[ /]", AgentClass.SOCIAL_PREVIEW),
    (
        r"^(?:Dart|Java|GuzzleHttp|PostmanRuntime|Faraday|reqwest|undici|Ruby|http\.rb|node)\b",
        AgentClass.HTTP_LIBRARY,
    ),
    (r"(?:[a-z][Bb]ot|[Cc]rawler|[Ss]pider)/\d", AgentClass.OTHER_BOT),
    (r"\+https?://", AgentClass.OTHER_BOT),
)

_LITERAL = re.compile(r"(?:[^\\.^$*+?{}\[\]|()]|\\\W)+")


class Agent(NamedTuple):
    """What a user agent says of itself; `record_part`: the same as a click's record has it."""

    agent_class: AgentClass
    device: Device | None
    record_part: bytes


def _agent(agent_class: AgentClass, device: Device | None) -> Agent:
    return Agent(agent_class, device, pack_agent(agent_class, device))


NO_AGENT: Final = _agent(AgentClass.UNKNOWN, None)


class AgentClassifier:
    def __init__(self, crawlers: Iterable[Mapping[str, Any]] = CRAWLER_USER_AGENTS_DATA) -> None:
        """Raises `SettingsError` when the list is not there: bots counted as people cost money."""
        patterns = list(_patterns(crawlers))
        if len(patterns) < _FEWEST_PATTERNS:
            raise SettingsError(
                f"the list of crawlers has {len(patterns)} patterns, at least {_FEWEST_PATTERNS} are expected"
            )
        self._literals = [(_unescaped(text), kind) for text, kind in patterns if _LITERAL.fullmatch(text)]
        self._regexes = [
            (re.compile(text), kind) for text, kind in (*patterns, *_ADDED) if not _LITERAL.fullmatch(text)
        ]
        self._literals += [(_unescaped(text), kind) for text, kind in _ADDED if _LITERAL.fullmatch(text)]
        self._cache: BoundedCache[bytes, Agent] = BoundedCache(_CACHE_CAPACITY)

    def classify(self, user_agent: bytes | None) -> Agent:
        if not user_agent:
            return NO_AGENT
        return self._cache.get(user_agent) or self._match(user_agent)

    def _match(self, user_agent: bytes) -> Agent:
        agent = user_agent[:_LONGEST_MATCHED].decode("latin-1").strip()
        found = _agent(self._crawler(agent) or AgentClass.BROWSER, device_of(agent)) if agent else NO_AGENT
        if len(user_agent) <= _LONGEST_CACHED:
            self._cache.put(user_agent, found)
        return found

    def _crawler(self, agent: str) -> AgentClass | None:
        for literal, kind in self._literals:
            if literal in agent:
                return kind
        return next((kind for regex, kind in self._regexes if regex.search(agent)), None)


def _patterns(crawlers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, AgentClass]]:
    for crawler in crawlers:
        pattern = _NARROWED.get(crawler["pattern"], crawler["pattern"])
        if pattern is not None:
            yield pattern, _class_of(crawler.get("tags") or [])


def _class_of(tags: list[str]) -> AgentClass:
    try:
        return AgentClass(tags[0])
    except (IndexError, ValueError):
        return AgentClass.OTHER_BOT


def _unescaped(literal: str) -> str:
    return re.sub(r"\\(\W)", r"\1", literal)
