from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from attribution.domain.clicks import AgentClass
from attribution.errors import SettingsError
from attribution.redirect.agents import AgentClassifier

IN_APP = Path(__file__).parents[1].joinpath("data/in_app_browsers.txt").read_text().splitlines()
PREVIEWS = [
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebookexternalhit/1.1;line-poker/1.0",
    "Mozilla/5.0 (Macintosh) Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "Mozilla/5.0 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)",
    "Twitterbot/1.0",
    "WhatsApp/2.23.20.0 i",
    "WhatsApp/2.2336.9 W",
    "TelegramBot (like TwitterBot)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
    "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
    "http.rb/5.1.1 (Mastodon/4.2.1; +https://mastodon.social/) Bot",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
]
LIBRARIES = [
    "curl/8.5.0",
    "python-requests/2.31.0",
    "okhttp/4.12.0",
    "Go-http-client/2.0",
    "node",
    "Dart/3.2 (dart:io)",
]


@pytest.fixture(scope="module")
def agents() -> AgentClassifier:
    return AgentClassifier()


def test_the_corpus_is_large_enough() -> None:
    """Forty real in-app browsers at least stand guard against broad patterns."""
    assert len(set(IN_APP)) >= 40


@pytest.mark.parametrize("agent", IN_APP)
def test_in_app_browsers_are_people(agents: AgentClassifier, agent: str) -> None:
    """A follower's in-app browser is never taken for a bot."""
    assert agents.classify(agent.encode()).agent_class is AgentClass.BROWSER


@pytest.mark.parametrize("agent", PREVIEWS)
def test_link_previews_are_bots(agents: AgentClassifier, agent: str) -> None:
    """What fetches a link to show its preview is no tap."""
    assert agents.classify(agent.encode()).agent_class.is_bot


@pytest.mark.parametrize("agent", LIBRARIES)
def test_http_libraries_are_bots(agents: AgentClassifier, agent: str) -> None:
    """Programs are told by their libraries' names."""
    assert agents.classify(agent.encode()).agent_class is AgentClass.HTTP_LIBRARY


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (compatible; Unheard-Of/1.0; +https://unheard.of)", "acmebot/2.1"])
def test_bots_that_say_so_are_bots(agents: AgentClassifier, agent: str) -> None:
    """A bot that nobody listed is still one when it names itself so."""
    assert agents.classify(agent.encode()).agent_class is AgentClass.OTHER_BOT


def test_the_packages_own_agents_are_bots(agents: AgentClassifier) -> None:
    """Each agent that the package lists is a bot, but for the in-app browsers among them."""
    listed = {agent for crawler in CRAWLER_USER_AGENTS_DATA for agent in crawler["instances"]}
    missed = {agent for agent in listed if not agents.classify(agent.encode()).agent_class.is_bot}
    assert missed - set(IN_APP) == set()


def test_the_first_tag_is_the_class(agents: AgentClassifier) -> None:
    """A bot's class is its first tag in the package."""
    assert agents.classify(b"Googlebot/2.1 (+http://www.google.com/bot.html)").agent_class is AgentClass.SEARCH_ENGINE
    assert (
        agents.classify(b"Mozilla/5.0 (compatible; GPTBot/1.1; +https://openai.com/gptbot)").agent_class
        is AgentClass.AI_CRAWLER
    )


@pytest.mark.parametrize("agent", [None, b"", b"   "])
def test_no_agent_is_a_person(agents: AgentClassifier, agent: bytes | None) -> None:
    """No or an empty User-Agent is human, class `unknown`."""
    found = agents.classify(agent)
    assert found.agent_class is AgentClass.UNKNOWN
    assert found.device is None
    assert not found.agent_class.is_bot


def test_a_huge_agent_is_read_from_its_start_and_not_kept(agents: AgentClassifier) -> None:
    """An over-long agent costs a bounded look and no memory."""
    before = len(agents._cache)
    assert agents.classify(b"Twitterbot/1.0 " + b"x" * 1_000_000).agent_class.is_bot
    assert not agents.classify(b"x" * 1_000_000 + b"Twitterbot/1.0").agent_class.is_bot
    assert len(agents._cache) == before


def test_an_agent_of_other_bytes_is_read_as_they_are(agents: AgentClassifier) -> None:
    """Bytes that are no UTF-8 make no error."""
    assert agents.classify(b"\xff\xfe\x00\x80").agent_class is AgentClass.BROWSER
    assert agents.classify(b"\xff\xfe Twitterbot/1.0").agent_class.is_bot


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand agents leave a bounded cache, and hits stay right."""
    agents = AgentClassifier()
    monkeypatch.setattr(agents, "_crawler", lambda agent: AgentClass.SEO if agent.endswith("7") else None)
    for number in range(100_000):
        agents.classify(b"agent %d" % number)
    assert len(agents._cache) <= 2 * 8192
    assert agents.classify(b"agent 99997").agent_class is AgentClass.SEO


@pytest.mark.parametrize("crawlers", [[], [{"pattern": "Googlebot", "tags": ["search-engine"]}]])
def test_a_list_that_is_not_there_stops_the_start(crawlers: list[dict[str, object]]) -> None:
    """An empty or tiny list of crawlers is an error, not a quiet month of bots counted as people."""
    with pytest.raises(SettingsError, match="crawlers"):
        AgentClassifier(crawlers)


def test_patterns_without_a_known_tag_are_other_bots() -> None:
    """A tag that we do not know yet does not stop the start."""
    crawlers = [{"pattern": f"crawler{number:04}", "tags": ["novelty"]} for number in range(1000)]
    assert AgentClassifier(crawlers).classify(b"crawler0999").agent_class is AgentClass.OTHER_BOT
