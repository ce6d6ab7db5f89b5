"""The one module that opens Postgres connections and translates asyncpg's errors."""

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson

from attribution.errors import (
    ConflictError,
    DatabaseUnavailableError,
    RejectedRowsError,
    SettingsError,
    raise_if_cancelled,
)
from attribution.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

Row = asyncpg.Record

LONG_S: Final = 3_600.0
"""Longest time of a statement that reads all rows of a programme; others have their pool's."""
_CONNECT_TIMEOUT_S = 5.0
_UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)


@contextmanager
def translated_errors() -> "Iterator[None]":
    """Raises `DatabaseUnavailableError` where trying again may help, `ConflictError`, `RejectedRowsError`."""
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError) as error:
        raise ConflictError(error.detail or str(error)) from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise RejectedRowsError(str(error)) from error
    except TimeoutError as error:
        raise_if_cancelled()
        raise DatabaseUnavailableError("the database did not answer in time") from error
    except _UNAVAILABLE as error:
        raise_if_cancelled()
        raise DatabaseUnavailableError(f"the database is away: {error!r}") from error


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL: not set; only `attribution up` brings a server of its own")
    return settings.database_url


async def _prepare(connection: "Connection") -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads
    )


async def _leave(_: "Connection") -> None:
    """In place of a reset."""


async def connect(settings: Settings) -> "asyncpg.Connection[asyncpg.Record]":
    with translated_errors():
        connection = await asyncpg.connect(
            _database_url(settings), timeout=_CONNECT_TIMEOUT_S, server_settings={"timezone": "UTC"}
        )
        await _prepare(connection)
        return connection


class Database:
    """A pool that opens when it is first needed, so that a server starts, and serves, without Postgres.

    `transactional`: nothing is set or locked for longer than a transaction, so no connection needs a reset.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        size: int | None = None,
        timeout_s: float | None = None,
        transactional: bool = False,
    ) -> None:
        self._url = _database_url(settings)
        self._size = size or settings.database_pool_size
        self._patience_s = settings.database_timeout_s
        self._timeout_s = timeout_s or settings.database_timeout_s
        self._reset = _leave if transactional else None
        self._pool: Pool | None = None
        self._taken = 0
        """Connections, or waited for."""

    @property
    def has_free(self) -> bool:
        """Whether the next connection is had without waiting for another to be given back."""
        return self._taken < self._size

    async def _open(self) -> "Pool":
        if self._pool is None:
            pool = asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=self._size,
                command_timeout=self._timeout_s,
                timeout=_CONNECT_TIMEOUT_S,
                init=_prepare,
                reset=self._reset,
                server_settings={"timezone": "UTC", "application_name": "attribution"},
            )
            self._pool = pool
            await pool
        return self._pool

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[Connection]":
        self._taken += 1
        try:
            with translated_errors():
                pool = await self._open()
                async with pool.acquire(timeout=self._patience_s) as connection:
                    yield connection
        finally:
            self._taken -= 1

    @asynccontextmanager
    async def transaction(self, **options: Any) -> "AsyncIterator[Connection]":
        async with self.connection() as connection:
            with translated_errors():
                async with connection.transaction(**options):
                    yield connection

    async def ping(self) -> None:
        """Raises `DatabaseUnavailableError`."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self, timeout_s: float = 5.0) -> None:
        """`Pool.close` waits for ever for a connection in use; this ends them after `timeout_s`."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
