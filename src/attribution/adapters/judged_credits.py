"""Credits as another model gives them: made for one question, gone with its transaction."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from attribution.domain.attribution import WEIGHT_UNITS, Attribution
from attribution.domain.ids import ProgramId
from attribution.domain.models import Model

from .credit_table import CreditFacts, StoredConversion
from .report_table import ReportFacts
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("judged_credits")
_BATCH: Final = 100
_COLUMNS: Final = (
    "program_id", "conversion_id", "influencer_id", "campaign_id", "channel", "post_id", "link_id", "click_id",
    "code", "weight", "gross_minor", "net_minor", "discount_minor",
)  # fmt: skip
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

Judge = Callable[[CreditFacts, Sequence[StoredConversion], Model], Awaitable[Sequence[Attribution]]]
"""What each conversion's credits would be under the rule it is bound to, with this model in place of the rule's."""


async def judge_again(
    connection: "Connection", judge: Judge, model: Model, program_id: ProgramId, start: datetime, stop: datetime
) -> None:
    """Fills `judged_credits`, in place of `credit_entries`, for conversions of `[start, stop)`, a batch at a time."""
    await connection.execute(_SQL["stage"])
    facts = ReportFacts(connection)
    async for keys in facts.keys(program_id, start, stop, _BATCH):
        conversions = await facts.conversions(keys)
        judged = await judge(facts, conversions, model)
        rows = [row for pair in zip(conversions, judged, strict=True) for row in _rows(*pair)]
        await connection.copy_records_to_table("judged_credits", records=rows, columns=_COLUMNS)
    await connection.execute(_SQL["analyze"])


def _rows(conversion: StoredConversion, attribution: Attribution) -> Iterator[tuple[Any, ...]]:
    for credit in attribution.credits:
        yield (
            *conversion.key, credit.influencer_id, credit.campaign_id, credit.channel and credit.channel.value,
            credit.post_id, credit.link_id, credit.click_id and UUID(bytes=credit.click_id), credit.code,
            Decimal(credit.weight_units) / WEIGHT_UNITS, credit.gross_minor, credit.net_minor, credit.discount_minor,
        )  # fmt: skip
