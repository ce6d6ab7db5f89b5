"""The one module that opens Redis connections and translates redis-py's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from attribution.errors import SettingsError, StreamUnavailableError, raise_if_cancelled
from attribution.settings import Settings

_CONNECT_TIMEOUT_S = 2.0
_REPLY_TIMEOUT_S = 5.0
BLOCK_MS = 1_000
"""A blocking read must end before the reply times out."""


def open_redis(settings: Settings, *, connections: int = 4, single: bool = False) -> Redis:
    """Connects at the first command. Never retries by itself: who calls decides what an error means.

    `single`: one connection for one task, which never reconnects without an error first. (A pool replaces a
    closed connection silently, so a restart of the server would go unseen.)
    """
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL: not set; only `attribution up` brings a server of its own")
    return Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=_REPLY_TIMEOUT_S,
        # Replies keep their RESP2 shapes, whatever the server and the library would agree on.
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        max_connections=connections,
        single_connection_client=single,
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    # redis-py goes on after a cancellation while it connects, and turns others into errors of the connection.
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise_if_cancelled()
        raise StreamUnavailableError(f"the stream server is away: {error!r}") from error
    raise_if_cancelled()
