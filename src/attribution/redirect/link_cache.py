"""The links a worker holds. A held link is answered from memory whatever its age; age only starts a refresh."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import uniform
from typing import Protocol

import structlog

from attribution import metrics
from attribution.adapters.allowance import Allowance
from attribution.domain.links import Link
from attribution.errors import UnavailableError

from .bounded import BoundedCache
from .compiled_link import CompiledLink, compile_link

_log = structlog.get_logger(__name__)
_LOADS_AT_ONCE = 4
_LOAD_MAX = 25
"""To look a hundred up takes some ten milliseconds of the process, for which taps would wait."""
_AWAY_PAUSE_S = 0.5
_REFRESHES_PER_S = 1_000
_WINDOW_S = 0.025


class LinkSource(Protocol):
    async def find(self, slugs: Sequence[str]) -> Mapping[str, Link | None]:
        """None for what names nothing; a slug of which nobody can tell at present is left out.

        Raises `UnavailableError` where a server's absence leaves all of them out.
        """
        ...

    def edits(self) -> AsyncIterator[Link | None]: ...

    def newest(self, count: int) -> AsyncIterator[Sequence[Link]]: ...


@dataclass(frozen=True, slots=True)
class LinkCachePolicy:
    links: int
    unknown_slugs: int
    ttl_s: float
    """Age at which a link is looked up again, used or not."""
    lookup_timeout_s: float
    unknown_ttl_s: float = 5.0


def _refreshes_in_window(policy: "LinkCachePolicy") -> int:
    """Twice as many as it takes to look all up again in their time."""
    return ceil(_WINDOW_S * max(_REFRESHES_PER_S, 2 * policy.links / policy.ttl_s))


def _spread() -> float:
    return uniform(0.8, 1.2)  # noqa: S311 - times, not secrets


@dataclass(slots=True)
class HeldLink:
    """`link` is None for a slug that names nothing."""

    link: CompiledLink | None
    fresh_until: float


class LinkCache:
    def __init__(
        self,
        source: LinkSource,
        policy: LinkCachePolicy,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = _spread,
    ) -> None:
        self._source = source
        self._policy = policy
        self._clock = clock
        self._spread = spread
        # Two generations may be full: half of the links in each.
        self._links: BoundedCache[str, HeldLink] = BoundedCache(max(1, policy.links // 2))
        self._unknown: BoundedCache[str, HeldLink] = BoundedCache(max(1, policy.unknown_slugs // 2))
        self._refreshes = Allowance(_refreshes_in_window(policy), _WINDOW_S, clock)
        self._lookups: dict[str, asyncio.Future[CompiledLink | None]] = {}
        self._queued: list[str] = []
        self._loads: set[asyncio.Task[None]] = set()
        self._source_is_away = False
        self._next_refresh_at = float("-inf")

    def held(self, slug: str) -> HeldLink | None:
        """None: not in memory, `find` it."""
        held = self._links.young.get(slug) or self._links.get(slug)
        if held is not None:
            if held.fresh_until < self._clock():
                self._refresh(slug, held)
            return held
        unknown = self._unknown.get(slug)
        return unknown if unknown is not None and unknown.fresh_until > self._clock() else None

    def _refresh(self, slug: str, held: HeldLink) -> None:
        now = self._clock()
        if self._source_is_away:
            # One old link asks for all of them whether the source is back.
            if now < self._next_refresh_at:
                return
            self._next_refresh_at = now + _AWAY_PAUSE_S
        # When all are old at once, as after an outage, taps come first.
        if not self._refreshes.take(1):
            return
        held.fresh_until = now + self._policy.lookup_timeout_s
        self._look_up(slug)

    async def find(self, slug: str) -> CompiledLink | None:
        """One look-up however many ask. Raises `UnavailableError` when nobody can tell, in bounded time."""
        try:
            async with asyncio.timeout(self._policy.lookup_timeout_s):
                return await asyncio.shield(self._look_up(slug))
        except TimeoutError:
            raise UnavailableError("the look-up of the link took too long") from None

    def _look_up(self, slug: str) -> asyncio.Future[CompiledLink | None]:
        lookup = self._lookups.get(slug)
        if lookup is None:
            lookup = self._lookups[slug] = asyncio.get_running_loop().create_future()
            # A refresh has nobody who waits, so its failure must count as seen.
            lookup.add_done_callback(lambda done: done.exception())
            self._queued.append(slug)
            if len(self._queued) == 1:
                asyncio.get_running_loop().call_soon(self._start_load)
        return lookup

    def _start_load(self) -> None:
        while self._queued and len(self._loads) < _LOADS_AT_ONCE:
            slugs, self._queued = self._queued[:_LOAD_MAX], self._queued[_LOAD_MAX:]
            load = asyncio.create_task(self._load(slugs), name="load links")
            self._loads.add(load)
            load.add_done_callback(self._loaded)

    def _loaded(self, load: asyncio.Task[None]) -> None:
        self._loads.discard(load)
        self._start_load()

    async def _load(self, slugs: list[str]) -> None:
        try:
            async with asyncio.timeout(self._policy.lookup_timeout_s):
                found = await self._source.find(slugs)
        except (UnavailableError, TimeoutError) as error:
            metrics.LINK_LOOKUPS.labels("unavailable").inc(len(slugs))
            self._pause_refreshes()
            self._fail(slugs, UnavailableError(f"links can't be looked up: {error}"))
            return
        except Exception:  # noqa: BLE001 - whatever it was, those who wait for the look-up must hear of it
            _log.exception("link_lookup_failed")
            self._fail(slugs, UnavailableError("links can't be looked up"))
            return
        self._source_is_away = False
        links = sum(link is not None for link in found.values())
        metrics.LINK_LOOKUPS.labels("found").inc(links)
        metrics.LINK_LOOKUPS.labels("unknown").inc(len(found) - links)
        metrics.LINK_LOOKUPS.labels("unavailable").inc(len(slugs) - len(found))
        for slug, link in found.items():
            self._settle(slug, self._hold(slug, link))
        self._fail([slug for slug in slugs if slug not in found], UnavailableError("the link can't be looked up"))

    def _pause_refreshes(self) -> None:
        self._source_is_away = True
        self._next_refresh_at = self._clock() + _AWAY_PAUSE_S

    def _fail(self, slugs: list[str], error: UnavailableError) -> None:
        for slug in slugs:
            lookup = self._lookups.pop(slug)
            if not lookup.done():
                lookup.set_exception(error)

    def _settle(self, slug: str, link: CompiledLink | None) -> None:
        lookup = self._lookups.pop(slug)
        if not lookup.done():
            lookup.set_result(link)

    def _hold(self, slug: str, link: Link | None) -> CompiledLink | None:
        held = self._links.get(slug)
        # An edit may have come through the feed while an older state was on its way.
        if held is not None and held.link is not None and (link is None or held.link.version > link.version):
            return held.link
        if link is None:
            self._unknown.put(slug, HeldLink(None, self._clock() + self._policy.unknown_ttl_s))
            return None
        # Links that came together are not all looked up again together.
        fresh_until = self._clock() + self._policy.ttl_s * self._spread()
        if held is not None and held.link is not None and held.link.version == link.version:
            held.fresh_until = fresh_until
            return held.link
        compiled = compile_link(link)
        self._links.put(slug, HeldLink(compiled, fresh_until))
        return compiled

    async def warm_up(self) -> None:
        """Takes in the newest links, as many as there is room for, with pauses in which taps are answered."""
        try:
            async for links in self._source.newest(self._policy.links // 2):
                for link in links:
                    self._hold(link.slug, link)
                    await asyncio.sleep(0)
        except UnavailableError as error:
            _log.warning("links_not_warmed_up", error=str(error))

    async def follow_edits(self) -> None:
        """Until cancelled: takes over edits of held slugs as they happen."""
        async for link in self._source.edits():
            if link is None:
                self._expire_all()
            elif self._concerns(link.slug):
                self._hold(link.slug, link)

    def _concerns(self, slug: str) -> bool:
        """Also while it is looked up: the answer on its way may be older than the edit."""
        known = self._unknown.pop(slug) is not None or self._links.get(slug) is not None
        return known or slug in self._lookups

    def _expire_all(self) -> None:
        for held in self._links.values():
            held.fresh_until = float("-inf")
        self._unknown.clear()
