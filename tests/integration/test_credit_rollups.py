"""Rollups of credits and deltas together are the entries, whatever happens to them meanwhile."""

import random

import pytest
from tests.integration.test_credit_convergence import Delivery, found, step, until_idle
from tests.support.worlds import random_world

from attribution.adapters.credit_rollups import CREDIT_ROLLUPS
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.domain.ids import ProgramId

pytestmark = pytest.mark.usefixtures("foreign_program")

PROGRAM = ProgramId(1)
ALL = 1_000_000
ENTRY = """
INSERT INTO credit_entries (
    program_id, conversion_id, recorded_at, via, influencer_id, occurred_at, type, weight, gross_minor, net_minor,
    discount_minor, counted, gross_value, net_value, discount_value, commission
)
SELECT program_id, conversion_id, now(), 'click', 1, occurred_at, type, 1, 100, 100, 0, 1, 100, 100, 0, 10
FROM conversions
ORDER BY conversion_id
LIMIT 1
"""


async def one(database: Database, sql: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(sql) or 0)


async def delivered(database: Database, seed: int) -> Delivery:
    world = random_world(seed)
    await found(database, [PROGRAM], world)
    return Delivery(database, PROGRAM, world, random.Random(seed))  # noqa: S311


async def settle(database: Database, delivery: Delivery) -> None:
    while delivery.waiting:
        await delivery.next()
    await until_idle(database)


@pytest.mark.parametrize("seed", range(6))
async def test_every_rollup_has_every_credit_once(database: Database, seed: int) -> None:
    """While clicks, orders and refunds move credits, some are rolled up, and some programmes rebuilt."""
    rng, rollups = random.Random(seed), Rollups(database)  # noqa: S311
    delivery = await delivered(database, seed)
    while delivery.waiting:
        await delivery.next()
        await step(Attributor(CreditTable(database), AttributorPolicy(rng.choice((1, 3, 100)), 0)))
        await rng.choice((lambda: rollups.roll_up(rng.choice((1, 5, 100))), lambda: rollups.rebuild(PROGRAM)))()
        assert await rollups.credit_mismatches(PROGRAM, ALL) == []
        assert await rollups.customer_mismatches(PROGRAM, ALL) == []
    await settle(database, delivery)
    await rollups.rebuild(PROGRAM)
    await rollups.roll_up(ALL)
    assert await one(database, "SELECT count(*) FROM credit_deltas") == 0
    conversions = await one(database, "SELECT count(*) FROM conversions WHERE status = 'confirmed'")
    for rollup in CREDIT_ROLLUPS:
        for basis in ("conversion", "click"):
            counted = f"SELECT sum(counted) FROM {rollup.table} WHERE basis = '{basis}' AND grain = 'year'"  # noqa: S608
            assert await one(database, counted) == conversions


async def test_entries_of_a_lane_that_commits_late_are_rolled_up_too(database: Database) -> None:
    """Its entries have lower ids than those that another lane committed, and that are rolled up already."""
    rollups = Rollups(database)
    await settle(database, await delivered(database, 1))
    await rollups.rebuild(PROGRAM)
    async with database.transaction() as late:
        await late.execute(ENTRY)
        async with database.transaction() as early:
            await early.execute(ENTRY)
        assert await rollups.roll_up(ALL) == 2  # the entry, and its customer
    assert await one(database, "SELECT count(*) FROM credit_deltas") == 1
    assert await rollups.credit_mismatches(PROGRAM, ALL) == []
    assert await rollups.roll_up(ALL) == 2
    assert await rollups.credit_mismatches(PROGRAM, ALL) == []


async def test_what_differs_from_the_entries_is_found_and_mended_by_a_rebuild(database: Database) -> None:
    rollups = Rollups(database)
    await settle(database, await delivered(database, 1))
    await rollups.rebuild(PROGRAM)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE credits_by_link SET commission = commission + 3 WHERE basis = 'click' AND grain = 'year'"
        )
    mismatches = await rollups.credit_mismatches(PROGRAM, ALL)
    assert {(m.rollup, m.basis, m.grain, m.sums) for m in mismatches} == {
        ("credits_by_link", "click", "year", (0, 0, 0, 0, 3))
    }
    assert await rollups.customer_mismatches(PROGRAM, ALL) == []
    async with database.connection() as connection:
        await connection.execute("UPDATE customer_values SET net_90_minor = net_90_minor + 1")
    customers = await one(database, "SELECT count(*) FROM customer_values WHERE program_id = 1")
    assert 0 < customers == len(await rollups.customer_mismatches(PROGRAM, ALL))
    await rollups.rebuild(PROGRAM)
    assert await rollups.credit_mismatches(PROGRAM, ALL) == []
    assert await rollups.customer_mismatches(PROGRAM, ALL) == []
