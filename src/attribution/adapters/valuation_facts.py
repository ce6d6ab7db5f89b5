"""Reads what conversions are valued by: whether their customers are new, plans, exchange rates."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attribution.domain.commission import PlanBook
from attribution.domain.conversions import ConversionStatus
from attribution.domain.fx import RateBook, day_of
from attribution.domain.ids import ConversionId, ProgramId
from attribution.domain.valuation import Books, ConversionTerms

from .commission_plan_table import plan_books
from .fx_rate_table import rate_book
from .statements import statements
from .stored_conversions import StoredConversion, arrays_of

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("valuations")


class ValuationFacts:
    """In whatever transaction the connection is in."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def terms(self, conversions: Sequence[StoredConversion]) -> list[ConversionTerms]:
        returning = await self._returning(conversions)
        return [
            ConversionTerms(
                c.type,
                c.currency,
                _is_new(c, returning),
                c.status is ConversionStatus.CANCELLED,
                c.bound_at_us,
                c.valued_at_us,
            )
            for c in conversions
        ]

    async def _returning(self, conversions: Sequence[StoredConversion]) -> set[ConversionId]:
        """Those before which their customer had bought something, where the shop does not say."""
        unsaid = [c for c in conversions if c.new_customer is None and c.customer_id is not None]
        if not unsaid:
            return set()
        rows = await self._connection.fetch(_SQL["returning"], *arrays_of(c.key for c in unsaid))
        return {row["conversion_id"] for row in rows}

    async def books(self, conversions: Sequence[StoredConversion]) -> dict[ProgramId, Books]:
        programs = list({c.program_id for c in conversions})
        plans = await plan_books(self._connection, programs)
        rows = await self._connection.fetch(_SQL["programs"], programs)
        return {
            row["program_id"]: await self._book(
                row["program_id"], row["currency"], row["timezone"], plans[row["program_id"]], conversions
            )
            for row in rows
        }

    async def _book(
        self,
        program_id: ProgramId,
        currency: str,
        timezone: str,
        plans: PlanBook,
        conversions: Iterable[StoredConversion],
    ) -> Books:
        """Rates are read of the days that need one."""
        pays_foreign = bool(plans.currencies - {currency})
        days = {
            day_of(c.facts.occurred_at_us, timezone)
            for c in conversions
            if c.program_id == program_id and (pays_foreign or c.currency != currency)
        }
        rates = await rate_book(self._connection, program_id, days) if days else RateBook(())
        return Books(currency, timezone, plans, rates)


def _is_new(conversion: StoredConversion, returning: set[ConversionId]) -> bool | None:
    """As the shop says; else whether nothing was bought before. None: the customer is not known."""
    if conversion.new_customer is not None or conversion.customer_id is None:
        return conversion.new_customer
    return conversion.conversion_id not in returning
