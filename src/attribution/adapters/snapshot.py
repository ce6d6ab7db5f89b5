"""One state of the database, so that all that is read of it belongs together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from .postgres import Database, Row
from .statements import statements
from .stats_composer import Statement

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("stats")


class Snapshot:
    """Read through one connection; many statements through a second too, if one is free."""

    def __init__(self, connection: "Connection", second: "_Second | None") -> None:
        self.connection = connection
        self._second = second

    async def fetch(self, statement: Statement) -> list[Row]:
        return await self.connection.fetch(statement.sql, *statement.values)

    async def fetch_all(self, wanted: Sequence[Statement]) -> list[list[Row]]:
        found: list[list[Row]] = [[]] * len(wanted)

        async def keep(number: int, rows: list[Row]) -> None:
            found[number] = rows

        await self.fetch_each(wanted, keep)
        return found

    async def fetch_each(self, wanted: Sequence[Statement], use: Callable[[int, list[Row]], Awaitable[None]]) -> None:
        """Begun in this order; the rows of one are used, by its number, while others are read."""
        waiting = iter(enumerate(wanted))

        async def take(connection: "Connection") -> None:
            for number, statement in waiting:
                await use(number, await connection.fetch(statement.sql, *statement.values))

        connections = [self.connection]
        if self._second and len(wanted) > 1:
            connections += await self._second.beside(self.connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                for connection in connections:
                    tasks.create_task(take(connection))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None


class _Second:
    """A connection that is opened when it is first of use."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._database = database
        self._stack = stack
        self._open: list[Connection] = []

    async def beside(self, first: "Connection") -> Sequence["Connection"]:
        if not self._open and self._database.has_free:
            transaction = self._database.transaction(isolation="repeatable_read", readonly=True)
            second = await self._stack.enter_async_context(transaction)
            name = await first.fetchval(_SQL["export"])
            await second.execute(_SQL["adopt"].format(snapshot=name))
            self._open.append(second)
        return self._open


@asynccontextmanager
async def snapshot(database: Database, *, readonly: bool) -> AsyncIterator[Snapshot]:
    """Who writes, to tables of its own, has one connection: no other sees them."""
    async with AsyncExitStack() as stack:
        transaction = database.transaction(isolation="repeatable_read", readonly=readonly)
        connection = await stack.enter_async_context(transaction)
        yield Snapshot(connection, _Second(database, stack) if readonly else None)
