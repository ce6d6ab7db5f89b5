"""Commands `ledger` and `retire-journal`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import orjson

from attribution.adapters.click_stream import StreamCensus
from attribution.adapters.ledger_table import LedgerTable
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.api.ledger import ledger_answer, ledger_period
from attribution.errors import AttributionError
from attribution.settings import Settings
from attribution.stats.ledger import Ledger


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    database, redis = Database(settings), open_redis(settings)
    try:
        yield Ledger(LedgerTable(database), StreamCensus(redis, settings.stream_partitions))
    finally:
        await redis.aclose()
        await database.close()


async def show_ledger(settings: Settings, start: str | None, end: str | None, *, recount: bool) -> None:
    """As `GET /v1/ledger` answers."""
    since, until = ledger_period(start, end, datetime.now(UTC))
    async with _ledger(settings) as ledger:
        report = await ledger.report(since, until, recount=recount)
    sys.stdout.write(orjson.dumps(ledger_answer(report), option=orjson.OPT_INDENT_2).decode() + "\n")


async def retire_journal(settings: Settings, text: str) -> None:
    """For one whose disk is gone for good."""
    try:
        journal_id = UUID(text)
    except ValueError:
        raise AttributionError("a journal's id is a UUID, as `ledger` shows it") from None
    async with _ledger(settings) as ledger:
        if not await ledger.retire(journal_id):
            raise AttributionError("there is no such journal")
