"""Command `rebuild-rollups`: the sums that stats are read from, anew from the rows."""

import asyncio
import sys

import orjson

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.errors import AttributionError
from attribution.settings import Settings

_RETRY_S = 0.1


async def rebuild_rollups(settings: Settings, program_key: str | None) -> None:
    """One JSON line a programme, when it is done. Raises `AttributionError` for no such programme."""
    database = Database(settings)
    try:
        programs = await AuditTable(database).programs(program_key)
        if not programs and program_key is not None:
            raise AttributionError(f"there is no programme {program_key!r}")
        rollups = Rollups(database)
        for program in programs:
            while not await rollups.rebuild(program.program_id):
                await asyncio.sleep(_RETRY_S)  # A worker rolls up just now.
            sys.stdout.write(orjson.dumps({"program": program.key, "rebuilt": True}).decode() + "\n")
    finally:
        await database.close()
