"""kill -9 of the process that recomputes: the next one goes on, and the outcome is that of an undisturbed run."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.support.processes import is_alive
from tests.support.service import Service, service
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = 6_000
_CLICKS = """
INSERT INTO clicks (
    program_id, clicked_at, click_id, link_id, influencer_id, is_bot, agent_class, visitor_id
)
SELECT 1, at, (lpad(to_hex((extract(epoch FROM at) * 1e6)::bigint), 16, '0') || lpad(to_hex(n), 16, '0'))::uuid,
       (SELECT min(link_id) FROM links), influencer_id, false, 'browser', 'v' || n
FROM generate_series(1, $1::int) n
CROSS JOIN influencers
CROSS JOIN LATERAL (
    SELECT date_trunc('month', now()) + n * interval '1 second' + influencer_id * interval '1 hour' AS at
) t
"""
_ORDERS = """
WITH orders AS (
    INSERT INTO conversions (
        program_id, source, type, external_id, updated_at, content_hash, status, occurred_at, currency, gross_minor,
        discount_minor, visitor_id, discount_codes
    )
    SELECT 1, 'shop', 'purchase', n::text, at, '', 'confirmed', at, 'EUR', 1001, 0, 'v' || n, '{}'
    FROM generate_series(1, $1::int) n
    CROSS JOIN LATERAL (SELECT date_trunc('month', now()) + n * interval '1 second' + interval '5 hours' AS at) t
    RETURNING program_id, conversion_id
)
INSERT INTO credit_queue (program_id, conversion_id) SELECT * FROM orders
"""
_ASK = """
INSERT INTO recomputations (program_id, start_at, end_at, model, dry_run)
VALUES (1, date_trunc('month', now()), date_trunc('month', now()) + interval '1 day', $1, $2)
RETURNING recomputation_id
"""
_DIFFERENCES = """
SELECT conversion_id, via, influencer_id, currency, weight_units_before, net_minor_before, weight_units_after,
       net_minor_after
FROM recomputation_differences WHERE recomputation_id = $1 ORDER BY 1, 2, 3
"""
# What each influencer has of each order now, and how many entries a recomputation appended for it.
_CREDITS = """
SELECT conversion_id, influencer_id, (sum(weight) * 1e18)::bigint AS weight_units,
       sum(net_minor)::bigint AS net_minor, count(*) FILTER (WHERE recomputation_id = $1) AS entries
FROM credit_entries GROUP BY 1, 2 ORDER BY 1, 2
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Orders of two touches each, credited to the last."""
    async with service(tmp_path_factory.mktemp("service")) as started:
        await started.execute("INSERT INTO influencers (program_id, name, status) VALUES (1, 'A', 'active')")
        await started.execute("INSERT INTO influencers (program_id, name, status) VALUES (1, 'B', 'active')")
        await eventually(lambda: partitioned(started), timeout=30)
        await started.execute(_CLICKS, ORDERS)
        await started.execute(_ORDERS, ORDERS)
        await eventually(lambda: settled(started), timeout=60)
        yield started


async def partitioned(service: Service) -> bool:
    return bool(await service.fetch("SELECT FROM pg_inherits WHERE inhparent = 'clicks'::regclass"))


async def settled(service: Service) -> bool:
    return not await service.fetch("SELECT FROM credit_queue LIMIT 1")


async def ask(service: Service, model: str, *, dry_run: bool) -> int:
    [(recomputation_id,)] = await service.fetch(_ASK, model, dry_run)
    return int(recomputation_id)


async def state(service: Service, recomputation_id: int) -> Any:
    [row] = await service.fetch(
        "SELECT status, done, total, changed FROM recomputations WHERE recomputation_id = $1", recomputation_id
    )
    return row


async def undisturbed(service: Service, recomputation_id: int) -> None:
    async def is_done() -> bool:
        return str((await state(service, recomputation_id))["status"]) == "done"

    await eventually(is_done, timeout=60)


async def disturbed(service: Service, recomputation_id: int) -> None:
    """Killed twice, each time somewhere on its way."""
    reached = 0
    for _ in range(2):
        while (row := await state(service, recomputation_id))["done"] <= reached:
            await asyncio.sleep(0.005)
        assert row["status"] == "running"
        kill(service)
        reached = (await state(service, recomputation_id))["done"]
        assert 0 < reached < ORDERS
        service.consumer.start()
    await undisturbed(service, recomputation_id)


def kill(service: Service) -> None:
    workers = service.consumer.children()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    service.consumer.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))


async def test_a_dry_run_that_was_killed_says_what_an_undisturbed_one_says(running: Service) -> None:
    control = await ask(running, "linear", dry_run=True)
    await undisturbed(running, control)
    killed = await ask(running, "linear", dry_run=True)
    await disturbed(running, killed)
    wanted = await running.fetch(_DIFFERENCES, control)
    assert len(wanted) == 2 * ORDERS
    assert await running.fetch(_DIFFERENCES, killed) == wanted
    assert await state(running, killed) == await state(running, control) == ("done", ORDERS, ORDERS, ORDERS)


async def test_an_applied_one_that_was_killed_doubles_and_loses_nothing(running: Service) -> None:
    """Two entries an order: what the last touch had, and what the first has now."""
    control = await ask(running, "first_touch", dry_run=True)
    await undisturbed(running, control)
    killed = await ask(running, "first_touch", dry_run=False)
    await disturbed(running, killed)
    assert await running.fetch(_DIFFERENCES, killed) == await running.fetch(_DIFFERENCES, control)
    assert tuple(await state(running, killed)) == ("done", ORDERS, ORDERS, ORDERS)
    credits_ = await running.fetch(_CREDITS, killed)
    assert {tuple(row)[1:] for row in credits_} == {(1, 10**18, 1001, 1), (2, 0, 0, 1)}
    assert len(credits_) == 2 * ORDERS
