"""Links from Redis, from Postgres, and by the feed of edits: real servers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from tests.support.processes import pause, resume
from tests.support.waiting import eventually

from attribution.adapters.link_store import LinkStore
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.domain.clicks import Channel
from attribution.domain.links import ForwardQuery, Link
from attribution.embedded.valkey import EmbeddedValkey
from attribution.errors import DatabaseUnavailableError
from attribution.settings import Settings

FRESH_S = 60.0
NO_POSTGRES = "postgresql://postgres@/none?host=/nowhere"
NO_REDIS = "unix:///nowhere/valkey.sock"


class Stores:
    """Of the same links, with both servers or without one of them."""

    def __init__(self, database_url: str, redis_url: str, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.redis_url = redis_url
        self.database = self._open_database(database_url)
        self.redis = self._open_redis(redis_url)
        self.both = self.store(self.database, redis_url)
        self.without_postgres = self.store(self._open_database(NO_POSTGRES), redis_url)
        self.without_redis = self.store(self.database, NO_REDIS)
        self.without_both = self.store(self._open_database(NO_POSTGRES), NO_REDIS)
        self.old_copies = self.store(self.database, redis_url, fresh_s=-1)
        self.old_copies_only = self.store(self._open_database(NO_POSTGRES), redis_url, fresh_s=-1)
        self.program_id = 0

    def store(
        self, database: Database, redis_url: str, *, fresh_s: float = FRESH_S, reads_per_s: int = 1000
    ) -> LinkStore:
        redis, feed = self._open_redis(redis_url), self._open_redis(redis_url)
        return LinkStore(database, redis, feed, fresh_s=fresh_s, reads_per_s=reads_per_s)

    def _open_database(self, url: str) -> Database:
        database = Database(Settings(database_url=url), size=2)
        self._stack.push_async_callback(database.close)
        return database

    def _open_redis(self, url: str) -> Redis:
        redis = open_redis(Settings(redis_url=url))
        self._stack.push_async_callback(redis.aclose)
        return redis

    async def make(self, slug: str) -> None:
        async with self.database.connection() as connection:
            self.program_id = await connection.fetchval(
                "INSERT INTO programs (key, name, currency, timezone, click_id_param, visitor_id_param, gross_margin)"
                " VALUES ('p', 'P', 'EUR', 'UTC', 'cid', 'vid', 1)"
                " ON CONFLICT (key) DO UPDATE SET name = 'P' RETURNING program_id"
            )
            await connection.execute(
                "INSERT INTO links (program_id, slug, destination, channel, forward_query, status, expires_at)"
                " VALUES ($1, $2, 'https://shop.example/1', 'tiktok', 'append', 'active', '2030-01-01')",
                self.program_id,
                slug,
            )

    async def edit(self, slug: str, destination: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE links SET destination = $2, version = version + 1 WHERE slug = $1", slug, destination
            )


@pytest_asyncio.fixture
async def stores(database_url: str, redis_url: str) -> AsyncIterator[Stores]:
    async with AsyncExitStack() as stack:
        running = Stores(database_url, redis_url, stack)
        await running.make("anna")
        yield running


async def destination(store: LinkStore, slug: str = "anna") -> str | None:
    link = (await store.find([slug])).get(slug)
    return link.destination if link is not None else None


@asynccontextmanager
async def listening(store: LinkStore) -> AsyncIterator[list[Link | None]]:
    heard: list[Link | None] = []

    async def listen() -> None:
        async for link in store.edits():
            heard.append(link)  # noqa: PERF401 - an endless feed

    task = asyncio.create_task(listen())
    try:
        await eventually(lambda: heard)
        yield heard
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_link_is_found_with_all_that_a_redirect_needs(stores: Stores) -> None:
    found = await stores.both.find(["anna", "nobody"])
    link = found["anna"]
    assert link is not None
    assert found == {"anna": link, "nobody": None}
    assert (link.program_id, link.destination) == (stores.program_id, "https://shop.example/1")
    assert (link.click_id_param, link.visitor_id_param) == ("cid", "vid")
    assert (link.channel, link.forward_query) == (Channel.TIKTOK, ForwardQuery.APPEND)
    assert link.expires_at is not None
    assert (await stores.without_postgres.find(["anna"]))["anna"] == link


async def test_a_fresh_copy_in_redis_stands_for_postgres(stores: Stores) -> None:
    await destination(stores.both)
    assert await destination(stores.without_postgres) == "https://shop.example/1"


async def test_an_old_copy_is_read_again_and_better_than_nothing_while_postgres_is_away(stores: Stores) -> None:
    await destination(stores.both)
    await stores.edit("anna", "https://shop.example/2")
    assert await destination(stores.old_copies_only) == "https://shop.example/1"
    assert await destination(stores.old_copies) == "https://shop.example/2"
    assert await destination(stores.without_postgres) == "https://shop.example/2"


async def test_without_redis_links_come_from_postgres(stores: Stores) -> None:
    assert await destination(stores.without_redis) == "https://shop.example/1"


async def test_what_neither_holds_is_unavailable_and_not_unknown(stores: Stores) -> None:
    for store in (stores.without_both, stores.without_postgres):
        with pytest.raises(DatabaseUnavailableError):
            await store.find(["anna"])


async def test_a_server_that_was_away_is_found_again(stores: Stores) -> None:
    """Not at once: a server that is away is not asked at every look-up."""
    away = stores.store(stores.database, NO_REDIS)
    away._database = stores.without_both._database
    for _ in range(100):
        with pytest.raises(DatabaseUnavailableError):
            await away.find(["anna"])
    away._database = stores.database

    async def found() -> bool:
        with suppress(DatabaseUnavailableError):
            return await destination(away) == "https://shop.example/1"
        return False

    await eventually(found)


async def test_what_nobody_can_tell_of_one_slug_leaves_the_others(stores: Stores) -> None:
    await destination(stores.both)
    assert set(await stores.without_postgres.find(["anna", "nobody"])) == {"anna"}


async def test_postgres_is_asked_for_so_many_slugs_a_second_and_known_ones_first(stores: Stores) -> None:
    """Random slugs at full speed neither reach Postgres nor keep links with old copies from being read again."""
    await destination(stores.both)
    store = stores.store(stores.database, NO_REDIS, reads_per_s=2)
    assert len(await store.find(["x1", "x2", "x3"])) == 2
    await stores.edit("anna", "https://shop.example/2")
    old_copies = stores.store(stores.database, stores.redis_url, fresh_s=-1, reads_per_s=1)
    found = await old_copies.find(["x1", "x2", "anna"])
    assert set(found) == {"anna"}
    assert await destination(stores.both) == "https://shop.example/2"


async def test_a_slow_writer_never_puts_an_older_copy_over_a_newer_one(stores: Stores) -> None:
    old = (await stores.both.find(["anna"]))["anna"]
    assert old is not None
    await stores.both._copy([replace(old, destination="https://shop.example/9", version=old.version + 8)])
    await stores.both._copy([old])
    assert await destination(stores.both) == "https://shop.example/9"


async def test_an_edit_is_published_to_every_listener_and_replaces_the_copy(stores: Stores) -> None:
    await destination(stores.both)
    async with listening(stores.both) as first, listening(stores.without_postgres) as second:
        await stores.edit("anna", "https://shop.example/2")
        began = time.monotonic()
        await stores.both.publish(stores.program_id, ["anna"])
        for heard in (first, second):
            await eventually(lambda: len(heard) == 2)  # noqa: B023
            assert heard[0] is None
            assert heard[1] is not None
            assert heard[1].destination == "https://shop.example/2"
        assert time.monotonic() - began < 1
    assert await destination(stores.without_postgres) == "https://shop.example/2"


async def test_a_change_of_a_programme_publishes_all_its_links(stores: Stores) -> None:
    await stores.make("ben")
    async with listening(stores.both) as heard:
        await stores.both.publish_program(stores.program_id)
        await eventually(lambda: {link.slug for link in heard if link} == {"anna", "ben"})


async def test_publishing_never_fails(stores: Stores) -> None:
    for store in (stores.without_both, stores.without_postgres, stores.without_redis):
        await store.publish(stores.program_id, ["anna"])
        await store.publish_program(stores.program_id)


async def test_a_cut_feed_is_taken_up_again_and_says_that_edits_may_be_missed(stores: Stores) -> None:
    async with listening(stores.both) as heard:
        await stores.redis.client_kill_filter(_type="pubsub")
        await eventually(lambda: heard == [None, None])
        await stores.both.publish(stores.program_id, ["anna"])
        await eventually(lambda: len(heard) == 3)


@pytest.mark.parametrize("stranger", [b"", b"\xff", b"[]", b'{"slug": "anna"}', b'{"newer": 1, "slug": "anna"}'])
async def test_what_another_release_published_or_copied_is_passed_over(stranger: bytes, stores: Stores) -> None:
    await destination(stores.both)
    await stores.redis.hset("attribution:link:anna", "link", stranger)
    assert await destination(stores.both) == "https://shop.example/1"
    async with listening(stores.both) as heard:
        await stores.redis.publish("attribution:links", stranger)
        await stores.both.publish(stores.program_id, ["anna"])
        await eventually(lambda: len(heard) == 3)
    assert heard[1] is None
    assert heard[2] is not None


async def test_the_newest_links_come_first_and_no_more_than_asked_for(stores: Stores) -> None:
    for slug in ("ben", "chris"):
        await stores.make(slug)
    pages = [[link.slug for link in page] async for page in stores.both.newest(2)]
    assert pages == [["chris", "ben"]]


async def test_a_redis_that_hangs_costs_a_cold_link_a_moment_and_the_next_one_nothing(
    stores: Stores, valkey: EmbeddedValkey
) -> None:
    await stores.make("ben")
    await stores.both.ping()
    pause(valkey.pid)
    try:
        async with asyncio.timeout(1.5):
            assert await destination(stores.both) == "https://shop.example/1"
        async with asyncio.timeout(0.4):
            assert await destination(stores.both, "ben") == "https://shop.example/1"
    finally:
        resume(valkey.pid)
