"""The pure redirect with keys and randomness of the tests."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from attribution.domain.click_id import ClickTokens, SignedClick
from attribution.domain.clicks import Channel, Click, unpack_click
from attribution.domain.ids import InfluencerId, LinkId, ProgramId
from attribution.domain.instants import to_us
from attribution.domain.links import ForwardQuery, Link
from attribution.redirect.address import Address, AddressKeeper
from attribution.redirect.agents import AgentClassifier
from attribution.redirect.answer import Answer
from attribution.redirect.answerer import Answerer
from attribution.redirect.compiled_link import compile_link
from attribution.redirect.countries import no_country
from attribution.redirect.tap import TapReader
from attribution.redirect.visitor import RandomPool
from attribution.settings import IpStorage

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
NOW_US = to_us(NOW)
TOKENS = ClickTokens({1: b"k" * 32})
BROWSER = b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Instagram 337.0.2.24.92"
BOT = b"Twitterbot/1.0"
VISITOR = b"abcdefghijklmnopqrstuv"


def make_link(destination: str = "https://shop.example/p", **fields: Any) -> Link:
    defaults: dict[str, Any] = {
        "forward_query": ForwardQuery.APPEND,
        "click_id_param": "click_id",
        "influencer_id": InfluencerId(7),
        "channel": Channel.INSTAGRAM,
    }
    return Link(LinkId(5), ProgramId(3), "anna", destination, **(defaults | fields))


@cache
def classifier() -> AgentClassifier:
    return AgentClassifier()


@cache
def tap_reader() -> TapReader:
    return TapReader(classifier())


def make_answerer(
    *,
    trusted_proxies: int = 0,
    ip_storage: IpStorage = IpStorage.TRUNCATED,
    country: Callable[[Address], bytes] = no_country,
) -> Answerer:
    addresses = AddressKeeper(ip_storage, b"a" * 32, country)
    randomness = RandomPool(random.Random(1).randbytes)  # noqa: S311
    return Answerer(TOKENS, addresses, randomness, trusted_proxies=trusted_proxies)


@dataclass
class Ask:
    """One request and its answer, taken apart."""

    answer: Answer
    headers: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = dict(self.answer.headers)
        assert len(self.headers) == len(self.answer.headers)

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def location(self) -> bytes:
        return self.headers[b"location"]

    @property
    def click(self) -> Click:
        assert self.answer.record is not None
        return unpack_click(self.answer.record)

    @property
    def token(self) -> bytes:
        return TOKENS.sign(self.click.click_id, self.click.link_id)


def ask(
    link: Link | None = None,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    path: bytes = b"/anna",
    query: bytes = b"",
    host: bytes = b"go.brand.example",
    agent: bytes | None = BROWSER,
    peer: str | None = "203.0.113.9",
    now_us: int = NOW_US,
    answerer: Answerer | None = None,
) -> Ask:
    sent = [(b"host", host), *headers]
    sent += [] if agent is None else [(b"user-agent", agent)]
    tap = tap_reader().read(method, path, query, sent)
    compiled = compile_link(link) if link is not None and tap.slug is not None else None
    answerer = answerer or make_answerer()
    return Ask(answerer.answer(tap, compiled, answerer.kept_address(peer), now_us))


def is_ours(token: str, click: Click) -> bool:
    return TOKENS.parse(token) == SignedClick(click.click_id, click.link_id)
