"""Credits as another model gives them: made for one question, gone with its transaction."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from attribution.domain.ids import ProgramId
from attribution.domain.models import Model

from .credit_entries import COLUMNS, entry
from .credit_facts import CreditFacts
from .report_table import ReportFacts
from .statements import statements
from .stored_conversions import Judged, StoredConversion

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("judged_credits")
BATCH: Final = 25
"""Judged at a time: the event loop answers others in between."""
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

Judge = Callable[[CreditFacts, Sequence[StoredConversion], Model], Awaitable[Sequence[Judged]]]
"""What each conversion's credits would be under the rule it is bound to, with this model in place of the rule's."""


async def judge_again(
    connection: "Connection", judge: Judge, model: Model, program_id: ProgramId, start: datetime, stop: datetime
) -> None:
    """Fills `judged_credits`, in place of `credit_entries`, for conversions of `[start, stop)`, a batch at a time.

    And `judged_attributions`, with those alone that lack a rate.
    """
    await connection.execute(_SQL["stage"])
    await connection.execute(_SQL["stage_attributions"])
    facts = ReportFacts(connection)
    async for keys in facts.keys(program_id, start, stop, BATCH):
        conversions = await facts.conversions(keys)
        judged = await judge(facts, conversions, model)
        rows = [entry(j.conversion.key, None, credit) for j in judged for credit in j.valuation.credits]
        await connection.copy_records_to_table("judged_credits", records=rows, columns=COLUMNS)
        if lacking := [_lacking(j) for j in judged if j.valuation.missing is not None]:
            await connection.copy_records_to_table("judged_attributions", records=lacking)
    await connection.execute(_SQL["analyze"])


def _lacking(judged: Judged) -> tuple[Any, ...]:
    outcome = judged.outcome
    rate = outcome.rate and Decimal(outcome.rate.numerator)
    return (*judged.conversion.key, rate, outcome.missing_day, outcome.missing_base)
