"""The links a worker holds: found once, refreshed behind the visitor's back, edited by the feed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.redirecting import make_link
from tests.support.waiting import eventually

from attribution.domain.links import Link
from attribution.errors import UnavailableError
from attribution.redirect import link_cache
from attribution.redirect.link_cache import LinkCache, LinkCachePolicy

TTL_S = 60.0
POLICY = LinkCachePolicy(links=100, unknown_slugs=100, ttl_s=TTL_S, lookup_timeout_s=0.9)


class Source:
    """Its links, a gate that holds answers back, and a feed; it can be away."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.untold: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.calls = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.feed: asyncio.Queue[Link | None] = asyncio.Queue()

    async def find(self, slugs: Sequence[str]) -> Mapping[str, Link | None]:
        self.calls += 1
        self.asked.update(slugs)
        found = {slug: self.links.get(slug) for slug in slugs if slug not in self.untold}
        await self.gate.wait()
        if self.away:
            raise UnavailableError
        return found

    async def edits(self) -> AsyncIterator[Link | None]:
        while True:
            yield await self.feed.get()

    async def newest(self, count: int) -> AsyncIterator[Sequence[Link]]:
        if self.away:
            raise UnavailableError
        yield list(self.links.values())[-count:]

    def put(self, slug: str, version: int = 1) -> Link:
        link = self.links[slug] = replace(make_link(), slug=slug, version=version)
        return link


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Held:
    def __init__(self, policy: LinkCachePolicy = POLICY) -> None:
        self.source = Source()
        self.clock = Clock()
        self.cache = LinkCache(self.source, policy, self.clock, spread=lambda: 1.0)

    def version(self, slug: str = "anna") -> int | None:
        """Of the link in memory; None: not held. It is what a tap would be answered from."""
        held = self.cache.held(slug)
        return held.link.version if held is not None and held.link is not None else None

    def is_unknown(self, slug: str) -> bool:
        held = self.cache.held(slug)
        return held is not None and held.link is None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.cache.follow_edits())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def held() -> Held:
    return Held()


async def test_a_cold_link_costs_one_look_up_however_many_ask(held: Held) -> None:
    held.source.put("anna")
    found = await asyncio.gather(*(held.cache.find("anna") for _ in range(50)))
    assert {link is not None and link.version for link in found} == {1}
    assert held.source.asked == {"anna": 1}


async def test_links_asked_for_in_one_turn_are_looked_up_together(held: Held) -> None:
    slugs = [f"s{number}" for number in range(20)]
    await asyncio.gather(*map(held.cache.find, slugs))
    assert held.source.calls == 1


async def test_a_held_link_is_answered_without_its_source(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    held.clock.now += TTL_S - 1
    assert held.version() == 1
    assert held.source.asked["anna"] == 1


async def test_an_old_link_is_answered_at_once_and_refreshed_behind(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    held.source.put("anna", version=2)
    held.clock.now += TTL_S + 1
    assert held.version() == 1
    await eventually(lambda: held.version() == 2)
    assert held.source.asked["anna"] == 2


async def test_hits_do_not_lengthen_a_link_s_life(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    held.source.put("anna", version=2)
    for _ in range(10):
        held.clock.now += TTL_S / 8
        held.version()
    await eventually(lambda: held.version() == 2)


async def test_when_all_are_old_at_once_they_are_refreshed_a_few_at_a_time() -> None:
    """As after an outage, when edits may have been missed: taps come first, and find what is held meanwhile."""
    links = 75
    held = Held(replace(POLICY, links=4 * links))
    slugs = [f"s{number}" for number in range(links)]
    for slug in slugs:
        held.source.put(slug)
    await asyncio.gather(*map(held.cache.find, slugs))
    held.source.asked.clear()
    held.clock.now += TTL_S + 1
    assert {held.version(slug) for slug in slugs} == {1}
    await asyncio.sleep(0.01)
    assert held.source.asked.total() == 25
    for _ in range(2):
        held.clock.now += 0.025
        assert {held.version(slug) for slug in slugs} == {1}
        await asyncio.sleep(0.01)
    assert held.source.asked.total() == links


async def test_a_held_link_is_answered_as_long_as_its_source_is_away(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    held.source.away = True
    for _ in range(5):
        held.clock.now += 10 * TTL_S
        assert held.version() == 1
        await eventually(lambda: not held.cache._lookups)
    assert held.source.asked["anna"] == 6
    held.source.away = False
    held.source.put("anna", version=2)
    held.clock.now += TTL_S
    held.version()
    await eventually(lambda: held.version() == 2)


async def test_while_its_source_is_away_one_old_link_at_a_time_asks_for_all(held: Held) -> None:
    slugs = [f"s{number}" for number in range(20)]
    for slug in slugs:
        held.source.put(slug)
        await held.cache.find(slug)
    held.clock.now += TTL_S + 1
    held.source.away = True
    assert held.version("s0") == 1
    await eventually(lambda: not held.cache._lookups)
    for asked in range(2, 5):
        held.clock.now += 1
        assert [held.version(slug) for slug in slugs] == [1] * len(slugs)
        await eventually(lambda: not held.cache._lookups)
        assert held.source.asked.total() == len(slugs) + asked
    held.source.away = False
    for slug in slugs:
        held.source.put(slug, version=2)
    held.clock.now += 1
    await eventually(lambda: {held.version(slug) for slug in slugs} == {2})


async def test_while_a_refresh_is_under_way_no_other_begins(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    held.source.gate.clear()
    held.clock.now += TTL_S + 1
    for _ in range(100):
        assert held.version() == 1
        await asyncio.sleep(0)
    assert held.source.asked["anna"] == 2


async def test_an_unknown_slug_is_remembered_for_a_short_time(held: Held) -> None:
    assert await held.cache.find("nobody") is None
    assert held.is_unknown("nobody")
    held.clock.now += POLICY.unknown_ttl_s + 1
    assert not held.is_unknown("nobody")


async def test_unknown_slugs_push_out_no_link_and_are_bounded(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    for number in range(1000):
        await held.cache.find(f"s{number}")
    assert held.version() == 1
    assert len(held.cache._unknown) <= POLICY.unknown_slugs


async def test_links_are_bounded_and_those_in_use_stay(held: Held) -> None:
    for number in range(1000):
        held.source.put(f"s{number}")
        held.source.put("anna")
        if number % 10 == 0:
            await held.cache.find("anna")
        await held.cache.find(f"s{number}")
        held.version()
    assert len(held.cache._links) <= POLICY.links
    assert held.version() == 1


async def test_when_nobody_can_tell_the_answer_is_unavailable_and_nothing_is_remembered(held: Held) -> None:
    held.source.put("anna")
    held.source.away = True
    with pytest.raises(UnavailableError):
        await held.cache.find("anna")
    held.source.away = False
    assert await held.cache.find("anna") is not None


async def test_what_nobody_can_tell_of_one_slug_does_not_touch_the_others(held: Held) -> None:
    held.source.put("anna")
    held.source.untold.add("s1")
    anna, other = await asyncio.gather(held.cache.find("anna"), held.cache.find("s1"), return_exceptions=True)
    assert anna is not None
    assert isinstance(other, UnavailableError)


async def test_a_slow_source_is_waited_for_in_bounded_time(held: Held) -> None:
    held.source.put("anna")
    held.source.gate.clear()
    with pytest.raises(UnavailableError):
        await held.cache.find("anna")
    held.source.gate.set()
    await eventually(lambda: not held.cache._lookups)
    assert await held.cache.find("anna") is not None


async def test_one_who_leaves_does_not_cancel_the_look_up_of_the_others(held: Held) -> None:
    held.source.put("anna")
    held.source.gate.clear()
    first, second = (asyncio.create_task(held.cache.find("anna")) for _ in range(2))
    await eventually(lambda: held.source.calls)
    first.cancel()
    held.source.gate.set()
    assert await second is not None


async def test_an_edit_replaces_a_held_link_at_once(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    async with held.following():
        held.source.feed.put_nowait(held.source.put("anna", version=2))
        await eventually(lambda: held.version() == 2)
    assert held.source.asked["anna"] == 1


async def test_a_new_link_is_seen_by_those_who_thought_it_unknown(held: Held) -> None:
    await held.cache.find("anna")
    async with held.following():
        held.source.feed.put_nowait(held.source.put("anna"))
        await eventually(lambda: held.version() == 1)


async def test_an_edit_of_a_link_that_is_not_held_takes_no_memory(held: Held) -> None:
    async with held.following():
        held.source.feed.put_nowait(held.source.put("ben"))
        await eventually(held.source.feed.empty)
    assert len(held.cache._links) == 0


async def test_an_older_version_never_replaces_a_newer_one(held: Held) -> None:
    old = held.source.put("anna")
    held.source.put("anna", version=2)
    await held.cache.find("anna")
    async with held.following():
        held.source.feed.put_nowait(old)
        await eventually(held.source.feed.empty)
        assert held.version() == 2
    held.source.links["anna"] = old
    held.clock.now += TTL_S + 1
    held.version()
    await eventually(lambda: not held.cache._lookups)
    assert held.version() == 2


@pytest.mark.parametrize("before", [True, False], ids=["older", "unknown"])
async def test_an_edit_wins_over_a_look_up_that_began_before_it(before: bool, held: Held) -> None:  # noqa: FBT001
    if before:
        held.source.put("anna")
    held.source.gate.clear()
    finding = asyncio.create_task(held.cache.find("anna"))
    await eventually(lambda: held.source.calls)
    async with held.following():
        held.source.feed.put_nowait(held.source.put("anna", version=2))
        await eventually(held.source.feed.empty)
        held.source.gate.set()
        found = await finding
    assert found is not None
    assert found.version == held.version() == 2


async def test_after_a_gap_in_the_feed_everything_is_looked_up_again(held: Held) -> None:
    held.source.put("anna")
    await held.cache.find("anna")
    await held.cache.find("ben")
    held.source.put("anna", version=2)
    held.source.put("ben")
    async with held.following():
        held.source.feed.put_nowait(None)
        await eventually(lambda: held.version() == 2)
    assert not held.is_unknown("ben")


async def test_a_new_worker_takes_in_the_newest_links_and_asks_for_none_of_them(held: Held) -> None:
    for number in range(3):
        held.source.put(f"s{number}")
    await held.cache.warm_up()
    assert all(held.cache.held(f"s{number}") is not None for number in range(3))
    assert held.source.calls == 0


async def test_a_worker_starts_cold_while_the_source_is_away(held: Held) -> None:
    held.source.put("anna")
    held.source.away = True
    await held.cache.warm_up()
    held.source.away = False
    assert await held.cache.find("anna") is not None


async def test_links_are_not_all_looked_up_again_at_once() -> None:
    """Those that came together stay for 0.8 to 1.2 times the TTL."""
    assert all(0.8 <= link_cache._spread() <= 1.2 for _ in range(100))
