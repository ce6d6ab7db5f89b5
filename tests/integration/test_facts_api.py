"""Insights, costs, commission plans, exchange rates and goals over HTTP."""

import asyncio
import random
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.api import Api, assert_problem
from tests.support.waiting import eventually

from attribution.adapters.commission_plan_table import CommissionPlanTable
from attribution.adapters.fx_rate_table import FxRateTable
from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.adapters.rollups import Rollups
from attribution.api.costs import COSTS
from attribution.domain.commission import Scope
from attribution.domain.costs import spread
from attribution.domain.ids import InfluencerId, ProgramId
from attribution.domain.insights import METRICS, Total, growth
from attribution.domain.programs import Program

if TYPE_CHECKING:
    from httpx import Response

NOON = "2026-11-20T12:00:00Z"
EVENING = "2026-11-20T18:00:00Z"
FEE = {"kind": "fee", "amount": "100.00", "currency": "EUR"}
PLAN = {"effective_from": "2026-01-01T00:00:00Z"}
RATE = {"date": "2026-11-20", "base": "EUR", "quote": "USD"}


async def make_post(api: Api, **fields: Any) -> dict[str, Any]:
    anna = await api.make("influencers", name="Anna")
    return await api.make("posts", influencer_id=anna["id"], channel="instagram", **fields)


async def fetch(api: Api, query: str) -> list[dict[str, Any]]:
    async with api.database.connection() as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def program_id(api: Api) -> ProgramId:
    [row] = await fetch(api, "SELECT program_id FROM programs")
    return ProgramId(row["program_id"])


async def test_insights_are_recorded_and_listed(api: Api) -> None:
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    made = await api.ask("POST", path, {"at": NOON, "impressions": 1000, "likes": 40})
    assert made.status_code == 201
    assert (made.json()["impressions"], made.json()["likes"], made.json()["reach"]) == (1000, 40, None)
    assert (await api.ask("GET", path)).json() == {"data": [made.json()], "next_cursor": None}


async def test_a_repeated_insight_changes_nothing(api: Api) -> None:
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    said = {"at": NOON, "likes": 40}
    made = await api.ask("POST", path, said)
    again = await api.ask("POST", path, said)
    assert (again.status_code, again.json()) == (200, made.json())
    assert await api.rows("insights") == 1


async def test_a_correction_counts_for_each_total_it_states(api: Api) -> None:
    """All messages stay: a past answer can be explained."""
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    items = [
        {"at": NOON, "likes": 40, "views": 900},
        {"at": NOON, "likes": 38},
        {"at": NOON, "likes": 38, "views": 900},
        {"at": NOON, "likes": "40"},
        {"at": EVENING},
    ]
    results = (await api.ask("POST", path, items)).json()["results"]
    assert [result.get("stored") for result in results] == [True, True, False, None, None]
    assert results[3]["errors"][0]["loc"] == ["body", 3, "likes"]
    assert results[4]["errors"][0]["loc"] == ["body", 4]
    steps = await fetch(api, "SELECT metric, total FROM insight_steps ORDER BY metric")
    assert steps == [{"metric": "likes", "total": 38}, {"metric": "views", "total": 900}]
    assert len((await api.ask("GET", path)).json()["data"]) == 2


async def test_the_steps_in_the_database_are_the_growth(api: Api) -> None:
    """The sum of the steps in a period is what the pure function says, for each metric, whatever came when."""
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    said = [(5, 30, 1), (2, 10, None), (8, None, 3), (5, 25, None), (3, 12, 0), (9, 20, 2)]
    items = [{"at": f"2026-11-20T00:00:0{second}Z", "views": v, "saves": s} for second, v, s in said]
    await api.ask("POST", path, [{k: v for k, v in item.items() if v is not None} for item in items])
    for metric, place in (("views", 1), ("saves", 2)):
        totals = [Total(row[0], total) for row in said if (total := row[place]) is not None]
        for start, end in ((0, 10), (3, 5), (3, 6), (5, 9), (6, 10)):
            [row] = await fetch(
                api,
                "SELECT coalesce(sum(growth), 0)::int AS growth FROM insight_steps"  # noqa: S608
                f" WHERE metric = '{metric}' AND extract(second FROM at) >= {start} "
                f" AND extract(second FROM at) < {end}",
            )
            assert row["growth"] == growth(totals, start, end), (metric, start, end)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"at": "2999-01-01T00:00:00Z"}, "at"),
        ({"at": "2026-11-20"}, "at"),
        ({"likes": -1}, "likes"),
        ({"likes": 1.5}, "likes"),
        ({"like": 1}, "like"),
    ],
)
async def test_a_wrong_insight_is_refused_by_field(api: Api, changed: dict[str, Any], field: str) -> None:
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    assert_problem(await api.ask("POST", path, {"at": NOON, "likes": 1} | changed), 422, "body", field)


async def test_insights_of_another_programmes_post_are_unknown(api: Api) -> None:
    await api.make("programs", key="other", name="Other", currency="EUR")
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    for body in ({"at": NOON, "likes": 1}, [{"at": NOON, "likes": 1}]):
        assert_problem(await api.ask("POST", path, body, params={"program": "other"}), 404)
    assert_problem(await api.ask("GET", path, params={"program": "other"}), 404)
    assert await api.rows("insights") == 0


async def test_followers_may_be_fewer_than_before_the_post(api: Api) -> None:
    path = f"/v1/posts/{(await make_post(api))['id']}/insights"
    assert (await api.ask("POST", path, {"at": NOON, "followers": -3})).json()["followers"] == -3
    assert set(METRICS) <= (await api.ask("GET", path)).json()["data"][0].keys()


async def test_a_cost_is_made_changed_and_disabled(api: Api) -> None:
    made = await api.make("costs", **FEE, date="2026-11-20", external_id="inv-1")
    assert (made["amount"], made["date"], made["from"], made["to"]) == ("100.00", "2026-11-20", None, None)
    path = f"/v1/costs/{made['id']}"
    changed = await api.ask("PATCH", path, {"amount": "90", "currency": "JPY"})
    assert changed.json() == made | {"amount": "90", "currency": "JPY"}
    period = {"date": None, "from": "2026-11-01", "to": "2026-12-01"}
    assert (await api.ask("PATCH", path, period)).json() == changed.json() | period
    assert (await api.ask("DELETE", path)).status_code == 204
    assert (await api.ask("GET", path)).json()["status"] == "disabled"
    assert await fetch(api, "SELECT FROM cost_days") == []


async def test_a_period_of_one_day_is_a_date(api: Api) -> None:
    made = await api.make("costs", **FEE, **{"from": "2026-11-20", "to": "2026-11-21"})
    assert (made["date"], made["from"], made["to"]) == ("2026-11-20", None, None)


async def test_the_days_in_the_database_are_the_spread(api: Api) -> None:
    await api.make("costs", **FEE | {"amount": "10.00"}, **{"from": "2026-11-01", "to": "2026-12-01"})
    days = await fetch(api, "SELECT day, amount_minor FROM cost_days ORDER BY day")
    assert {row["day"]: row["amount_minor"] for row in days} == spread(1000, date(2026, 11, 1), date(2026, 12, 1))


async def test_a_posts_cost_is_its_influencers_and_campaigns_where_it_names_none(api: Api) -> None:
    winter, spring = await api.make("campaigns", name="W"), await api.make("campaigns", name="S")
    post = await make_post(api, campaign_id=winter["id"])
    await api.make("costs", **FEE, date="2026-11-20", post_id=post["id"])
    await api.make("costs", **FEE, date="2026-11-20", post_id=post["id"], campaign_id=spring["id"])
    owners = await fetch(api, "SELECT influencer_id, campaign_id, channel FROM cost_days ORDER BY cost_id")
    assert [str(owner["influencer_id"]) for owner in owners] == [post["influencer_id"]] * 2
    assert [str(owner["campaign_id"]) for owner in owners] == [winter["id"], spring["id"]]
    assert owners[0]["channel"] == "instagram"


async def test_what_a_cost_does_not_name_passes_on_with_its_post(api: Api) -> None:
    anna, cora = await api.make("influencers", name="Anna"), await api.make("influencers", name="Cora")
    post = await make_post(api)
    cost = await api.make("costs", **FEE, date="2026-11-20", post_id=post["id"])
    await api.make("costs", **FEE, date="2026-11-20", post_id=post["id"], influencer_id=anna["id"])
    await api.ask("PATCH", f"/v1/posts/{post['id']}", {"influencer_id": cora["id"], "channel": "blog"})
    for view in ("cost_days", "owned_costs"):
        owners = await fetch(api, f"SELECT influencer_id, channel FROM {view} ORDER BY cost_id")  # noqa: S608
        assert [str(owner["influencer_id"]) for owner in owners] == [cora["id"], anna["id"]]
        assert {owner["channel"] for owner in owners} == {"blog"}
    await api.ask("PATCH", f"/v1/costs/{cost['id']}", {"post_id": None, "influencer_id": anna["id"]})
    owners = await fetch(api, "SELECT influencer_id, channel FROM owned_costs ORDER BY cost_id")
    assert (str(owners[0]["influencer_id"]), owners[0]["channel"]) == (anna["id"], None)


async def is_waiting(api: Api) -> bool:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await fetch(api, waiting))


@pytest.mark.parametrize("said", [{"amount": "90"}, {"influencer_id": "cora"}, {"influencer_id": None}])
async def test_a_post_passes_on_while_a_cost_of_it_is_changed(api: Api, said: dict[str, Any]) -> None:
    """The edit holds the cost, and whoever changes the post has that and waits for the cost: neither is refused."""
    anna, cora = await api.make("influencers", name="Anna"), await api.make("influencers", name="Cora")
    post = await make_post(api)
    cost = await api.make("costs", **FEE, date="2026-11-20", post_id=post["id"], influencer_id=anna["id"])
    said = {name: cora["id"] if value == "cora" else value for name, value in said.items()}
    passed_on: list[asyncio.Task[Response]] = []

    class WhilePostsPassOn(Objects):
        async def _read(self, connection: Any, scope: int | None, object_id: int) -> Row:
            if not passed_on:
                change = api.ask("PATCH", f"/v1/posts/{post['id']}", {"influencer_id": cora["id"], "channel": "blog"})
                passed_on.append(asyncio.create_task(change))
                await eventually(lambda: is_waiting(api))
            return await super()._read(connection, scope, object_id)

    def merge(row: Row) -> dict[str, Any]:
        return COSTS.new.model_validate(COSTS.current(row) | said).columns(
            Program(ProgramId(1), "default", "EUR", "UTC", "click_id")
        )

    await WhilePostsPassOn(api.database, "costs").change(await program_id(api), int(cost["id"]), merge)
    assert (await passed_on[0]).status_code == 200
    [owner] = await fetch(api, "SELECT influencer_id, channel FROM owned_costs")
    expected = anna["id"] if "amount" in said else cora["id"]
    assert (str(owner["influencer_id"]), owner["channel"]) == (expected, "blog")


async def test_posts_and_their_costs_are_changed_at_once(api: Api) -> None:
    """Owners, posts of costs and amounts, all at the same time: none is refused, and owners are the posts'."""
    influencers = [(await api.make("influencers", name=name))["id"] for name in ("Anna", "Bella", "Cora")]
    posts = [(await make_post(api))["id"] for _ in range(2)]
    costs = [(await api.make("costs", **FEE, date="2026-11-20", post_id=posts[n % 2]))["id"] for n in range(4)]
    rng = random.Random(1)  # noqa: S311

    def edit() -> tuple[str, dict[str, Any]]:
        match rng.randrange(5):
            case 0 | 1:
                return f"/v1/posts/{posts[0]}", {"influencer_id": rng.choice(influencers)}
            case 2:
                moved = rng.randrange(4)  # Once, away from the post that passes on, or to it.
                return f"/v1/costs/{costs[moved]}", {"post_id": posts[(moved + 1) % 2]}
            case 3:
                return f"/v1/costs/{rng.choice(costs)}", {"influencer_id": rng.choice((None, *influencers))}
        return f"/v1/costs/{rng.choice(costs)}", {"amount": str(rng.randrange(100))}

    for _ in range(12):
        answers = await asyncio.gather(*(api.ask("PATCH", *edit()) for _ in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert await Rollups(api.database).cost_mismatches(await program_id(api), 1) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (FEE, "date"),
        (FEE | {"date": "2026-11-20", "from": "2026-11-20", "to": "2026-11-22"}, "date"),
        (FEE | {"from": "2026-11-20"}, "date"),
        (FEE | {"from": "2026-11-20", "to": "2026-11-20"}, "to"),
        (FEE | {"from": "1990-11-20", "to": "2026-11-20"}, "to"),
        (FEE | {"date": "2026-02-30"}, "date"),
        (FEE | {"date": NOON}, "date"),
        (FEE | {"from_": "2026-11-20", "to": "2026-11-22"}, "from_"),
        (FEE | {"date": "2026-11-20", "amount": "1.005"}, "amount"),
        (FEE | {"date": "2026-11-20", "kind": "bribe"}, "kind"),
        (FEE | {"date": "2026-11-20", "post_id": "77"}, "post_id"),
        (FEE | {"date": "2026-11-20", "influencer_id": "77"}, "influencer_id"),
    ],
)
async def test_a_wrong_cost_is_refused_by_field(api: Api, fields: dict[str, Any], field: str) -> None:
    assert_problem(await api.ask("POST", "/v1/costs", fields), 422, "body", field)


async def test_commission_plans_are_append_only(api: Api) -> None:
    made = await api.make("commission-plans", **PLAN, percent="7.5")
    assert (made["percent"], made["flat"], made["currency"]) == ("7.5", None, None)
    path = f"/v1/commission-plans/{made['id']}"
    assert (await api.ask("GET", path)).json() == made
    assert (await api.ask("PATCH", path, {"percent": "8"})).status_code == 405
    assert (await api.ask("DELETE", path)).status_code == 405


async def test_the_plans_made_are_those_that_are_chosen_from(api: Api) -> None:
    anna = await api.make("influencers", name="Anna")
    await api.make("commission-plans", **PLAN, percent=2.9)
    flat = {
        "flat": "5",
        "currency": "JPY",
        "influencer_id": anna["id"],
        "conversion_type": "lead",
        "new_customer": True,
    }
    await api.make("commission-plans", **PLAN, **flat)
    book = await CommissionPlanTable(api.database).book(await program_id(api))
    credit = Scope(InfluencerId(int(anna["id"])), None, "lead", new_customer=True)
    chosen = book.choose(credit, 2 * 10**15, None)
    assert chosen is not None
    assert (chosen.flat_minor, chosen.currency) == (5, "JPY")
    general = book.choose(Scope(InfluencerId(99)), 2 * 10**15, None)
    assert general is not None
    assert general.rate == Fraction(29, 1000)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "percent"),
        ({"percent": "1", "flat": "1", "currency": "EUR"}, "percent"),
        ({"percent": "100.01"}, "percent"),
        ({"percent": "-1"}, "percent"),
        ({"percent": "1", "currency": "EUR"}, "currency"),
        ({"flat": "1"}, "currency"),
        ({"flat": "1.001", "currency": "EUR"}, "flat"),
        ({"percent": "1", "influencer_id": "77"}, "influencer_id"),
        ({"percent": "1", "campaign_id": "77"}, "campaign_id"),
        ({"percent": "1", "conversion_type": "Lead"}, "conversion_type"),
        ({"percent": "1", "tiers": []}, "tiers"),
    ],
)
async def test_a_wrong_commission_plan_is_refused_by_field(api: Api, fields: dict[str, Any], field: str) -> None:
    assert_problem(await api.ask("POST", "/v1/commission-plans", PLAN | fields), 422, "body", field)


async def test_exchange_rates_are_recorded_corrected_and_repeated(api: Api) -> None:
    made = await api.ask("POST", "/v1/fx-rates", RATE | {"rate": "1.0845"})
    assert (made.status_code, made.json()["rate"]) == (201, "1.0845")
    rates: list[dict[str, Any]] = [{**RATE, "rate": rate} for rate in ("1.0845", "1.09", 1.09)]
    results = (await api.ask("POST", "/v1/fx-rates", [*rates, {**RATE, "rate": "0"}])).json()["results"]
    assert [result.get("stored") for result in results] == [False, True, False, None]
    assert results[3]["errors"][0]["loc"] == ["body", 3, "rate"]
    repeated = await api.ask("POST", "/v1/fx-rates", rates[1])
    assert (repeated.status_code, repeated.json()["id"]) == (200, results[1]["id"])
    assert (await api.ask("GET", f"/v1/fx-rates/{results[1]['id']}")).json() == repeated.json()
    assert [rate["rate"] for rate in (await api.ask("GET", "/v1/fx-rates")).json()["data"]] == ["1.0845", "1.09"]
    day = date(2026, 11, 20)
    book = await FxRateTable(api.database).book(await program_id(api), [day])
    assert book.rate(day, "EUR", "USD") == Fraction("1.09")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rate": "-1"}, "rate"),
        ({"rate": "1000000000.1"}, "rate"),
        ({"rate": "0.0000000009"}, "rate"),
        ({"rate": "1", "quote": "EUR"}, "quote"),
        ({"rate": "1", "base": "euro"}, "base"),
        ({}, "rate"),
    ],
)
async def test_a_wrong_exchange_rate_is_refused_by_field(api: Api, fields: dict[str, Any], field: str) -> None:
    assert_problem(await api.ask("POST", "/v1/fx-rates", RATE | fields), 422, "body", field)


async def test_a_campaign_has_a_goal_with_targets(api: Api) -> None:
    made = await api.make("campaigns", name="W", goal="sales", targets={"orders": 500, "roas": "4.5"})
    assert (made["goal"], made["targets"]) == ("sales", {"orders": "500", "roas": "4.5"})
    path = f"/v1/campaigns/{made['id']}"
    assert (await api.ask("PATCH", path, {"name": "S"})).json()["targets"] == made["targets"]
    assert_problem(await api.ask("PATCH", path, {"goal": "leads"}), 422, "body", "targets", "roas")
    leads = {"goal": "leads", "targets": {"cost_per_lead": "2.50"}}
    changed = (await api.ask("PATCH", path, leads)).json()
    assert (changed["goal"], changed["targets"]) == ("leads", {"cost_per_lead": "2.50"})
    assert (await api.ask("PATCH", path, {"goal": None, "targets": {}})).json()["targets"] == {}


async def test_targets_belong_to_a_goal(api: Api) -> None:
    assert_problem(
        await api.ask("POST", "/v1/campaigns", {"name": "W", "targets": {"reach": 1}}),
        422,
        "body",
        "targets",
        "reach",
    )
    for wrong in ({"goal": "fame"}, {"goal": "sales", "targets": {"orders": "-1"}}):
        assert (await api.ask("POST", "/v1/campaigns", {"name": "W"} | wrong)).status_code == 422
