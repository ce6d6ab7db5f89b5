"""Command `dead-letters`: what could not become a row, and what to do about it."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from attribution.adapters.click_table import ClickTable, DeadLetter, Source
from attribution.adapters.postgres import Database
from attribution.errors import AttributionError, RejectedRowsError
from attribution.ingest.steps import redecode
from attribution.settings import Settings

_ALL = 10_000_000
_SHOWN_BYTES = 64


@asynccontextmanager
async def _table(settings: Settings) -> AsyncIterator[ClickTable]:
    database = Database(settings)
    try:
        yield ClickTable(database)
    finally:
        await database.close()


async def list_dead_letters(settings: Settings, limit: int) -> None:
    """One JSON line each, the oldest first."""
    async with _table(settings) as table:
        for letter in await table.dead_letters(limit):
            _print(
                {
                    "id": str(letter.dead_letter_id),
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "created_at": letter.created_at,
                    "bytes": len(letter.data),
                    "data": letter.data[:_SHOWN_BYTES].hex(),
                }
            )


async def replay(settings: Settings, ids: Sequence[str] | None) -> None:
    """Stores those that can be stored by now; the others stay. `None`: all."""
    async with _table(settings) as table:
        stored = [letter.dead_letter_id for letter in await _chosen(table, ids) if await _stored(table, letter)]
        await table.drop_replayed(stored)
    _print({"replayed": len(stored)})


async def drop(settings: Settings, ids: Sequence[str] | None) -> None:
    """`None`: all."""
    async with _table(settings) as table:
        letters = await _chosen(table, ids)
        await table.drop_dead_letters([letter.dead_letter_id for letter in letters])
    _print({"dropped": len(letters)})


async def _chosen(table: ClickTable, ids: Sequence[str] | None) -> list[DeadLetter]:
    if ids is None:
        return await table.dead_letters(_ALL)
    if not all(text.isascii() and text.isdigit() for text in ids):
        raise AttributionError("ids of dead letters are numbers, as `dead-letters list` shows them")
    return await table.dead_letters_by_id([int(text) for text in ids])


async def _stored(table: ClickTable, letter: DeadLetter) -> bool:
    clicks = redecode(letter.data)
    try:
        if clicks:
            sources = [Source(letter.journal_id, 0, clicks.records, {})] if letter.journal_id else []
            await table.store(clicks, [], [], sources)
            await table.reopen(clicks)
    except RejectedRowsError:
        return False
    return bool(clicks)


def _print(line: object) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
