"""Where the redirect finds links it does not hold: Redis first, then Postgres; and the feed of edits.

Redis holds a copy of each link that was made, edited or looked up. A copy is as good as Postgres for `fresh_s`, and
after that still better than nothing while Postgres is away. Versions only grow, so a slow reader never puts an
older copy over a newer one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis

from attribution.domain.clicks import Channel
from attribution.domain.ids import CampaignId, InfluencerId, LinkId, PostId, ProgramId
from attribution.domain.links import ForwardQuery, Link
from attribution.errors import DatabaseUnavailableError, StreamUnavailableError

from .allowance import Allowance
from .circuit_breaker import CircuitBreaker
from .postgres import Database, Row
from .redis import translated_errors
from .statements import statements

_log = structlog.get_logger(__name__)
_SQL = statements("link_store")
_FEED = "attribution:links"
_KEEP_S = 7 * 24 * 3600
_PAGE = 1_000
_PATIENCE_S = 0.5
_HANG_S = 2.0
_NEWEST = 2**63 - 1
_PUT_NEWER = """
for i, key in ipairs(KEYS) do
    local version, link = ARGV[2 * i + 1], ARGV[2 * i + 2]
    local held = redis.call('HGET', key, 'version')
    if not held or tonumber(held) <= tonumber(version) then
        redis.call('HSET', key, 'version', version, 'link', link, 'read_at', ARGV[1])
        redis.call('EXPIRE', key, ARGV[2])
    end
end
"""


class LinkStore:
    def __init__(self, database: Database, redis: Redis, feed: Redis, *, fresh_s: float, reads_per_s: int) -> None:
        self._database = database
        self._redis = redis
        self._feed = feed
        self._fresh_s = fresh_s
        self._redis_breaker = CircuitBreaker()
        self._database_breaker = CircuitBreaker()
        self._reads = Allowance(reads_per_s)
        self._put_newer = redis.register_script(_PUT_NEWER)

    async def find(self, slugs: Sequence[str]) -> Mapping[str, Link | None]:
        """Each slug's link, None for what names nothing. A slug of which nobody can tell at present is left out.

        Raises `DatabaseUnavailableError` where that would be all of them, and a server is why.
        """
        copies = await self._copies(slugs)
        found: dict[str, Link | None] = {slug: link for slug, (link, fresh) in copies.items() if fresh}
        missing = [slug for slug in slugs if slug not in found]
        # Copies that are old go first: random slugs must not keep known links from being read.
        missing.sort(key=lambda slug: slug not in copies)
        readable = missing[: self._reads.take(len(missing))]
        if readable:
            try:
                read = await self._read(readable)
            except DatabaseUnavailableError:
                if not copies:
                    raise
            else:
                await self._copy(read.values())
                found |= dict.fromkeys(readable) | read
        old = {slug: link for slug, (link, _) in copies.items()}
        return old | found

    async def _read(self, slugs: Sequence[str]) -> dict[str, Link]:
        if not self._database_breaker.allows():
            raise DatabaseUnavailableError("the database was away a moment ago")
        try:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_SQL["find"], slugs)
        except DatabaseUnavailableError as error:
            self._database_breaker.failed()
            _log.warning("links_not_read", error=str(error))
            raise
        self._database_breaker.succeeded()
        return {row["slug"]: _link(row) for row in rows}

    async def _copies(self, slugs: Sequence[str]) -> dict[str, tuple[Link, bool]]:
        if not self._redis_breaker.allows():
            return {}
        try:
            async with self._told_breaker(), self._redis.pipeline(transaction=False) as pipe:
                for slug in slugs:
                    pipe.hmget(_key(slug), "link", "read_at")
                replies = await pipe.execute()
        except StreamUnavailableError:
            return {}
        oldest = time.time() - self._fresh_s
        return {
            slug: (link, float(read_at) >= oldest)
            for slug, (copy, read_at) in zip(slugs, replies, strict=True)
            if copy is not None and (link := _decoded(copy)) is not None
        }

    async def _copy(self, links: Iterable[Link], *, announce: bool = False) -> None:
        """A copy that can't be made is only slower later: edits reach the workers by their caches' age then."""
        # Listeners that are back before the breaker knows would never hear of an edit that was not announced.
        if not announce and not self._redis_breaker.allows():
            return
        copies = {link: encode_link(link) for link in links}
        if not copies:
            return
        try:
            async with self._told_breaker(), self._redis.pipeline(transaction=False) as pipe:
                versions = [part for link, copy in copies.items() for part in (link.version, copy)]
                keys = [_key(link.slug) for link in copies]
                await self._put_newer(keys, [time.time(), _KEEP_S, *versions], client=pipe)
                for copy in copies.values() if announce else ():
                    pipe.publish(_FEED, copy)
                await pipe.execute()
        except StreamUnavailableError as error:
            _log.warning("links_not_copied", error=str(error))

    @asynccontextmanager
    async def _told_breaker(self) -> AsyncIterator[None]:
        """A Redis that hangs must cost a cold link no more than a moment, and the next ones nothing."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                with translated_errors():
                    yield
        except TimeoutError:
            self._redis_breaker.failed(_HANG_S)
            raise StreamUnavailableError("the stream server does not answer") from None
        except StreamUnavailableError:
            self._redis_breaker.failed()
            raise
        self._redis_breaker.succeeded()

    async def ping(self) -> None:
        """Raises `StreamUnavailableError`."""
        with translated_errors():
            await self._redis.ping()

    async def publish(self, program_id: int, slugs: Sequence[str]) -> None:
        """After the commit of a change: every worker has it within moments. Never fails."""
        try:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_SQL["by_slug"], program_id, slugs)
        except DatabaseUnavailableError as error:
            _log.warning("links_not_published", error=str(error))
            return
        await self._copy([_link(row) for row in rows], announce=True)

    async def publish_program(self, program_id: int) -> None:
        """After a change of what a programme's links carry."""
        last = 0
        with suppress(DatabaseUnavailableError):
            while rows := await self._page(program_id, last):
                await self._copy([_link(row) for row in rows], announce=True)
                last = rows[-1]["link_id"]

    async def _page(self, program_id: int, after: int) -> list[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["page"], program_id, after, _PAGE)

    async def newest(self, count: int) -> AsyncIterator[list[Link]]:
        """At most `count`, newest first, by the page. Raises `DatabaseUnavailableError`."""
        before = _NEWEST
        while count > 0 and (rows := await self._newest_page(before, min(count, _PAGE))):
            yield [_link(row) for row in rows]
            before, count = rows[-1]["link_id"], count - len(rows)

    async def _newest_page(self, before: int, limit: int) -> list[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["newest"], before, limit)

    async def edits(self) -> AsyncIterator[Link | None]:
        """Links as they change; None where edits may have been missed: after each (re)connection, and for what
        another release says in its own way."""
        while True:
            try:
                with translated_errors():
                    async with self._feed.pubsub() as feed:
                        await feed.subscribe(_FEED)
                        yield None
                        while True:
                            message = await feed.get_message(ignore_subscribe_messages=True, timeout=1.0)
                            if message is not None:
                                yield _decoded(message["data"])
            except StreamUnavailableError as error:
                _log.warning("link_feed_interrupted", error=str(error))
                await asyncio.sleep(0.5)


def _key(slug: str) -> str:
    return f"attribution:link:{slug}"


def encode_link(link: Link) -> bytes:
    return orjson.dumps(link)


def decode_link(data: bytes) -> Link:
    fields: dict[str, Any] = orjson.loads(data)
    for name in ("starts_at", "expires_at"):
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    fields["forward_query"] = ForwardQuery(fields["forward_query"])
    fields["channel"] = Channel(fields["channel"]) if fields["channel"] else None
    return Link(**fields)


def _decoded(data: bytes) -> Link | None:
    """None for what another release wrote, which knows other fields."""
    try:
        return decode_link(data)
    except (ValueError, TypeError, KeyError) as error:
        _log.warning("link_not_understood", error=repr(error))
        return None


def _link(row: Row) -> Link:
    return Link(
        link_id=LinkId(row["link_id"]),
        program_id=ProgramId(row["program_id"]),
        slug=row["slug"],
        destination=row["destination"],
        forward_query=ForwardQuery(row["forward_query"]),
        click_id_param=row["click_id_param"],
        visitor_id_param=row["visitor_id_param"],
        influencer_id=_none_or(InfluencerId, row["influencer_id"]),
        campaign_id=_none_or(CampaignId, row["campaign_id"]),
        post_id=_none_or(PostId, row["post_id"]),
        channel=_none_or(Channel, row["channel"]),
        status=row["status"],
        starts_at=row["starts_at"],
        expires_at=row["expires_at"],
        fallback_url=row["fallback_url"],
        version=row["version"],
    )


def _none_or(kind: Any, value: Any) -> Any:
    return None if value is None else kind(value)
