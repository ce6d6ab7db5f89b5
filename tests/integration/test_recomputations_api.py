"""Recomputations are asked for, followed, read and cancelled over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.test_credit_races import LINKS, PROGRAM, Service, click, sale
from tests.support.api import Api, assert_problem
from tests.support.recomputing import recompute
from tests.support.reference import World
from tests.support.worlds import HOUR, START, found_program, instant

PATH = "/v1/recomputations"
PERIOD = {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
IN = {"program": f"programme-{PROGRAM}"}


@pytest_asyncio.fixture
async def service(api: Api) -> AsyncIterator[Service]:
    """Three orders paid to their last touches, two of them over two influencers."""
    async with api.database.connection() as connection:
        await found_program(connection, PROGRAM, World(LINKS))
        await connection.execute("ALTER TABLE programs ALTER COLUMN program_id RESTART WITH 100")
    service = Service(api.database)
    await service.store(click(1, 1, "v1"), click(2, 2, "v1"), click(3, 1, "v2"))
    await service.accept(sale("A", 5, visitor_id="v1"), sale("B", 6, visitor_id="v1"), sale("C", 7, visitor_id="v2"))
    plan = {"effective_from": "2020-01-01T00:00:00Z", "percent": "50"}
    await api.make("commission-plans", **IN, **plan, influencer_id="2")
    await service.settle()
    yield service


async def pages(api: Api, path: str, **query: Any) -> list[Any]:
    """One by one."""
    seen: list[Any] = []
    parameters = {**IN, **query, "limit": 1}
    while True:
        page = (await api.ask("GET", path, params=parameters)).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            return seen
        parameters["cursor"] = page["next_cursor"]


def part(weight: str, revenue: str, value: str, commission: str) -> dict[str, str]:
    return {"weight": weight, "revenue": revenue, "value": value, "commission": commission}


NOTHING = part("0", "0.00", "0.00", "0.00")


async def told(api: Api, service: Service, **terms: Any) -> tuple[list[Any], list[Any]]:
    """What changes by influencer, and by order: a dry run foretells what the applied one then says and appends."""
    found = []
    for dry_run in (True, False):
        made = await api.make("recomputations", **IN | PERIOD | terms, dry_run=dry_run)
        await recompute(service.database)
        path = f"{PATH}/{made['id']}"
        done = (await api.ask("GET", path, params=IN)).json()
        by_influencer, by_order = [await pages(api, f"{path}/differences", by=by) for by in ("influencer", "order")]
        assert done["totals"]["changed"] == len(by_order)
        found.append((by_influencer, by_order))
    async with service.database.connection() as connection:
        appended = await connection.fetchval(
            "SELECT count(DISTINCT conversion_id) FROM credit_entries WHERE recomputation_id = $1", int(made["id"])
        )
    assert appended == len(by_order)
    assert found[0] == found[1]
    return found[0]


async def test_a_dry_run_answers_the_difference(api: Api, service: Service) -> None:
    """Per influencer, where sums show who would gain, and per order; nothing is recorded."""
    entries = await api.rows("credit_entries")
    made = await api.make("recomputations", **IN, **PERIOD, model="first_touch", dry_run=True)
    assert (made["status"], made["progress"], made["dry_run"]) == ("queued", {"done": 0, "total": None}, True)
    await recompute(service.database)
    path = f"{PATH}/{made['id']}"
    done = (await api.ask("GET", path, params=IN)).json()
    assert (done["status"], done["progress"]) == ("done", {"done": 3, "total": 3})
    assert done["totals"] == {"conversions": 3, "changed": 2}
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    gained = part("2", "2.00", "2.00", "0.00")
    had = part("2", "2.00", "2.00", "1.00")
    lost = part("-2", "-2.00", "-2.00", "-1.00")
    both = {"currency": "EUR", "value_currency": "EUR", "conversions": 2}
    assert await pages(api, f"{path}/differences") == [
        both | {"influencer_id": "1", "before": NOTHING, "after": gained, "difference": gained},
        both | {"influencer_id": "2", "before": had, "after": NOTHING, "difference": lost},
    ]
    orders = await pages(api, f"{path}/differences", by="order")
    assert [order["external_id"] for order in orders] == ["A", "B"]
    assert [(p["influencer_id"], p["via"], p["difference"]) for p in orders[0]["parts"]] == [
        ("1", "click", part("1", "1.00", "1.00", "0.00")),
        ("2", "click", part("-1", "-1.00", "-1.00", "-0.50")),
    ]
    assert await api.rows("credit_entries") == entries


async def test_a_plan_made_for_the_past_shows_as_commission_alone(api: Api, service: Service) -> None:
    """Weights and revenue are what they were; a dry run foretells what the applied one then says."""
    plan = {"effective_from": "2020-01-01T00:00:00Z", "percent": "10"}
    await api.make("commission-plans", **IN, **plan, influencer_id="1")
    by_influencer, _ = await told(api, service)
    paid = part("0", "0.00", "0.00", "0.10")
    assert [(d["influencer_id"], d["conversions"], d["difference"]) for d in by_influencer] == [("1", 1, paid)]


async def test_a_rate_that_was_corrected_shows_in_the_programmes_currency(api: Api, service: Service) -> None:
    """Of an order in another one, whose weights and revenue in its own are what they were."""
    rate = {"date": "2026-03-20", "base": "USD", "quote": "EUR"}
    await api.make("fx-rates", **IN, **rate, rate="0.9")
    await service.accept(sale("D", 8, visitor_id="v1", currency="USD"))
    await service.settle()
    await api.make("fx-rates", **IN, **rate, rate="0.5")
    by_influencer, [order] = await told(api, service)
    was, now = part("1", "1.00", "0.90", "0.45"), part("1", "1.00", "0.50", "0.25")
    changed = {"before": was, "after": now, "difference": part("0", "0.00", "-0.40", "-0.20")}
    currencies = {"currency": "USD", "value_currency": "EUR"}
    assert by_influencer == [changed | currencies | {"influencer_id": "2", "conversions": 1}]
    assert order == order | currencies | {"external_id": "D"}
    assert order["parts"] == [changed | {"influencer_id": "2", "via": "click"}]
    history = (await api.ask("GET", "/v1/orders/D/history", params=IN | {"source": "shop"})).json()["data"]
    assert history[-1].items() >= currencies.items()
    assert [(e["weight"], e["net"], e["value"], e["commission"]) for e in history] == [
        ("1", "1.00", "0.90", "0.45"),
        ("0", "0.00", "-0.40", "-0.20"),
    ]


async def test_credit_that_moves_between_clicks_of_one_influencer_shows_by_order(api: Api, service: Service) -> None:
    """Another campaign may have it then; the influencer has what it had."""
    await service.store(click(4, 1, "v3"), click(5, 1, "v3"))
    await service.accept(sale("D", 8, visitor_id="v3"))
    await service.settle()
    since = instant(START + 8 * HOUR).isoformat()
    by_influencer, [order] = await told(api, service, model="first_touch", **{"from": since})
    assert by_influencer == []
    held = part("1", "1.00", "1.00", "0.00")
    assert order["external_id"] == "D"
    moved = {"before": held, "after": held, "difference": NOTHING}
    assert order["parts"] == [moved | {"influencer_id": "1", "via": "click"}]


async def test_what_was_recorded_before_values_were_has_none(api: Api, service: Service) -> None:
    """Which is not zero."""
    made = await api.make("recomputations", **IN, **PERIOD, model="first_touch", dry_run=True)
    await recompute(service.database)
    async with service.database.connection() as connection:
        await connection.execute(
            "UPDATE recomputation_differences SET net_value_before = NULL, net_value_after = NULL"
        )
    for by in ("influencer", "order"):
        [first, *_] = await pages(api, f"{PATH}/{made['id']}/differences", by=by)
        shown = first["parts"][0] if by == "order" else first
        assert [shown[name]["value"] for name in ("before", "after", "difference")] == [None] * 3


async def test_an_applied_recomputation_changes_what_orders_say(api: Api, service: Service) -> None:
    rule = await api.make("rules", **IN, effective_from="2999-01-01T00:00:00Z", model="linear")
    await api.make("recomputations", **IN, **PERIOD, rule=rule["id"])
    await recompute(service.database)
    said = (await api.ask("GET", "/v1/orders/A/attribution", params=IN | {"source": "shop"})).json()
    assert (said["rule_id"], {c["weight"] for c in said["credits"]}) == (rule["id"], {"0.5"})


@pytest.mark.usefixtures("service")
async def test_what_is_asked_is_answered(api: Api) -> None:
    terms: dict[str, Any] = {
        "model": "time_decay",
        "half_life": "P3D",
        "windows": {"purchase": "P14D"},
        "min_click_to_conversion": "PT10S",
        "external_id": "what-if-1",
    }
    made = await api.make("recomputations", **IN, **PERIOD, **terms, dry_run=True)
    asked = PERIOD | terms | {"rule": None, "position_weights": None, "dry_run": True}
    assert {name: made[name] for name in asked} == asked
    other: dict[str, Any] = {"model": "position_based", "position_weights": ["0.5", "0", "0.5"]}
    assert (await api.make("recomputations", **IN, **PERIOD, **other)).items() >= other.items()
    assert (await pages(api, PATH))[0] == made
    assert_problem(await api.ask("POST", PATH, IN | PERIOD | terms), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (PERIOD | {"to": "2025-01-01T00:00:00Z"}, ("to",)),
        ({"from": PERIOD["from"]}, ("to",)),
        (PERIOD | {"from": "yesterday"}, ("from",)),
        (PERIOD | {"rule": "999"}, ("rule",)),
        (PERIOD | {"rule": "none"}, ("rule",)),
        (PERIOD | {"rule": "999", "model": "linear"}, ("model",)),
        (PERIOD | {"model": "best"}, ("model",)),
        (PERIOD | {"model": "markov"}, ("model",)),
        (PERIOD | {"model": "shapley"}, ("model",)),
        (PERIOD | {"model": "participation"}, ("model",)),
        (PERIOD | {"to": PERIOD["from"]}, ("to",)),
        (PERIOD | {"half_life": "P1D"}, ("half_life",)),
        (PERIOD | {"model": "position_based", "half_life": "P1D"}, ("half_life",)),
        (PERIOD | {"model": "time_decay", "position_weights": ["0.4", "0.2", "0.4"]}, ("position_weights",)),
        (PERIOD | {"model": "time_decay", "half_life": "PT0S"}, ("half_life",)),
        (PERIOD | {"model": "position_based", "position_weights": ["0.4", "0.4", "0.4"]}, ("position_weights",)),
        (PERIOD | {"windows": {"purchase": "-P1D"}}, ("windows", "purchase")),
        (PERIOD | {"windows": {"default": "P36501D"}}, ("windows", "default")),
        (PERIOD | {"min_click_to_conversion": "-PT1S"}, ("min_click_to_conversion",)),
        (PERIOD | {"dry_run": "yes"}, ("dry_run",)),
        (PERIOD | {"windws": {}}, ("windws",)),
    ],
)
async def test_bad_input_is_named_and_starts_nothing(api: Api, body: dict[str, Any], field: tuple[str, ...]) -> None:
    assert_problem(await api.ask("POST", PATH, body), 422, "body", *field)
    assert await api.rows("recomputations") == 0


async def test_a_period_may_be_dates_in_the_programmes_zone(api: Api) -> None:
    await api.make("programs", key="acme", name="Acme", currency="EUR", timezone="Europe/Berlin")
    made = await api.make("recomputations", program="acme", **{"from": "2026-03-29", "to": "2026-03-30"})
    assert (made["from"], made["to"]) == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")


async def test_one_that_is_cancelled_goes_no_further(api: Api, service: Service) -> None:
    """One that is done cannot be cancelled; cancelling twice is cancelling once."""
    done = await api.make("recomputations", **IN, **PERIOD, dry_run=True)
    await recompute(service.database)
    assert_problem(await api.ask("DELETE", f"{PATH}/{done['id']}", params=IN), 409)
    made = await api.make("recomputations", **IN, **PERIOD, model="first_touch")
    for _ in range(2):
        assert (await api.ask("DELETE", f"{PATH}/{made['id']}", params=IN)).status_code == 204
    await recompute(service.database)
    state = (await api.ask("GET", f"{PATH}/{made['id']}", params=IN)).json()
    assert (state["status"], state["progress"]["done"]) == ("cancelled", 0)


@pytest.mark.usefixtures("service")
async def test_a_programme_sees_only_its_own(api: Api) -> None:
    mine = await api.make("recomputations", **IN, **PERIOD, dry_run=True)
    rule = await api.make("rules", **IN, effective_from="2026-01-01T00:00:00Z", model="linear")
    other = (await api.make("programs", key="acme", name="Acme", currency="EUR"))["api_key"]
    for method, path in (("GET", ""), ("GET", "/differences"), ("DELETE", "")):
        assert_problem(await api.ask(method, f"{PATH}/{mine['id']}{path}", bearer=other), 404)
    assert (await api.ask("GET", PATH, bearer=other)).json()["data"] == []
    assert_problem(await api.ask("POST", PATH, PERIOD | {"rule": rule["id"]}, bearer=other), 422, "body", "rule")
    assert_problem(await api.ask("GET", f"{PATH}/{mine['id']}/differences", params=IN | {"by": "post"}), 422)
