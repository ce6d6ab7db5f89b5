"""Reports over all paths of a period, beside a slow reference and an example worked by hand."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_stats import click, load, sale, world_of
from tests.support import reference_models
from tests.support.api import Api, assert_problem
from tests.support.facts import Facts, Rate, random_facts
from tests.support.reference import WHOLE, Click, Order, World, fold, judge_all, share, visitors_named, weights
from tests.support.reference_value import worth
from tests.support.worlds import MODELS, RandomWorld, instant, random_world

from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.adapters.report_table import ReportTable
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.conversions.report import ReportQuery, Reports, Unit
from attribution.domain.ids import ProgramId
from attribution.domain.programs import Program
from attribution.errors import MissingRateError
from attribution.models import Path

pytestmark = pytest.mark.usefixtures("foreign_program")

START, END = datetime(2026, 3, 22, tzinfo=UTC), datetime(2026, 3, 28, tzinfo=UTC)


async def ask(database: Database, program: int = 1, **fields: Any) -> Mapping[str, Any]:
    query = ReportQuery(**{"start": START, "end": END} | fields)
    programme = Program(ProgramId(program), f"programme-{program}", "EUR", "UTC", "click_id")
    return await Reports(ReportTable(database)).attribution(programme, query)


def within(at: int) -> bool:
    return START <= instant(at) < END


def named(world: World, unit: Unit, link: int) -> str:
    value = getattr(world.links[link], unit.value)
    return "none" if value is None else str(value)


def follows(world: World, order: Order, orders: list[Order], seen: Click) -> bool:
    """The order is a later one of the click's visitor, on any of the customer's devices, or names the click."""
    if order.cancelled or order.occurred_at < seen.at:
        return False
    if order.named is not None and order.named.click_id == seen.click_id:
        return True
    devices = visitors_named(world, order)
    for other in orders:
        if other.customer is not None and other.customer == order.customer and other.occurred_at <= order.occurred_at:
            devices |= visitors_named(world, other)
    return seen.visitor in devices


def null_paths(world: World, unit: Unit) -> list[Path]:
    orders = list(fold(world.orders).values())
    walks: dict[object, list[Click]] = defaultdict(list)
    for seen in sorted(world.clicks, key=lambda c: (c.at, c.click_id)):
        if within(seen.at) and not seen.bot and not any(follows(world, order, orders, seen) for order in orders):
            walks[seen.visitor or seen.click_id].append(seen)
    return [Path(tuple(named(world, unit, c.link) for c in walk), 0, 0, 1) for walk in walks.values()]


async def test_a_report_is_the_references(database: Database) -> None:
    """Of random worlds: what each model of one path would pay, removal effects, Shapley values, participation."""
    for seed in range(8):
        generated = random_world(seed, currencies=("EUR", "EUR", "USD"))
        world, unit, facts = generated.world, list(Unit)[seed % 3], random_facts(seed)
        await load(database, seed + 1, generated, facts=facts)
        judged = [j for j in judge_all(world).values() if not j.order.cancelled and within(j.order.occurred_at)]
        walked = [j for j in judged if j.path]
        report = await ask(database, seed + 1, unit=unit, order=1 + seed % 2)
        assert report["totals"]["conversions"] == len(walked), seed
        assert report["totals"]["conversions_without_path"] == len(judged) - len(walked), seed

        clicked = {seen.click_id: seen.at for seen in world.clicks}
        paths, paid = null_paths(world, unit), {model: (Counter[str](), Counter[str]()) for model in MODELS}
        assert report["totals"]["null_paths"] == len(paths), seed
        for j in walked:
            touches = tuple(named(world, unit, j.links[click_id]) for click_id in j.path)
            net = sum(its.net for its in worth(j, world, facts, "EUR", ZoneInfo("UTC")).values())
            paths.append(Path(touches, 1, net))
            at = [clicked.get(c, j.order.named.at if j.order.named else 0) for c in j.path]
            for model, (conversions, value) in paid.items():
                rule = type(j.rule)(
                    0, {}, model, half_life=j.rule.half_life, position_weights=j.rule.position_weights
                )
                parts = weights(rule, [j.order.occurred_at - moment for moment in at])
                for touch, units, minor in zip(touches, share(WHOLE, parts), share(net, parts), strict=True):
                    conversions[touch] += units
                    value[touch] += minor
        effects = reference_models.removal_effects(paths, 1 + seed % 2, nulls=True)
        values = reference_models.shapley(paths)
        for row in report["comparison"]:
            name = row[unit.value] or "none"
            for model, (conversions, value) in paid.items():
                assert Decimal(row[model]["conversions"]) == Decimal(conversions[name]) / WHOLE, (seed, model)
                assert Decimal(row[model]["value"]) == Decimal(value[name]) / 100, (seed, model)
            assert float(row["markov"]["removal_effect"]) == pytest.approx(float(effects[name]), abs=1e-9), seed
            assert float(row["shapley"]["conversions"]) == pytest.approx(float(values[name])), seed
            took_part = sum(int(path.conversions) for path in paths if name in path.touches)
            assert Decimal(row["participation"]["conversions"]) == took_part
        for model in (*MODELS, "markov", "shapley"):
            rows = [row[model] for row in report["comparison"]]
            assert sum(Decimal(row["conversions"]) for row in rows) == len(walked), (seed, model)
            assert sum(Decimal(row["value"]) for row in rows) == Decimal(report["totals"]["value"]), (seed, model)


async def test_an_example_worked_by_hand(database: Database) -> None:
    """docs/models.md: one visitor taps on tiktok, then a mail, and buys for 30.00; another taps on tiktok only.

    Half of those who start with tiktok go on and buy: without it, or without the mail, all is lost.
    """
    clicks = [
        click("2026-03-23T10:00:00Z", link=1, visitor="buyer"),
        click("2026-03-24T10:00:00Z", link=2, visitor="buyer"),
        click("2026-03-25T10:00:00Z", link=1, visitor="looker"),
        click("2026-03-25T11:00:00Z", link=3, visitor="crawler", bot=True),
        click("2026-03-29T10:00:00Z", link=1, visitor="later"),
    ]
    await load(database, 1, world_of(clicks, [sale("A", "2026-03-24T12:00:00Z", 3_000, visitor_id="buyer")]))
    report = await ask(database)
    half = {"conversions": "0.5", "value": "15.00"}
    assert report["rows"] == [
        {"channel": channel, **half, "removal_effect": "1.000000000000"} for channel in ("email", "tiktok")
    ]
    assert report["totals"] == {
        "conversions": 1, "value": "30.00", "conversions_without_path": 0, "null_paths": 1, "distinct_paths": 2,
    }  # fmt: skip
    [email, tiktok] = report["comparison"]
    assert email["last_touch"] == tiktok["first_touch"] == {"conversions": "1", "value": "30.00"}
    assert email["participation"] == {"conversions": "1", "value": "30.00"}
    assert tiktok["shapley"] == half
    assert (await ask(database, model="linear", compare=False))["comparison"] == []


async def test_the_period_is_half_open_and_a_conversion_after_it_still_follows(database: Database) -> None:
    """A touch of the period whose order came later is in no path of the period, with or without conversion."""
    await load(
        database,
        1,
        world_of(
            [click("2026-03-27T10:00:00Z", visitor="v")],
            [sale("A", "2026-03-28T00:00:00Z", 100, visitor_id="v")],
        ),
    )
    assert (await ask(database))["totals"]["distinct_paths"] == 0
    assert (await ask(database, end=END + timedelta(microseconds=1)))["totals"]["conversions"] == 1


def two_sales() -> RandomWorld:
    """One of 1.00 USD after a touch, one of 1.00 EUR after none."""
    return world_of(
        [click("2026-03-23T10:00:00Z", visitor="v")],
        [
            sale("A", "2026-03-24T10:00:00Z", 100, visitor_id="v", currency="USD"),
            sale("B", "2026-03-24T10:00:00Z", 100, visitor_id="w"),
        ],
    )


async def test_a_conversion_in_another_currency_has_its_value_at_the_rate_of_its_day(database: Database) -> None:
    """And one without touches stands apart."""
    rates = Facts(rates=[Rate(date(2026, 3, 24), "USD", "EUR", Decimal("0.9"))])
    await load(database, 1, two_sales(), facts=rates)
    report = await ask(database)
    assert report["totals"] | {"conversions": 1, "value": "0.90", "conversions_without_path": 1} == report["totals"]
    assert {row["value"] for row in report["rows"]} == {"0.90"}


async def test_a_missing_rate_is_an_error_that_names_its_day(database: Database) -> None:
    await load(database, 1, two_sales())
    with pytest.raises(MissingRateError, match="from USD to EUR for 2026-03-24"):
        await ask(database)


async def test_a_report_over_http(api: Api) -> None:
    """What cannot be is named; nothing is answered with nothing."""
    period = {"from": "2026-03-01", "to": "2026-04-01"}
    await Attributor(CreditTable(api.database), AttributorPolicy(10, 0.1)).step()
    await until_idle(api.database)
    answer = await api.ask("GET", "/v1/reports/attribution", params=period | {"unit": "influencer"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["rows"], answer.json()["model"]) == ([], "markov")
    assert (answer.json()["from"], answer.json()["timezone"]) == ("2026-03-01T00:00:00Z", "UTC")
    as_csv = await api.ask("GET", "/v1/reports/attribution", params=period | {"format": "csv"})
    assert as_csv.text == "channel,conversions,value,removal_effect\r\n"
    for parameter, value in (
        ("model", "luck"), ("unit", "planet"), ("order", "4"), ("nulls", "perhaps"), ("from", "yesterday"),
        ("from", "2026-05-01"),
    ):  # fmt: skip
        response = await api.ask("GET", "/v1/reports/attribution", params=period | {parameter: value})
        assert_problem(response, 422, "query", parameter)
