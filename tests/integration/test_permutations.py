"""Every order in which a few deliveries can arrive, each with one of them repeated, ends as the orderly world.

Two sets: 5! orders of click, order, cancellation, update and refund, and 4! of order, update, refund and the code
that the order names; 144 programmes in one database, all judged after each delivery.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from tests.integration.test_code_versions import values
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_credit_entries import _refund
from tests.integration.test_credit_races import LINKS, click, sale
from tests.support.batches import batch_of
from tests.support.recorded import expected, recorded
from tests.support.reference import Code, World, judge_all
from tests.support.worlds import TOKENS, found_program, named_by, order_of, refund_of, stored_click, token_of

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake, Message
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database
from attribution.domain.conversions import ConversionStatus
from attribution.domain.ids import ProgramId

TAP = click(1, 1, "v1")
CODE = Code("ANNA15", 2, "always")
REFUND = _refund("r1", "0.25")
BOUGHT = sale("A", 5, click_id=token_of(TAP))
CANCELLED = replace(sale("A", 5, update=1, click_id=token_of(TAP)), status=ConversionStatus.CANCELLED)
REVIVED = sale("A", 5, update=2, click_id=token_of(TAP), gross_minor=301)
WITH_CODE = sale("A", 5, discount_codes=("anna15",))
CHANGED = sale("A", 5, update=1, discount_codes=("anna15",), gross_minor=301)
TAPPED = World(
    LINKS, [TAP], [order_of(order, named_by(TAP)) for order in (BOUGHT, CANCELLED, REVIVED)],
    refunds=[refund_of(REFUND)],
)  # fmt: skip
CODED = World(
    LINKS, [], [order_of(order) for order in (WITH_CODE, CHANGED)], codes=[CODE], refunds=[refund_of(REFUND)]
)

Deliver = Callable[["Arrivals"], Awaitable[None]]


@dataclass(frozen=True)
class Arrivals:
    """At one programme."""

    database: Database
    program: int

    async def tap(self) -> None:
        batch = batch_of([stored_click(self.program, TAP, TAPPED)])
        await ClickTable(self.database).store(batch, [], [])
        await ClickTable(self.database).reopen(batch)

    async def code(self) -> None:
        """A code that is there is not made again."""
        codes = Objects(self.database, "codes")
        if not await codes.list(self.program, None, 0, 1):
            await codes.create(self.program, values(CODE))


def message(said: Message) -> Deliver:
    async def accept(arrivals: Arrivals) -> None:
        await ConversionIntake(arrivals.database, TOKENS).accept(ProgramId(arrivals.program), [said])

    return accept


def orders_of(deliveries: Sequence[Deliver]) -> list[list[Deliver]]:
    """Every permutation; which delivery comes again, and when, differs from one to the next."""
    orders = []
    for number, order in enumerate(permutations(deliveries)):
        again, at = order[number % len(order)], (number // len(order)) % (len(order) + 1)
        orders.append([*order[:at], again, *order[at:]])
    return orders


async def test_every_order_of_deliveries_ends_as_the_orderly_world(database: Database) -> None:
    tapped = [Arrivals.tap, *(message(said) for said in (BOUGHT, CANCELLED, REVIVED, REFUND))]
    coded = [Arrivals.code, *(message(said) for said in (WITH_CODE, CHANGED, REFUND))]
    runs = [(TAPPED, order) for order in orders_of(tapped)] + [(CODED, order) for order in orders_of(coded)]
    assert len(runs) == 120 + 24
    async with database.connection() as connection:
        for program in range(1, len(runs) + 1):
            await found_program(connection, program, World(LINKS))
    for step in range(len(tapped) + 1):
        for program, (_, order) in enumerate(runs, 1):
            if step < len(order):
                await order[step](Arrivals(database, program))
        await until_idle(database)
    for program, (world, order) in enumerate(runs, 1):
        wanted = {key: expected(judged) for key, judged in judge_all(world).items()}
        assert await recorded(database, program) == wanted, order
