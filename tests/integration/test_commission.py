"""Commission follows credits; money is exchanged at the rate of the conversion's day."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from alembic import command
from tests.integration.test_credit_entries import _refund, arrive, land, make_rule
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.integration.test_stats import ask
from tests.support.facts import Cost, Facts, Plan, store_facts, store_plans
from tests.support.recomputing import Asked, recompute
from tests.support.recomputing import ask as ask_again
from tests.support.reference import Version, World
from tests.support.worlds import HOUR, START, TOKENS, found_program

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.fx_rate_table import FxRateTable
from attribution.adapters.postgres import Database
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import ProgramId
from attribution.domain.measures import By, Dimension
from attribution.domain.models import Model
from attribution.entrypoints.migrate import configured, migrate
from attribution.errors import MissingRateError
from attribution.settings import Settings

ANNA, BELLA = click(1, 1, "v1"), click(3, 2, "v1")
FIRST = START - 999 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")
LINEAR = Version(FIRST, {"default": 999 * HOUR}, "linear", rule_id=1)


@pytest_asyncio.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    database = Database(Settings(database_url=database_url))
    async with database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
    service = Service(database)
    await make_rule(service, LINEAR)
    yield service
    await database.close()


async def plan(service: Service, *plans: Plan) -> None:
    async with service.database.connection() as connection:
        await store_plans(connection, PROGRAM, plans)


async def rate(service: Service, base: str, figure: str) -> None:
    said = {"date": "2026-03-20", "base": base, "quote": "EUR", "rate": figure}
    await FxRateTable(service.database).record(ProgramId(PROGRAM), [said])


async def credited(service: Service, message: ConversionMessage) -> Mapping[str, Any]:
    await service.accept(message)
    await service.settle()
    return await service.explain(message)


def commissions(explained: Mapping[str, Any]) -> dict[str, str]:
    assert explained["recorded"]["as_explained"]
    return {str(part["influencer_id"]): str(part["commission"]) for part in explained["commissions"]}


@pytest.mark.parametrize(("net", "percent", "paid"), [(15, "10", "0.02"), (500, "2.9", "0.15"), (2, "20", "0.00")])
async def test_a_percentage_is_rounded_half_up(service: Service, net: int, percent: str, paid: str) -> None:
    await plan(service, Plan(FIRST, percent=Decimal(percent)))
    await land(service, ANNA)
    assert commissions(await credited(service, sale("A", 5, visitor_id="v1", gross_minor=net))) == {"1": paid}


async def test_a_flat_amount_is_split_by_weight(service: Service) -> None:
    """5.01 over two equal touches, the odd cent to the earlier."""
    await plan(service, Plan(FIRST, flat=501, currency="EUR"))
    await land(service, ANNA, BELLA)
    assert commissions(await credited(service, sale("A", 5, visitor_id="v1"))) == {"1": "2.51", "2": "2.50"}


async def test_value_and_commissions_as_of_any_past_moment_can_be_read(service: Service) -> None:
    """What was recorded by then, in the programme's currency; an order that was not judged yet was worth nothing."""
    await plan(service, Plan(FIRST, percent=Decimal(10)))
    await rate(service, "USD", "0.5")
    message = sale("A", 5, visitor_id="v1", currency="USD", gross_minor=10_000)
    moments = []
    for arrives in (
        arrive(service, ANNA),
        service.accept(message),
        arrive(service, BELLA),
        service.accept(_refund("r1", "40.00")),
    ):
        await arrives
        await service.settle()
        moments.append(await service.now())

    async def recorded(step: int) -> tuple[str, str, dict[str, str]]:
        shown = await service.explain(message, moments[step])
        assert (shown["currency"], shown["value"]["currency"]) == ("USD", "EUR")
        paid = {part["influencer_id"]: part["commission"] for part in shown["commissions"]}
        assert all(part["plan_id"] is None for part in shown["commissions"])
        return shown["value"]["net"], shown["value"]["commission"], paid

    assert await recorded(0) == ("0.00", "0.00", {})
    assert await recorded(1) == ("50.00", "5.00", {"1": "5.00"})
    assert await recorded(2) == ("50.00", "5.00", {"1": "2.50", "2": "2.50"})
    assert await recorded(3) == ("30.00", "3.00", {"1": "1.50", "2": "1.50"})


async def test_each_influencer_is_paid_by_its_own_plan(service: Service) -> None:
    await plan(service, Plan(FIRST, percent=Decimal(10)), Plan(FIRST, percent=Decimal(20), influencer=2))
    await land(service, ANNA, BELLA)
    explained = await credited(service, sale("A", 5, visitor_id="v1", gross_minor=10_000))
    assert commissions(explained) == {"1": "5.00", "2": "10.00"}
    assert [(c["influencer_id"], c["percent"]) for c in explained["commissions"]] == [("1", "10"), ("2", "20")]


async def test_a_refund_and_a_cancellation_take_commission_back_at_the_original_rate(service: Service) -> None:
    """A plan made after the order was credited never judges it, though in force at its moment."""
    await plan(service, Plan(FIRST, percent=Decimal(10)))
    await land(service, ANNA)
    order = sale("A", 5, visitor_id="v1", gross_minor=10_000)
    assert commissions(await credited(service, order)) == {"1": "10.00"}
    await plan(service, Plan(FIRST, percent=Decimal(50)))
    await service.accept(_refund("r1", "40.00"))
    await service.settle()
    assert commissions(await service.explain(order)) == {"1": "6.00"}
    cancelled = sale("A", 5, update=1, visitor_id="v1", gross_minor=10_000)
    object.__setattr__(cancelled, "status", ConversionStatus.CANCELLED)
    assert commissions(await credited(service, cancelled)) == {"1": "0.00"}


@pytest.mark.parametrize(
    ("currency", "minor", "figure", "worth"),
    [("JPY", 1_000, "0.00625", "6.25"), ("KWD", 1_000, "2.9855", "2.99"), ("USD", 101, "0.5", "0.51")],
)
async def test_the_whole_is_exchanged_and_then_split(
    service: Service, currency: str, minor: int, figure: str, worth: str
) -> None:
    await plan(service, Plan(FIRST, percent=Decimal(100)))
    await rate(service, currency, figure)
    await land(service, ANNA, BELLA)
    order = sale("A", 5, visitor_id="v1", gross_minor=minor, currency=currency)
    explained = await credited(service, order)
    assert explained["value"]["net"] == worth
    assert sum(Decimal(paid) for paid in commissions(explained).values()) == Decimal(worth)


async def test_without_a_rate_there_is_credit_and_no_value_until_it_is_posted(service: Service) -> None:
    """Money of the period is an error that names day and pair; a later correction never changes what is bound."""
    await plan(service, Plan(FIRST, percent=Decimal(10)))
    await land(service, ANNA)
    order = sale("A", 5, visitor_id="v1", gross_minor=1_000, currency="USD")
    explained = await credited(service, order)
    assert explained["value"]["missing_rate"]["base"] == "USD"
    assert {explained["value"][name] for name in ("gross", "net", "discount", "commission")} == {None}
    assert [paid["commission"] for paid in explained["commissions"]] == [None]
    assert (await ask(service.database, metrics=("orders",)))["totals"] == {"orders": 1}
    with pytest.raises(MissingRateError, match="USD to EUR for 2026-03-20"):
        await ask(service.database, metrics=("revenue",))
    for figure in ("0.9", "0.5"):
        await rate(service, "USD", figure)
        await service.settle()
        assert (await ask(service.database, metrics=("revenue",)))["totals"] == {"revenue": "9.00"}


async def value_of(service: Service, order: ConversionMessage) -> str:
    explained = await service.explain(order)
    assert explained["recorded"]["as_explained"]
    totals = (await ask(service.database, metrics=("revenue",)))["totals"]
    assert totals == {"revenue": explained["value"]["net"]}
    return str(explained["value"]["net"])


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("is_credited", [False, True])
async def test_a_conversion_keeps_its_first_rate_credited_or_not(
    service: Service, *, is_credited: bool, waits: bool
) -> None:
    """Also for its refunds, when credit comes late, and by the models of stats; a recomputation takes the last."""
    order = sale("A", 5, visitor_id="v1", gross_minor=10_000, currency="USD")
    if is_credited:
        await land(service, ANNA)
    if not waits:
        await rate(service, "USD", "0.8")
    await credited(service, order)
    if waits:
        await rate(service, "USD", "0.8")
        await service.settle()
    await rate(service, "USD", "0.5")
    await service.settle()
    assert await value_of(service, order) == "80.00"
    await service.accept(_refund("r1", "50.00"))
    await service.settle()
    assert await value_of(service, order) == "40.00"
    if not is_credited:
        await arrive(service, ANNA)
        await service.settle()
        assert [credit["influencer_id"] for credit in (await service.explain(order))["credits"]] == ["1"]
        assert await value_of(service, order) == "40.00"
    by_model = await ask(service.database, metrics=("revenue",), model=Model.FIRST_TOUCH)
    assert by_model["totals"] == {"revenue": "40.00"}
    await ask_again(service.database, PROGRAM, Asked())
    await recompute(service.database)
    assert await value_of(service, order) == "25.00"
    await rate(service, "USD", "0.9")
    await service.accept(_refund("r2", "30.00"))
    await service.settle()
    assert await value_of(service, order) == "10.00"


async def test_the_upgrade_leaves_conversions_without_credit_at_the_value_they_have(
    service: Service, database_url: str
) -> None:
    """Before it, each correction had them valued again."""
    order = sale("A", 5, gross_minor=10_000, currency="USD")
    await rate(service, "USD", "0.8")
    await credited(service, order)
    settings = Settings(database_url=database_url)
    await asyncio.to_thread(command.downgrade, configured(settings), "0026")
    await asyncio.to_thread(migrate, settings)
    await rate(service, "USD", "0.5")
    await service.accept(_refund("r1", "50.00"))
    await service.settle()
    assert await value_of(service, order) == "40.00"
    await service.accept(_refund("r2", "10.00"))
    await service.settle()
    assert await value_of(service, order) == "32.00"


async def test_without_the_rate_of_a_flat_amount_the_commission_alone_is_not_known(service: Service) -> None:
    """Of a home and of a foreign order: what else is asked is answered, and the rate when posted pays."""
    await plan(service, Plan(FIRST, flat=500, currency="GBP"))
    await rate(service, "USD", "0.5")
    await land(service, ANNA)
    await credited(service, sale("home", 5, visitor_id="v1", gross_minor=1_000))
    explained = await credited(service, sale("away", 6, visitor_id="v1", gross_minor=1_000, currency="USD"))
    assert (explained["value"]["net"], explained["value"]["commission"]) == ("5.00", None)
    assert explained["value"]["missing_rate"]["base"] == "GBP"
    assert [paid["commission"] for paid in explained["commissions"]] == [None]
    known = ("orders", "gross_revenue", "refunds", "revenue", "discount", "aov")
    before = (await ask(service.database, metrics=known))["totals"]
    assert (before["revenue"], before["aov"]) == ("15.00", "7.50000")
    for metric in ("commission", "cost", "epc", "cpc", "cpa", "roas", "roi"):
        with pytest.raises(MissingRateError, match="GBP to EUR for 2026-03-20"):
            await ask(service.database, metrics=("revenue", metric))
    audit = await audit_credits(AuditTable(service.database), ProgramId(PROGRAM), AuditPeriod())
    assert (audit["waiting"], audit["problems"]) == (0, {})
    await rate(service, "GBP", "1.2")
    await service.settle()
    after = (await ask(service.database, metrics=(*known, "commission")))["totals"]
    assert after == before | {"commission": "12.00"}


async def test_a_missing_rate_refuses_only_questions_whose_credits_need_it(service: Service) -> None:
    """An order in pounds that nobody has credit of leaves the money of Anna known."""
    await land(service, ANNA)
    await credited(service, sale("home", 5, visitor_id="v1", gross_minor=1_000))
    await credited(service, sale("away", 6, visitor_id="v2", gross_minor=1_000, currency="GBP"))
    asked: Mapping[str, Any] = {"metrics": ("revenue", "cost")}
    known: tuple[Mapping[Dimension, Sequence[Any]], ...] = (
        {Dimension.INFLUENCER: [1]},
        {Dimension.LINK: [1], Dimension.CONVERSION_TYPE: ["purchase"]},
        {Dimension.CHANNEL: ["story"]},
        {Dimension.CONTENT_TYPE: ["reel"]},
        {Dimension.SUB1: ["red"]},
        {Dimension.DAY: [datetime(2026, 3, 21, tzinfo=BERLIN)]},
    )
    for filters in known:
        for by in By:
            totals = (await ask(service.database, **asked, filters=filters, by=by, compare=True))["totals"]
            is_anna = Dimension.INFLUENCER in filters or Dimension.LINK in filters
            assert totals["revenue"] == ("10.00" if is_anna else "0.00")
    unknown: tuple[Mapping[Dimension, Sequence[Any]], ...] = (
        {},
        {Dimension.INFLUENCER: [1, None]},
        {Dimension.CONTENT_TYPE: [None], Dimension.SUB1: [None]},
        {Dimension.DAY: [datetime(2026, 3, 20, tzinfo=BERLIN)]},
    )
    for filters in unknown:
        with pytest.raises(MissingRateError, match="GBP to EUR for 2026-03-20"):
            await ask(service.database, "influencer", **asked, filters=filters)


async def test_credit_that_moved_on_needs_no_rate(service: Service) -> None:
    """To Bella by another model, and to nobody by what the shop says later."""
    await land(service, ANNA, BELLA)
    await credited(service, sale("A", 5, visitor_id="v1", gross_minor=1_000, currency="GBP"))
    of_anna = {Dimension.INFLUENCER: [1]}
    with pytest.raises(MissingRateError, match="GBP to EUR"):
        await ask(service.database, metrics=("revenue",), filters=of_anna)
    last = await ask(service.database, metrics=("revenue",), filters=of_anna, model=Model.LAST_TOUCH)
    assert last["totals"] == {"revenue": "0.00"}
    await service.accept(sale("A", 5, update=1, visitor_id="v2", gross_minor=1_000, currency="GBP"))
    await service.settle()
    assert (await ask(service.database, metrics=("revenue",), filters=of_anna))["totals"] == {"revenue": "0.00"}


async def test_all_days_without_a_rate_are_named(service: Service) -> None:
    """The first ten, and how many more, of orders and costs together."""
    for day in range(9):
        await service.accept(sale(f"A{day}", 24 * day, gross_minor=1_000, currency="GBP"))
    await service.settle()
    costs = [Cost(date(2026, 3, day), 1, 500, "USD", influencer=1) for day in (19, 20, 21)]
    async with service.database.connection() as connection:
        await store_facts(connection, PROGRAM, Facts(costs=costs))
    with pytest.raises(MissingRateError) as raised:
        await ask(service.database, metrics=("revenue", "cost"))
    pairs = [("USD", 19), *((base, day) for day in (20, 21) for base in ("GBP", "USD"))]
    pairs += [("GBP", day) for day in range(22, 27)]
    named = ", ".join(f"from {base} to EUR for 2026-03-{day}" for base, day in pairs)
    assert str(raised.value) == f"there is no exchange rate {named} and 2 more: POST /v1/fx-rates"
    with pytest.raises(MissingRateError, match=r"for 2026-03-28: POST"):
        await ask(service.database, metrics=("revenue",))


async def test_the_value_of_a_lead_is_asked_for_by_commission_alone(service: Service) -> None:
    """Revenue is of purchases."""
    await credited(service, replace(sale("A", 5, gross_minor=1_000, currency="GBP"), type="lead"))
    assert (await ask(service.database, metrics=("revenue",)))["totals"] == {"revenue": "0.00"}
    with pytest.raises(MissingRateError, match="GBP to EUR"):
        await ask(service.database, metrics=("commission",))


async def test_a_lead_without_value_lacks_only_its_commission(service: Service) -> None:
    """Though its own currency is the one without a rate: nothing is nothing in any currency."""
    await plan(service, Plan(FIRST, flat=500, currency="GBP"))
    await land(service, ANNA)
    await credited(service, sale("A", 5, visitor_id="v1", gross_minor=0, currency="GBP"))
    assert (await ask(service.database, metrics=("revenue",)))["totals"] == {"revenue": "0.00"}
    with pytest.raises(MissingRateError, match="GBP to EUR"):
        await ask(service.database, metrics=("commission",))


async def test_another_model_needs_the_rates_of_those_whom_it_credits(service: Service) -> None:
    """Bella alone is paid in pounds, and has credit by the last touch only."""
    await plan(service, Plan(FIRST, flat=500, currency="GBP", influencer=2))
    await land(service, ANNA, BELLA)
    await credited(service, sale("A", 5, visitor_id="v1", gross_minor=1_000))
    for model in (None, Model.LAST_TOUCH):
        assert (await ask(service.database, metrics=("revenue",), model=model))["totals"] == {"revenue": "10.00"}
        with pytest.raises(MissingRateError, match="GBP to EUR"):
            await ask(service.database, metrics=("commission",), model=model)
    first = await ask(service.database, metrics=("commission",), model=Model.FIRST_TOUCH)
    assert first["totals"] == {"commission": "0.00"}


async def test_what_a_missing_plan_rate_left_without_value_is_judged_again_by_the_upgrade(
    service: Service, database_url: str
) -> None:
    """Until then money is refused as it was, never 0."""
    await plan(service, Plan(FIRST, flat=500, currency="GBP"))
    await land(service, ANNA)
    await credited(service, sale("A", 5, visitor_id="v1", gross_minor=1_000))
    settings = Settings(database_url=database_url)
    await asyncio.to_thread(command.downgrade, configured(settings), "0024")
    async with service.database.connection() as connection:
        await connection.execute("UPDATE attributions SET rate_numerator = NULL, rate_denominator = NULL")
        await connection.execute("UPDATE credit_entries SET gross_value = 0, net_value = 0")
    await asyncio.to_thread(migrate, settings)
    with pytest.raises(MissingRateError, match="GBP to EUR"):
        await ask(service.database, metrics=("revenue",))
    await service.settle()
    async with service.database.connection() as connection:
        assert await connection.fetchval("SELECT sum(net_value) FROM credit_entries") == 1_000


async def test_an_earlier_purchase_that_arrives_late_makes_the_later_one_a_returning_customers(
    service: Service,
) -> None:
    await plan(service, Plan(FIRST, percent=Decimal(10)), Plan(FIRST, percent=Decimal(30), new=True))
    await land(service, ANNA)
    later = sale("B", 6, visitor_id="v1", customer_id="c1", gross_minor=1_000)
    assert commissions(await credited(service, later)) == {"1": "3.00"}
    earlier = sale("A", 5, visitor_id="v1", customer_id="c1", gross_minor=1_000)
    assert commissions(await credited(service, earlier)) == {"1": "3.00"}
    assert commissions(await service.explain(later)) == {"1": "1.00"}
    totals = (await ask(service.database, metrics=("new_customers", "commission")))["totals"]
    assert totals == {"new_customers": 1, "commission": "4.00"}


ABSURD = "999999999999999"


async def test_money_beyond_all_bounds_stops_nobody_and_is_healed_by_another_rate(service: Service) -> None:
    """As if its rate were missing: it counts, and its money is not known; the orders of others are credited."""
    async with service.database.connection() as connection:
        await found_program(connection, 2, World({}))
    await rate(service, "USD", ABSURD)
    await land(service, ANNA)
    orders = [sale(name, 5, visitor_id="v1", currency="USD", gross_minor=10**15 - 1) for name in "AB"]
    await service.accept(*orders, _refund("r1", "9000000000000.00"))
    await ConversionIntake(service.database, TOKENS).accept(ProgramId(2), [sale("A", 5, gross_minor=1_000)])
    await service.settle()
    other = await ask(service.database, program=2, metrics=("orders", "revenue"))
    assert other["totals"] == {"orders": 1, "revenue": "10.00"}
    for _ in ("credited", "recomputed"):
        explained = await service.explain(orders[0])
        assert explained["recorded"]["as_explained"]
        assert (explained["value"]["net"], explained["value"]["missing_rate"]["base"]) == (None, "USD")
        for model in (None, Model.FIRST_TOUCH):
            assert (await ask(service.database, metrics=("orders",), model=model))["totals"] == {"orders": 2}
            with pytest.raises(MissingRateError, match="USD to EUR for 2026-03-20"):
                await ask(service.database, metrics=("revenue",), model=model)
        await ask_again(service.database, PROGRAM, Asked())
        await recompute(service.database)
    audit = await audit_credits(AuditTable(service.database), ProgramId(PROGRAM), AuditPeriod())
    assert (audit["waiting"], audit["problems"]) == (0, {})
    for figure in ("0.9", "0.0001"):
        await rate(service, "USD", figure)
        await service.settle()
        totals = (await ask(service.database, metrics=("gross_revenue", "revenue")))["totals"]
        assert totals == {"gross_revenue": "17999999999999.98", "revenue": "9899999999999.98"}


async def test_a_flat_amount_beyond_all_bounds_leaves_the_commission_unknown(service: Service) -> None:
    await plan(service, Plan(FIRST, flat=10**15 - 1, currency="GBP"))
    await rate(service, "GBP", ABSURD)
    await land(service, ANNA)
    explained = await credited(service, sale("A", 5, visitor_id="v1", gross_minor=1_000))
    assert (explained["value"]["net"], explained["value"]["commission"]) == ("10.00", None)
    with pytest.raises(MissingRateError, match="GBP to EUR"):
        await ask(service.database, metrics=("commission",))
    await rate(service, "GBP", "0.5")
    await service.settle()
    assert (await ask(service.database, metrics=("commission",)))["totals"] == {"commission": "5000000000000.00"}


async def test_a_cost_at_an_absurd_rate_is_what_it_is(service: Service) -> None:
    """Recorded costs are exchanged when they are asked for, in numbers of any size."""
    await rate(service, "USD", ABSURD)
    async with service.database.connection() as connection:
        await store_facts(connection, PROGRAM, Facts(costs=[Cost(date(2026, 3, 20), 1, 10**15, "USD", influencer=1)]))
    answer = await ask(service.database, "influencer", metrics=("cost", "roi"))
    assert answer["totals"] == {"cost": "9999999999999990000000000000.00", "roi": "-1.00000"}
