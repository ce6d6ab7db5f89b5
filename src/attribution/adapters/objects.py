"""The objects that a programme manages, and programmes themselves.

Each noun has its statements `insert`, `read`, `list`, and what changes has `lock`, `update`, `disable`.
Values go in as one JSON object, so that statements take their columns by name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from attribution.errors import AttributionError, ConflictError, FieldError, InvalidInputError, NotFoundError

from .postgres import Database, Row
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

Values = Mapping[str, Any]

_CONSTRAINT = re.compile(r"(?:[a-z_]+_program_id_|[a-z]+_)(?P<column>[a-z_]+?)_f?key")


def _column(error: asyncpg.IntegrityConstraintViolationError) -> str:
    match = _CONSTRAINT.fullmatch(error.constraint_name or "")
    return match["column"] if match else "name"


@contextmanager
def _named_refusals() -> Iterator[None]:
    """What the schema refuses, in the words of the API."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"{_column(error)} is taken") from error
    except asyncpg.ExclusionViolationError as error:
        raise ConflictError("code belongs to another influencer, or twice to one, on some of these dates") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise InvalidInputError(FieldError(("body", _column(error)), "is unknown in this programme")) from error


class Objects:
    """`scope`: the programme whose objects are meant; None, for programmes themselves, is all of them."""

    def __init__(self, database: Database, noun: str) -> None:
        self._database = database
        self._sql = statements(noun)

    async def create(self, scope: int | None, values: Values) -> Row:
        async with self._database.transaction() as connection:
            return await self._insert(connection, scope, values)

    async def create_each(self, rows: Sequence[tuple[int, Values]]) -> list[Row | AttributionError]:
        """One transaction; a refused row is answered by its error and the others stand."""
        async with self._database.transaction() as connection:
            return [await self._try_insert(connection, scope, values) for scope, values in rows]

    async def read(self, scope: int | None, object_id: int) -> Row:
        async with self._database.connection() as connection:
            return await self._read(connection, scope, object_id)

    async def list(self, scope: int | None, external_id: str | None, after: int, limit: int) -> Sequence[Row]:
        async with self._database.connection() as connection:
            return await connection.fetch(self._sql["list"], scope, external_id, after, limit)

    async def history(self, scope: int, object_id: int, after: int, limit: int) -> Sequence[Row]:
        """Its versions, the oldest first. Raises `NotFoundError` where there is no such object."""
        async with self._database.connection() as connection:
            await self._read(connection, scope, object_id)
            return await connection.fetch(self._sql["history"], scope, object_id, after, limit)

    async def succeed(self, scope: int, object_id: int, parts: Callable[[Row], tuple[Values, Values]]) -> Row:
        """Changes one object and makes the next, at once: `parts` makes the values of both of the old row."""
        async with self._database.transaction() as connection:
            await connection.execute(self._sql["lock"], scope, object_id)
            ended, successor = parts(await self._read(connection, scope, object_id))
            with _named_refusals():
                await connection.execute(self._sql["update"], scope, object_id, ended)
            return await self._insert(connection, scope, successor)

    async def change(self, scope: int | None, object_id: int, merge: Callable[[Row], Values]) -> Row:
        """`merge` makes the new values of the old row, which is locked meanwhile."""
        async with self._database.transaction() as connection:
            await connection.execute(self._sql["lock"], scope, object_id)
            values = merge(await self._read(connection, scope, object_id))
            with _named_refusals():
                await connection.execute(self._sql["update"], scope, object_id, values)
            return await self._read(connection, scope, object_id)

    async def disable(self, scope: int, object_id: int) -> Row:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._sql["disable"], scope, object_id)
        if row is None:
            raise NotFoundError
        return row

    async def _read(self, connection: "Connection", scope: int | None, object_id: int) -> Row:
        row = await connection.fetchrow(self._sql["read"], scope, object_id)
        if row is None:
            raise NotFoundError
        return row

    async def _insert(self, connection: "Connection", scope: int | None, values: Values) -> Row:
        with _named_refusals():
            object_id = await connection.fetchval(self._sql["insert"], scope, values)
        return await self._read(connection, scope, object_id)

    async def _try_insert(self, connection: "Connection", scope: int, values: Values) -> Row | AttributionError:
        try:
            async with connection.transaction():
                return await self._insert(connection, scope, values)
        except (ConflictError, InvalidInputError) as error:
            return error
