"""Credits are append-only, and a conversion stays with the rule that first credited it."""

import asyncio
from bisect import bisect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, PROGRAMME, Service, click, sale, someone_waits
from tests.support.recorded import recorded
from tests.support.reference import Version, World
from tests.support.waiting import eventually
from tests.support.worlds import HOUR, START, TOKENS, add_rule, found_program, instant, token_of

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.conversions.attributor import judge_and_value
from attribution.conversions.listing import TOUCHES_LISTED
from attribution.conversions.reader import ConversionReader
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.refunds import RefundMessage
from attribution.settings import Settings

LAST = Version(START - 999 * HOUR, {"default": 10 * HOUR}, "last_touch", rule_id=1)
EARLY, LATE = click(1, 1, "v1"), click(3, 2, "v1")


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS, rules=[LAST]))
    yield Service(database)
    await database.close()


async def entries(service: Service) -> list[tuple[Any, ...]]:
    """In the order in which they were appended."""
    async with service.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT entry_id, recorded_at, influencer_id, weight, gross_minor, net_minor"
            " FROM credit_entries ORDER BY entry_id"
        )
    return [tuple(row) for row in rows]


async def queue_all(service: Service) -> None:
    async with service.database.connection() as connection:
        await connection.execute(
            "INSERT INTO credit_queue (program_id, conversion_id) SELECT program_id, conversion_id FROM conversions"
        )


async def make_rule(service: Service, rule: Version) -> None:
    async with service.database.connection() as connection:
        await add_rule(connection, PROGRAM, rule)


async def arrive(service: Service, *clicks: Any) -> None:
    await service.store(*clicks)
    await service.reopen(*clicks)


async def land(service: Service, *clicks: Any) -> None:
    await arrive(service, *clicks)
    await service.settle()


async def test_judging_again_appends_nothing(service: Service) -> None:
    await land(service, EARLY, LATE)
    await service.accept(sale("A", 5, visitor_id="v1"), sale("B", 50, visitor_id="v1"))
    await service.settle()
    before = await entries(service)
    await queue_all(service)
    await service.settle()
    assert await entries(service) == before
    assert len(before) == 2


async def test_a_change_appends_what_differs_and_rewrites_nothing(service: Service) -> None:
    """A late click moves the credit from one influencer to the other; a cancellation takes the money back."""
    await land(service, EARLY)
    await service.accept(sale("A", 5, visitor_id="v1"))
    await service.settle()
    first = await entries(service)
    await land(service, LATE)
    moved = await entries(service)
    assert moved[: len(first)] == first
    assert [row[2:] for row in moved] == [(1, 1, 100, 100), (1, -1, -100, -100), (2, 1, 100, 100)]
    await service.accept(_cancelled(sale("A", 5, update=1, visitor_id="v1")))
    await service.settle()
    cancelled = await entries(service)
    assert cancelled[: len(moved)] == moved
    assert [row[2:] for row in cancelled[len(moved) :]] == [(2, 0, 0, -100)]


async def test_a_refund_splits_the_new_net_by_the_weights_of_the_order(service: Service) -> None:
    """Three linear touches of 1.00 less 0.50 and then 0.49: largest remainder, and only differences are appended."""
    await make_rule(service, Version(START - HOUR, {}, "linear", rule_id=2))
    await land(service, *(click(hour, 1 + hour % 2, "v1") for hour in (1, 2, 3)))
    message = sale("A", 5, visitor_id="v1")
    await service.accept(_refund("r1", "0.50"), message)
    await service.settle()
    first = await entries(service)
    assert [row[4:] for row in first] == [(34, 17), (33, 17), (33, 16)]
    await service.accept(_refund("r2", "0.49"), _refund("r1", "0.50"))
    await service.settle()
    second = await entries(service)
    assert second[: len(first)] == first
    assert sorted(row[3:] for row in second[len(first) :]) == [(0, 0, -17), (0, 0, -16), (0, 0, -16)]
    async with service.database.connection() as connection:
        assert await connection.fetchval("SELECT sum(net_minor) FROM credit_entries") == 1
    assert (await AuditTable(service.database).credits(ProgramId(PROGRAM), None, None, 0, 10)).offending == 0


async def test_the_credits_as_of_any_past_moment_can_be_read(service: Service) -> None:
    """What was recorded by then; the explanation around it is of now."""
    message = sale("A", 5, visitor_id="v1")
    steps: list[Callable[[], Awaitable[None]]] = [
        partial(arrive, service, EARLY),
        partial(service.accept, message),
        partial(arrive, service, LATE),
        partial(service.accept, _refund("r1", "0.25")),
        partial(service.accept, _cancelled(sale("A", 5, update=1, visitor_id="v1"))),
    ]
    moments = []
    for step in steps:
        await step()
        await service.settle()
        moments.append(await service.now())

    async def credited(moment: datetime) -> list[tuple[str, str]]:
        shown = await service.explain(message, moment)
        assert shown["as_of"] == moment
        assert shown["touches"] == (await service.explain(message))["touches"]
        return [(credit["influencer_id"], credit["revenue"]) for credit in shown["credits"]]

    assert [await credited(moment) for moment in moments] == [
        [],
        [("1", "1.00")],
        [("2", "1.00")],
        [("2", "0.75")],
        [("2", "0.00")],
    ]
    reader = ConversionReader(CreditTable(service.database), TOKENS)
    history = await reader.history(PROGRAMME, *message.key, 0, 10)
    assert history is not None
    shown = [(bisect(moments, entry["recorded_at"]), entry["influencer_id"], entry["net"]) for _, entry in history]
    assert sorted(shown) == [
        (1, "1", "1.00"),
        (2, "1", "-1.00"),
        (2, "2", "1.00"),
        (3, "2", "-0.25"),
        (4, "2", "-0.75"),
    ]
    recorded_at = history[0][1]["recorded_at"]
    assert await credited(recorded_at - timedelta(microseconds=1)) == []
    assert await credited(recorded_at) == [("1", "1.00")]
    assert history[0][1]["click_id"] == token_of(EARLY)
    assert await reader.history(PROGRAMME, *message.key, history[-2][0], 10) == history[-1:]


async def test_what_is_being_recorded_is_awaited_so_that_no_past_moment_changes(service: Service) -> None:
    message = sale("A", 5, visitor_id="v1")
    await land(service, EARLY)
    await service.accept(message)
    async with CreditTable(service.database).lead() as session:
        assert session is not None
        work = await session.take(10)
        async with session.transaction():
            await session.write(await judge_and_value(session, await session.conversions([*work.conversions])))
            moment = await service.now()
            asked = asyncio.create_task(service.explain(message, moment))
            await eventually(lambda: someone_waits(service.database))
    shown = await asked
    assert [credit["influencer_id"] for credit in shown["credits"]] == ["1"]
    assert (await service.explain(message, moment))["credits"] == shown["credits"]


async def test_a_moment_to_come_is_taken_as_now(service: Service) -> None:
    message = sale("A", 5, visitor_id="v1")
    await service.accept(message)
    before = await service.now()
    shown = await service.explain(message, before + timedelta(days=1))
    assert before < shown["as_of"] < await service.now()


def _refund(refund_id: str, amount: str) -> RefundMessage:
    return RefundMessage("shop", "A", refund_id, instant(START), amount)


def _cancelled(message: ConversionMessage) -> ConversionMessage:
    return replace(message, status=ConversionStatus.CANCELLED)


async def test_a_late_rule_judges_only_what_has_no_credit_yet(service: Service) -> None:
    """Even one that is effective in the past: a credited conversion stays with its rule, whatever it hears later."""
    await land(service, EARLY, LATE)
    credited, uncredited = sale("A", 5, visitor_id="v1"), sale("B", 50, visitor_id="v1")
    await service.accept(credited, uncredited)
    await service.settle()
    assert (await recorded(service.database, PROGRAM))[uncredited.key].reason == "outside_window"
    await make_rule(service, Version(START - HOUR, {"default": 100 * HOUR}, "first_touch", rule_id=2))
    await queue_all(service)
    await service.settle()
    now = await recorded(service.database, PROGRAM)
    assert (now[credited.key].rule_id, [t.influencer for t in now[credited.key].credits]) == (1, [2])
    assert (now[uncredited.key].rule_id, [t.influencer for t in now[uncredited.key].credits]) == (2, [1])
    await land(service, click(4, 1, "v1"))
    now = await recorded(service.database, PROGRAM)
    assert (now[credited.key].rule_id, [t.influencer for t in now[credited.key].credits]) == (1, [1])


async def test_a_pending_order_is_credited_from_its_click_id_and_refined_by_the_row(service: Service) -> None:
    """The row names the visitor, whose later click then wins."""
    message = sale("A", 5, click_id=token_of(EARLY))
    await land(service, LATE)
    await service.accept(message)
    await service.settle()
    pending = (await recorded(service.database, PROGRAM))[message.key]
    assert (pending.status, [target.influencer for target in pending.credits]) == ("pending", [1])
    await land(service, EARLY)
    refined = (await recorded(service.database, PROGRAM))[message.key]
    assert (refined.status, [target.influencer for target in refined.credits]) == ("attributed", [2])


async def test_an_explanation_lists_the_newest_thousand_and_the_reason_and_counts_the_rest(service: Service) -> None:
    """The credit and its reason are those that are recorded, however many clicks came after the order."""
    old = click(1, 1, "v1")
    await land(service, old, *(click(100 + number, 1, "v1") for number in range(TOUCHES_LISTED + 4)))
    message = sale("A", 50, visitor_id="v1")
    await service.accept(message)
    await service.settle()
    stored = (await recorded(service.database, PROGRAM))[message.key]
    explained = await service.explain(message)
    assert (explained["status"], explained["reason"]) == (stored.status, stored.reason)
    assert stored.reason == "outside_window"
    assert len(explained["touches"]) == TOUCHES_LISTED + 1
    assert explained["touches"][0]["verdict"] == "outside_window"
    assert explained["more_touches"] == 4
