"""Browsers that tap links, and the ledger of every 302 that they were given."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.waiting import eventually

from .clock import real_us

_TOKEN = re.compile(rb"[?&]click_id=([A-Za-z0-9_-]{56})")
_COOKIE = re.compile(rb"attribution_visitor=([A-Za-z0-9_-]+)")
_AGENT = b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 337.0"
_PACE_S = 0.02
_ANSWER_TIMEOUT_S = 20.0
_TAPS_A_HOUSEHOLD = 25


@dataclass(frozen=True, slots=True)
class Tap:
    """A 302 that arrived; the times are right ones, in microseconds, just before the request and after its answer."""

    token: str
    slug: str
    visitor: str
    asked_us: int
    answered_us: int


@dataclass(slots=True)
class Household:
    """Who buys together: its visitors, and what they tapped."""

    number: int
    visitors: list[str] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)


@dataclass
class Ledger:
    sent: int = 0
    broken: int = 0
    taps: list[Tap] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    households: list[Household] = field(default_factory=list)

    def new_household(self) -> Household:
        self.households.append(Household(len(self.households)))
        return self.households[-1]

    async def grows_by(self, taps: int) -> None:
        goal = len(self.taps) + taps
        await eventually(lambda: len(self.taps) >= goal, timeout=90)


class Browser:
    def __init__(self, port: int, slugs: Sequence[str], ledger: Ledger, rng: random.Random) -> None:
        self._port = port
        self._slugs = slugs
        self._ledger = ledger
        self._rng = rng
        self._household = ledger.new_household()
        self._visitor: str | None = None
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self._tap(self._rng.choice(self._slugs))
            if self._rng.random() < 1 / _TAPS_A_HOUSEHOLD:
                self._household, self._visitor = self._ledger.new_household(), None
            elif self._rng.random() < 0.1:
                self._visitor = self._rng.choice([*self._household.visitors, None])
            await asyncio.sleep(self._rng.uniform(0, 2 * _PACE_S))
        self._close()

    async def _tap(self, slug: str) -> None:
        self._ledger.sent += 1
        asked_us = real_us()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                head = await self._ask(slug)
        except (OSError, EOFError):
            self._ledger.broken += 1
            self._close()
            return
        token = _TOKEN.search(head)
        if head.startswith(b"HTTP/1.1 302 ") and token:
            self._note(token[1].decode(), slug, head, asked_us)
        else:
            self._ledger.other[head.split(b"\r\n", 1)[0].decode()] += 1
        if b"connection: close" in head.lower():
            self._close()

    def _note(self, token: str, slug: str, head: bytes, asked_us: int) -> None:
        if self._visitor is None:
            cookie = _COOKIE.search(head)
            assert cookie is not None, head
            self._visitor = cookie[1].decode()
            self._household.visitors.append(self._visitor)
        tap = Tap(token, slug, self._visitor, asked_us, real_us())
        self._household.taps.append(tap)
        self._ledger.taps.append(tap)

    async def _ask(self, slug: str) -> bytes:
        if self._connection is None:
            self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._connection
        cookie = b"Cookie: attribution_visitor=%b\r\n" % self._visitor.encode() if self._visitor else b""
        head = (b"GET /%b HTTP/1.1" % slug.encode(), b"Host: go.example", b"User-Agent: " + _AGENT, cookie)
        writer.write(b"\r\n".join(head) + b"\r\n")
        return await reader.readuntil(b"\r\n\r\n")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
        self._connection = None
