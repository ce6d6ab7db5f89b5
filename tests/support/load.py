"""Browsers that keep their own ledger: every 302 they were given, by its click id."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.waiting import eventually

_TOKEN = re.compile(rb"[?&]click_id=([A-Za-z0-9_-]{56})")
_HEADERS = (
    b"Host: go.example\r\nUser-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Instagram 337.0\r\n"
)
_PACE_S = 0.004
_ANSWER_TIMEOUT_S = 20.0


@dataclass
class Ledger:
    """`taps`: click token to slug; `broken`: connections that ended without an answer to what was asked."""

    taps: dict[str, str] = field(default_factory=dict)
    other: list[bytes] = field(default_factory=list)
    broken: int = 0
    slowest_s: float = 0.0

    async def grows_by(self, taps: int) -> None:
        goal = len(self.taps) + taps
        await eventually(lambda: len(self.taps) >= goal, timeout=60)


class _Browser:
    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def tap(self, slug: str) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                head = await self._ask(slug)
        except (OSError, EOFError):
            self._ledger.broken += 1
            self.close()
            return
        self._ledger.slowest_s = max(self._ledger.slowest_s, time.monotonic() - began)
        token = _TOKEN.search(head)
        if head.startswith(b"HTTP/1.1 302 ") and token:
            self._ledger.taps[token[1].decode()] = slug
        else:
            self._ledger.other.append(head)
        if b"connection: close" in head.lower():
            self.close()

    async def _ask(self, slug: str) -> bytes:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(b"GET /%b HTTP/1.1\r\n%b\r\n" % (slug.encode(), _HEADERS))
        return await self._reader.readuntil(b"\r\n\r\n")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._reader = None


@asynccontextmanager
async def tapping(port: int, slugs: Sequence[str], browsers: int = 4) -> AsyncIterator[Ledger]:
    """Taps go on in the background, each browser on one connection as long as that lives."""
    ledger, stopping = Ledger(), asyncio.Event()

    async def browse(number: int) -> None:
        browser, turn = _Browser(port, ledger), number
        while not stopping.is_set():
            await browser.tap(slugs[turn % len(slugs)])
            turn += 1
            await asyncio.sleep(_PACE_S)
        browser.close()

    async with asyncio.TaskGroup() as group:
        for number in range(browsers):
            group.create_task(browse(number))
        try:
            yield ledger
        finally:
            stopping.set()
