"""Many conversions are credited in two lanes at once, as if in one."""

import pytest
from tests.integration.test_credit_convergence import assert_converged, found
from tests.support.batches import batch_of
from tests.support.worlds import TOKENS, random_world, stored_click

import attribution.conversions.attributor as attributing
from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.credit_table import CreditSession, CreditTable
from attribution.adapters.postgres import Database
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.domain.ids import ProgramId
from attribution.errors import DatabaseUnavailableError


@pytest.mark.parametrize("seed", range(6))
async def test_lanes_give_the_credits_of_the_reference(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributing, "_WORTH_LANES", 1)
    world = random_world(seed)
    await found(database, [1], world)
    attributor = Attributor(CreditTable(database), AttributorPolicy(7, 0))
    await ConversionIntake(database, TOKENS).accept(ProgramId(1), world.messages)
    while await attributor.step():
        pass
    table = ClickTable(database)
    clicks = batch_of(stored_click(1, click, world.world) for click in world.world.clicks)
    await table.store(clicks, [], [])
    await table.reopen(clicks)
    while await attributor.step():
        pass
    await assert_converged(database, 1, world, seed)


async def test_an_attributor_is_behind_until_a_batch_takes_all_that_waits(database: Database) -> None:
    world = random_world(2)
    await found(database, [1], world)
    await ConversionIntake(database, TOKENS).accept(ProgramId(1), world.messages)
    attributor = Attributor(CreditTable(database), AttributorPolicy(1, 0))
    await attributor.step()
    assert attributor.behind
    while await attributor.step():
        pass
    assert not attributor.behind


async def test_a_lane_of_a_leader_that_lost_the_lead_writes_nothing(database: Database) -> None:
    """Its own connection may live on while the leader's is dead; two who write differences would pay twice."""
    world = random_world(1)
    await found(database, [1], world)
    await ConversionIntake(database, TOKENS).accept(ProgramId(1), world.messages)
    table = CreditTable(database)
    async with table.lead() as old:
        assert old is not None
        await old.take(1)
        async with old.lane() as lane:
            async with database.connection() as connection:
                await CreditSession(connection, database).take(1)
            with pytest.raises(DatabaseUnavailableError, match="leads"):
                async with lane.transaction():
                    raise AssertionError("may not begin")
