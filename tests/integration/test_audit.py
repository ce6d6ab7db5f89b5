"""What is recorded is proved to add up, and rows that were tampered with are found."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_credit_convergence import found, until_idle
from tests.integration.test_credit_entries import queue_all
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.api import Api, assert_problem
from tests.support.batches import batch_of
from tests.support.facts import Facts, Plan, Rate, random_facts, store_facts, store_plans
from tests.support.reference import World
from tests.support.worlds import (
    TOKENS,
    found_foreign_program,
    found_program,
    instant,
    random_world,
    stored_click,
)

from attribution import cli
from attribution.adapters.audit_table import AuditTable
from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.domain.conversions import ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.refunds import RefundMessage

EVER = AuditPeriod()
NO_FACTS = Facts()
_TWO = "conversion_id = (SELECT conversion_id FROM conversions WHERE external_id = 'two')"


@pytest_asyncio.fixture
async def service(database: Database) -> Service:
    return await orders(database)


async def orders(database: Database, facts: Facts = NO_FACTS, **fields: Any) -> Service:
    """Three: of two touches in equal parts, of one touch, of nobody."""
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
        await connection.execute("ALTER TABLE programs ALTER COLUMN program_id RESTART WITH 100")
        await connection.execute(
            "INSERT INTO rules (program_id, effective_from, model, windows, min_click_to_conversion)"
            " VALUES ($1, 'epoch', 'linear', '{}', '0')",
            PROGRAM,
        )
        await store_facts(connection, PROGRAM, facts)
    service = Service(database)
    await service.store(click(1, 1, "v1"), click(2, 2, "v1"), click(3, 1, "v2"))
    await service.accept(
        sale("two", 5, visitor_id="v1", **fields),
        sale("one", 6, visitor_id="v2", **fields),
        sale("none", 7, visitor_id="v3", **fields),
    )
    await service.settle()
    return service


async def audited(service: Service, period: AuditPeriod = EVER, after: int = 0, limit: int = 100) -> dict[str, Any]:
    return await audit_credits(AuditTable(service.database), ProgramId(PROGRAM), period, after, limit)


async def problems(service: Service) -> dict[str, list[str]]:
    audit = await audited(service)
    assert audit["offending"] == len(audit["offenders"])
    return {offender["external_id"]: offender["problems"] for offender in audit["offenders"]}


async def offenders(service: Service, period: AuditPeriod) -> set[str]:
    return {offender["external_id"] for offender in (await audited(service, period))["offenders"]}


async def tamper(service: Service, statement: str) -> None:
    async with service.database.connection() as connection:
        await connection.execute(statement.replace("{two}", _TWO))


async def test_sound_credits_have_no_offender(database: Database) -> None:
    """Of random worlds, with codes, refunds, cancellations and conversions that nobody earned."""
    async with database.connection() as connection:
        await found_foreign_program(connection)
    for program in range(1, 5):
        world = random_world(program)
        await found(database, [program], world)
        async with database.connection() as connection:
            await store_facts(connection, program, random_facts(program))
        clicks = batch_of(stored_click(program, c, world.world) for c in world.world.clicks)
        await ClickTable(database).store(clicks, [], [])
        await ConversionIntake(database, TOKENS).accept(ProgramId(program), world.messages)
        await until_idle(database)
        audit = await audit_credits(AuditTable(database), ProgramId(program), EVER)
        assert audit["conversions"] == len({order.key for order in world.world.orders})
        assert (audit["waiting"], audit["offending"], audit["problems"], audit["offenders"]) == (0, 0, {}, [])


TAMPERED = [
    ("UPDATE credit_entries SET weight = weight - 1e-18 WHERE {two} AND influencer_id = 1", ["weight"]),
    ("UPDATE credit_entries SET net_minor = net_minor + 1 WHERE {two} AND influencer_id = 1", ["net"]),
    ("UPDATE credit_entries SET gross_minor = gross_minor - 1 WHERE {two} AND influencer_id = 1", ["gross"]),
    ("UPDATE credit_entries SET discount_minor = 1 WHERE {two} AND influencer_id = 1", ["discount"]),
    ("UPDATE credit_entries SET net_value = net_value + 1 WHERE {two} AND influencer_id = 1", ["value"]),
    ("UPDATE credit_entries SET counted = 0 WHERE {two} AND influencer_id = 1", ["value"]),
    ("DELETE FROM credit_entries WHERE {two}", ["no_entries", "status"]),
    ("DELETE FROM attributions WHERE {two}", ["no_attribution"]),
    ("UPDATE attributions SET bound_at = NULL WHERE {two}", ["unbound"]),
    ("UPDATE attributions SET status = 'unattributed' WHERE {two}", ["status"]),
    ("UPDATE credit_entries SET via = 'none' WHERE {two}", ["status"]),
    ("UPDATE conversions SET gross_minor = 101 WHERE external_id = 'two'", ["gross", "net", "value"]),
    ("UPDATE conversions SET status = 'cancelled' WHERE external_id = 'two'", ["net", "value"]),
    (
        """
        INSERT INTO credit_entries (program_id, conversion_id, recorded_at, via, influencer_id, link_id, click_id,
                                    occurred_at, clicked_at, type, weight, gross_minor, net_minor, discount_minor,
                                    counted, gross_value, net_value, discount_value, commission)
        SELECT program_id, conversion_id, now(), via, influencer_id, link_id, click_id, occurred_at, clicked_at, type,
               CASE influencer_id WHEN 1 THEN -0.75 ELSE 0.75 END, 0, 0, 0, 0, 0, 0, 0, 0
        FROM credit_entries WHERE {two}
        """,
        ["negative_part"],
    ),
]


@pytest.mark.parametrize(("statement", "expected"), TAMPERED)
async def test_a_row_that_was_tampered_with_is_found(service: Service, statement: str, expected: list[str]) -> None:
    """To the last minor unit and the last digit of a weight; the other conversions are not accused."""
    await tamper(service, statement)
    assert await problems(service) == {"two": expected}
    assert (await audited(service))["problems"] == dict.fromkeys(expected, 1)


async def test_an_offender_shows_what_was_expected_and_what_was_found(service: Service) -> None:
    await tamper(service, "UPDATE credit_entries SET weight = weight - 1e-18, net_minor = 0 WHERE {two}")
    [offender] = (await audited(service))["offenders"]
    assert (offender["source"], offender["type"], offender["currency"]) == ("shop", "purchase", "EUR")
    value = {"counted": "1", "gross_value": "1.00", "net_value": "1.00", "discount_value": "0.00"}
    sums = {"gross": "1.00", "discount": "0.00", **value}
    assert offender["expected"] == {"weight": "1", "net": "1.00", **sums}
    assert offender["found"] == {"weight": "0.999999999999999998", "net": "0.00", **sums}


async def test_an_offender_shows_its_value_in_the_programmes_currency(database: Database) -> None:
    rate = Rate(date(2026, 3, 20), "USD", "EUR", Decimal("0.9"))
    service = await orders(database, Facts(rates=[rate]), currency="USD")
    await tamper(service, "UPDATE credit_entries SET net_value = net_value + 7, counted = 0 WHERE {two}")
    [offender] = (await audited(service))["offenders"]
    assert offender["problems"] == ["value"]
    assert (offender["currency"], offender["value_currency"]) == ("USD", "EUR")
    told = ("net", "counted", "net_value", "discount_value")
    assert [offender["expected"][name] for name in told] == ["1.00", "1", "0.90", "0.00"]
    assert [offender["found"][name] for name in told] == ["1.00", "0", "1.04", "0.00"]


PERCENT = Plan(0, percent=Decimal("33.333"))
FLAT = Plan(0, flat=501, currency="EUR")


@pytest.mark.parametrize(
    ("plans", "changes", "told"),
    [
        ([PERCENT], "1 THEN 5", ["0.17", "0.17", "0.05"]),
        ([PERCENT], "1 THEN 17 + 1 WHEN 2 THEN 17 - 1", ["0.17", "0.17", "0.18"]),
        ([replace(PERCENT, influencer=2)], "1 THEN 1", ["0.00", "0.00", "0.01"]),
        ([], "1 THEN 600", ["0.00", "0.00", "6.00"]),
        ([FLAT], "1 THEN 252", ["2.50", "2.51", "2.52"]),
        ([FLAT], "1 THEN 250", ["2.50", "2.51", "2.50"]),
        ([FLAT, replace(PERCENT, influencer=2)], "1 THEN 249", ["2.50", "2.51", "2.49"]),
        (
            [replace(FLAT, currency="USD"), replace(PERCENT, influencer=1)],
            "1 THEN 0 WHEN 2 THEN 9",
            ["0.17", "0.17", "0.00"],
        ),
    ],
)
async def test_a_commission_that_its_plan_does_not_give_is_found(
    database: Database, plans: Sequence[Plan], changes: str, told: list[str]
) -> None:
    """To the last minor unit, though nothing is negative and the sums are the same."""
    rate = Rate(date(2026, 3, 20), "USD", "EUR", Decimal("0.9"))
    service = await orders(database, Facts(plans=plans, rates=[rate]))
    assert await problems(service) == {}
    case = f"CASE influencer_id WHEN {changes} ELSE commission END"
    await tamper(service, f"UPDATE credit_entries SET commission = {case} WHERE {{two}}")  # noqa: S608
    [offender] = (await audited(service))["offenders"]
    assert (offender["external_id"], offender["problems"]) == ("two", ["commission"])
    [first, *_] = offender["commissions"]
    assert first["influencer_id"] == "1"
    assert [first["at_least"], first["at_most"], first["found"]] == told


async def test_a_plan_made_later_and_what_was_given_back_accuse_nobody(service: Service) -> None:
    async with service.database.connection() as connection:
        await store_plans(connection, PROGRAM, [PERCENT, FLAT])
    assert await problems(service) == {}
    await queue_all(service)
    await service.settle()
    assert await problems(service) == {}
    await service.accept(
        sale("two", 5, update=1, visitor_id="v1", status=ConversionStatus.CANCELLED),
        RefundMessage("shop", "one", "r", instant(0), "1"),
    )
    await service.settle()
    assert await problems(service) == {}


async def test_what_waits_to_be_judged_is_counted_and_not_accused(service: Service) -> None:
    """A new amount is recorded before its credits: alone, or with all of its customer."""
    await service.accept(
        sale("two", 5, update=1, visitor_id="v1", customer_id="c1"), sale("new", 8, customer_id="c1")
    )
    audit = await audited(service)
    assert (audit["conversions"], audit["waiting"], audit["offending"]) == (4, 2, 0)
    await tamper(service, "DELETE FROM credit_queue WHERE conversion_id IS NOT NULL")
    assert (await audited(service))["waiting"] == 2
    await tamper(service, "DELETE FROM credit_queue")
    assert await problems(service) == {"new": ["no_entries"]}
    await queue_all(service)
    await service.settle()
    assert await problems(service) == {}


async def test_a_period_takes_conversions_by_their_moment(service: Service) -> None:
    await tamper(service, "DELETE FROM credit_entries")
    start, end = instant(0), sale("one", 6).occurred_at
    assert await offenders(service, AuditPeriod(start, end)) == {"two"}
    assert await offenders(service, AuditPeriod(end, None)) == {"one", "none"}
    assert (await audited(service, AuditPeriod(end, end)))["conversions"] == 0


async def test_the_api_lists_offenders_by_pages(service: Service, api: Api) -> None:
    await tamper(service, "DELETE FROM credit_entries")
    query = {"program": f"programme-{PROGRAM}", "limit": "2"}
    first = (await api.ask("GET", "/v1/audit/credits", params=query)).json()
    assert (first["conversions"], first["offending"], first["from"]) == (3, 3, None)
    second = (await api.ask("GET", "/v1/audit/credits", params=query | {"cursor": first["next_cursor"]})).json()
    assert (len(first["data"]), len(second["data"])) == (2, 1)
    assert len({offender["id"] for offender in [*first["data"], *second["data"]]}) == 3
    assert second["next_cursor"] is None
    backwards = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    assert_problem(await api.ask("GET", "/v1/audit/credits", params=backwards), 422, "query", "to")
    assert_problem(await api.ask("GET", "/v1/audit/credits", params={"from": "yesterday"}), 422, "query", "from")


async def test_a_programme_is_audited_without_the_others(service: Service, api: Api) -> None:
    await tamper(service, "DELETE FROM credit_entries")
    await api.make("programs", key="acme", name="Acme", currency="EUR")
    audit = (await api.ask("GET", "/v1/audit/credits", params={"program": "acme"})).json()
    assert (audit["conversions"], audit["data"]) == (0, [])


async def test_a_period_may_be_dates_in_the_programmes_zone(api: Api) -> None:
    await api.make("programs", key="acme", name="Acme", currency="EUR", timezone="Europe/Berlin")
    order = {"order_id": "1", "ordered_at": "2026-03-28T23:30:00Z", "currency": "EUR", "amount": "1"}
    assert (await api.ask("POST", "/v1/orders", order | {"program": "acme"})).status_code == 200
    for start, end, conversions in (("2026-03-29", "2026-03-30", 1), ("2026-03-28", "2026-03-29", 0), ("", "", 1)):
        asked = {"program": "acme", "from": start, "to": end}
        answer = await api.ask("GET", "/v1/audit/credits", params=asked)
        assert (answer.status_code, answer.json()["conversions"]) == (200, conversions), asked


async def test_the_command_compares_rollups_with_their_rows(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    await Rollups(service.database).rebuild(ProgramId(1))
    assert await asyncio.to_thread(cli.main, ["audit"]) == 0
    assert json.loads(capsys.readouterr().out)["rollups"] == {"offending": 0, "offenders": []}
    await tamper(service, "UPDATE clicks_by_time SET clicks = clicks + 1 WHERE grain = 'year'")
    assert await asyncio.to_thread(cli.main, ["audit"]) == 1
    offenders = json.loads(capsys.readouterr().out)["rollups"]["offenders"]
    assert {(offender["rollup"], offender["clicks"]) for offender in offenders} == {("clicks_by_time", 1)}
    assert await asyncio.to_thread(cli.main, ["rebuild-rollups", "--program", "nobody"]) == 1
    assert await asyncio.to_thread(cli.main, ["rebuild-rollups"]) == 0
    assert json.loads(capsys.readouterr().out) == {"program": "programme-1", "rebuilt": True}
    assert await asyncio.to_thread(cli.main, ["audit"]) == 0


async def test_the_command_compares_owners_of_costs_with_their_posts(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a cost says itself goes before its post; rebuilding mends it."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    await tamper(
        service,
        """
        INSERT INTO costs
            (program_id, kind, amount_minor, currency, first_day, end_day, status, influencer_id, post_id)
        SELECT 1, 'fee', 100, 'EUR', '2026-03-20', '2026-03-21', 'active', influencer_id, post_id
        FROM (VALUES (NULL, NULL), (2, NULL), (NULL, 1), (2, 1)) AS costs (influencer_id, post_id)
        """,
    )
    await Rollups(service.database).rebuild(ProgramId(1))
    assert await asyncio.to_thread(cli.main, ["audit"]) == 0
    capsys.readouterr()
    await tamper(service, "UPDATE costs SET owner_influencer_id = 3, owner_channel = NULL WHERE post_id = 1")
    assert await asyncio.to_thread(cli.main, ["audit"]) == 1
    rollups = json.loads(capsys.readouterr().out)["rollups"]
    assert rollups["offending"] == 2
    assert [offender["rollup"] for offender in rollups["offenders"]] == ["cost_owners"] * 2
    assert [offender["owners"] for offender in rollups["offenders"]] == [[3, None, None]] * 2
    assert [offender["expected"] for offender in rollups["offenders"]] == [
        [1, None, "blog"],
        [2, None, "blog"],
    ]
    assert await asyncio.to_thread(cli.main, ["audit", "--limit", "1"]) == 1
    assert len(json.loads(capsys.readouterr().out)["rollups"]["offenders"]) == 1
    assert await asyncio.to_thread(cli.main, ["rebuild-rollups"]) == 0
    assert await asyncio.to_thread(cli.main, ["audit"]) == 0


async def test_the_command_ends_with_status_one_on_an_offender(
    service: Service, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)

    async def status(*arguments: str) -> int:
        return await asyncio.to_thread(cli.main, ["audit", *arguments])

    assert await status() == 0
    sound = json.loads(capsys.readouterr().out)
    assert (sound["program"], sound["credits"]["conversions"], sound["credits"]["offending"]) == ("programme-1", 3, 0)
    await tamper(service, "DELETE FROM credit_entries WHERE {two}")
    assert await status() == 1
    [offender] = json.loads(capsys.readouterr().out)["credits"]["offenders"]
    assert offender["external_id"] == "two"
    assert await status("--from", "2999-01-01T00:00:00Z") == 0
    assert await status("--from", "2999-01-01") == 0
    assert await status("--from", "yesterday") == 1
    assert "from: is neither a date" in capsys.readouterr().err
    assert await status("--program", "nobody") == 1
    assert "nobody" in capsys.readouterr().err
