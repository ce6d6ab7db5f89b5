"""Any order in which a few deliveries can arrive, any of them repeated at any place, ends as the orderly world.

Two sets: click, order, cancellation, update and refund, in 5 * 6!/2 orders; and order, update, refund and the code
that the order names, in 4 * 5!/2. Each is of an order, a visitor and a code of its own, all in one programme, where
all that wait are judged after each delivery.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from tests.integration.test_code_versions import values
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_credit_entries import _refund
from tests.integration.test_credit_races import LINKS, sale
from tests.support.batches import batch_of
from tests.support.recorded import Recorded, expected, recorded
from tests.support.reference import Click, Code, World, judge_all
from tests.support.worlds import (
    START,
    TOKENS,
    found_program,
    named_by,
    order_of,
    refund_of,
    stored_click,
    token_of,
)

from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake, Message
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Database
from attribution.domain.click_id import make_click_id
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.refunds import RefundMessage

PROGRAM = 1
HOUR_US = 3_600_000_000
Delivery = Click | Code | Message


@dataclass(frozen=True)
class Story:
    """`deliveries`: as they come."""

    name: str
    deliveries: Sequence[Delivery]

    def expected(self) -> Recorded:
        """As all of it says, in whatever order."""
        clicks = [said for said in self.deliveries if isinstance(said, Click)]
        named = named_by(clicks[0]) if clicks else None
        world = World(
            LINKS,
            clicks[:1],
            [order_of(said, named) for said in self.deliveries if isinstance(said, ConversionMessage)],
            codes=[said for said in self.deliveries if isinstance(said, Code)][:1],
            refunds=list({refund_of(said) for said in self.deliveries if isinstance(said, RefundMessage)}),
        )
        [judged] = judge_all(world).values()
        return expected(judged)


def tapped(number: int) -> tuple[Delivery, ...]:
    at = START + HOUR_US
    tap = Click(make_click_id(at, number.to_bytes(8, "big")), at, 1, f"v{number}")
    bought = sale(name(number), 5, click_id=token_of(tap))
    return (
        tap,
        bought,
        replace(bought, updated_at=sale("", 5, update=1).updated_at, status=ConversionStatus.CANCELLED),
        sale(name(number), 5, update=2, click_id=token_of(tap), gross_minor=301),
        replace(_refund("r1", "0.25"), external_id=name(number)),
    )


def coded(number: int) -> tuple[Delivery, ...]:
    text = f"anna{number}"
    return (
        Code(text.upper(), 2, "always"),
        sale(name(number), 5, discount_codes=(text,)),
        sale(name(number), 5, update=1, discount_codes=(text,), gross_minor=301),
        replace(_refund("r1", "0.25"), external_id=name(number)),
    )


def name(number: int) -> str:
    return f"A{number}"


def arrivals(deliveries: int) -> Iterator[tuple[int, ...]]:
    """Each distinct order of so many deliveries, one of them twice."""
    for again in range(deliveries):
        yield from sorted(set(permutations([*range(deliveries), again])))


def stories() -> list[Story]:
    told: list[Story] = []
    for tell, deliveries in ((tapped, 5), (coded, 4)):
        for order in arrivals(deliveries):
            said = tell(len(told))
            told.append(Story(name(len(told)), [said[i] for i in order]))
    return told


async def deliver(database: Database, said: Sequence[Delivery], made: set[Code]) -> None:
    """`made`: codes that are there; such a one is not made again."""
    batch = batch_of([stored_click(PROGRAM, click, World(LINKS)) for click in said if isinstance(click, Click)])
    await ClickTable(database).store(batch, [], [])
    await ClickTable(database).reopen(batch)
    for code in {code for code in said if isinstance(code, Code)} - made:
        await Objects(database, "codes").create(PROGRAM, values(code))
        made.add(code)
    messages = [message for message in said if isinstance(message, ConversionMessage | RefundMessage)]
    await ConversionIntake(database, TOKENS).accept(ProgramId(PROGRAM), messages)


async def test_every_order_of_deliveries_ends_as_the_orderly_world(database: Database) -> None:
    told = stories()
    assert len(told) == 5 * 360 + 4 * 60
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
    made: set[Code] = set()
    for step in range(6):
        await deliver(database, [story.deliveries[step] for story in told if step < len(story.deliveries)], made)
        await until_idle(database)
    found = await recorded(database, PROGRAM)
    for story in told:
        assert found["shop", "purchase", story.name] == story.expected(), story.deliveries
