"""Command `audit`: whether all that is recorded adds up."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.api.audit import audit_period
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.domain.ids import ProgramId
from attribution.errors import AttributionError
from attribution.settings import Settings

Check = Callable[[AuditTable, ProgramId, AuditPeriod, int, int], Awaitable[Mapping[str, Any]]]
CHECKS: Mapping[str, Check] = {"credits": audit_credits}
"""By the name of its answer, which has the count `offending`."""


async def _audit_rollups(rollups: Rollups, program_id: ProgramId, limit: int) -> Mapping[str, Any]:
    """Of all time: what the sums have more than the rows, or less; and costs whose owners are not their posts'."""
    offenders = [asdict(mismatch) for mismatch in await rollups.mismatches(program_id, limit)]
    offenders += [asdict(mismatch) for mismatch in await rollups.credit_mismatches(program_id, limit)]
    offenders += [asdict(mismatch) for mismatch in await rollups.insight_mismatches(program_id, limit)]
    offenders += [
        {"rollup": "customer_values", "customer_id": customer}
        for customer in await rollups.customer_mismatches(program_id, limit)
    ]
    offenders += [asdict(mismatch) for mismatch in await rollups.cost_mismatches(program_id, limit)]
    return {"offending": len(offenders), "offenders": offenders}


async def audit(settings: Settings, program_key: str | None, start: str | None, end: str | None, limit: int) -> bool:
    """One JSON line a programme. True when nothing offends. Raises `AttributionError` for a wrong key or period."""
    database = Database(settings)
    try:
        table = AuditTable(database)
        programs = await table.programs(program_key)
        if not programs and program_key is not None:
            raise AttributionError(f"there is no programme {program_key!r}")
        holds = True
        for program in programs:
            period = audit_period(start, end, program.timezone)
            answers = {
                name: await check(table, program.program_id, period, 0, limit) for name, check in CHECKS.items()
            }
            answers["rollups"] = await _audit_rollups(Rollups(database), program.program_id, limit)
            holds = holds and not any(answer["offending"] for answer in answers.values())
            sys.stdout.write(orjson.dumps({"program": program.key, **answers}, default=str).decode() + "\n")
        return holds
    finally:
        await database.close()
