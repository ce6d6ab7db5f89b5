"""/v1/stats: what is asked is checked before it is answered."""

from datetime import UTC, datetime

import pytest
from tests.support.api import Api, assert_problem
from tests.support.batches import batch_of

from attribution.adapters.click_table import ClickTable
from attribution.adapters.credit_table import CreditTable
from attribution.conversions.attributor import Attributor, AttributorPolicy
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import AgentClass, Click
from attribution.domain.ids import ClickId, InfluencerId, LinkId, PostId, ProgramId
from attribution.domain.instants import to_us

WRONG = (
    ("day", "x"),
    ("day", ""),
    ("day", "2026-02-30"),
    ("month", "2026"),
    ("month", "2026-13"),
    ("week", "2026-11-10"),
    ("hour", "5"),
    ("channel", "foo"),
    ("country", "Germany"),
    ("country", "de"),
    ("country", "\0\0"),
    ("device", "phone"),
    ("influencer", "abc"),
    ("link", "1,-1"),
    ("group_by", "planet"),
    ("group_by", "day,day"),
    ("metrics", "luck"),
    ("sort", "planet"),
    ("from", "yesterday"),
    ("to", "2026-11-20T10:00:00"),
    ("limit", "0"),
    ("cursor", "-"),
    ("cursor", "LTU"),
    ("model", "markov"),
    ("planet", "mars"),
)


async def test_a_value_that_cannot_be_is_named(api: Api) -> None:
    """Rather than answered with zeros, which look like an answer."""
    for parameter, value in WRONG:
        assert_problem(await api.ask("GET", "/v1/stats", params={parameter: value}), 422, "query", parameter)


@pytest.mark.parametrize("value", ["none", "1", "1,none", "2"])
async def test_values_that_can_be_are_answered(api: Api, value: str) -> None:
    assert (await api.ask("GET", "/v1/stats", params={"influencer": value})).json()["totals"]["clicks"] == 0


async def test_a_value_with_a_comma_is_named_in_quotes(api: Api) -> None:
    """Alone, and beside others; without quotes the comma divides."""
    at = datetime(2026, 11, 20, tzinfo=UTC)
    subs = ("red, blue", "red", "blue", '"red"', 'so-called "red", blue')
    clicks = [
        Click(
            ClickId(make_click_id(to_us(at), bytes([number]) * 8)), ProgramId(1), LinkId(1), None, None, None, None,
            AgentClass.BROWSER, subs=(sub, None, None, None, None),
        )
        for number, sub in enumerate(subs)
    ]  # fmt: skip
    await ClickTable(api.database).store(batch_of(clicks), [], [])
    asked = {"from": "2026-11-01", "to": "2026-12-01", "group_by": "sub1", "metrics": "clicks"}
    for text, found in (
        ('"red, blue"', {"red, blue"}),
        ('green,"red, blue",red', {"red, blue", "red"}),
        ("red, blue", {"red", "blue"}),
        ('"red"', {'"red"'}),
        ('"so-called ""red"", blue"', {'so-called "red", blue'}),
    ):
        answer = await api.ask("GET", "/v1/stats", params=asked | {"sub1": text})
        assert {row["sub1"] for row in answer.json()["rows"]} == found, text
    assert_problem(await api.ask("GET", "/v1/stats", params={"link": '"1,2"'}), 422, "query", "link")


@pytest.mark.parametrize("name", ["content_type", "sub1", "code"])
async def test_a_value_that_reads_none_is_a_value(api: Api, name: str) -> None:
    """It has visitors and a period before, and is not what a filter by `none` finds."""
    influencer = (await api.make("influencers", name="Anna"))["id"]
    post = await api.make("posts", influencer_id=influencer, channel="blog", content_type="none")
    await api.make("codes", code="none", influencer_id=influencer)
    link = await api.make("links", destination="https://shop.example/", post_id=post["id"])

    def click(number: int, at: datetime, post_id: PostId | None, sub: str | None) -> Click:
        return Click(
            ClickId(make_click_id(to_us(at), bytes([number]) * 8)), ProgramId(1), LinkId(int(link["id"])), None,
            None, post_id, None, AgentClass.BROWSER, subs=(sub, None, None, None, None),
        )  # fmt: skip

    moments = [datetime(2026, month, 20, tzinfo=UTC) for month in (10, 11, 11)]
    clicks = [click(number, at, PostId(int(post["id"])), "none") for number, at in enumerate(moments)]
    await ClickTable(api.database).store(batch_of([*clicks, click(9, moments[-1], None, None)]), [], [])
    for number, at in enumerate(moments):
        order = {"order_id": str(number), "ordered_at": at.isoformat(), "currency": "USD", "amount": "5"}
        await api.ask("POST", "/v1/orders", order | {"discount_codes": ["none"]})
    await Attributor(CreditTable(api.database), AttributorPolicy(10, 0.1)).step()

    metrics = "orders" if name == "code" else "clicks,unique_visitors"
    asked = {"from": "2026-11-01", "to": "2026-12-01", "group_by": name, "metrics": metrics, "compare": "previous"}
    rows = {row[name]: row for row in (await api.ask("GET", "/v1/stats", params=asked)).json()["rows"]}
    for metric in metrics.split(","):
        assert (rows["none"][metric], rows["none"]["previous"][metric]) == (2, 1), metric
    found = (await api.ask("GET", "/v1/stats", params=asked | {name: "none"})).json()["rows"]
    assert found == [row for label, row in rows.items() if label is None]


async def test_codes_are_found_whatever_their_case(api: Api) -> None:
    """As orders match them."""
    influencer = await api.make("influencers", name="Anna")
    await api.make("codes", code="ANNA15", influencer_id=influencer["id"])
    order = {"order_id": "1", "ordered_at": "2026-11-20T10:00:00Z", "currency": "USD", "amount": "5"}
    await api.ask("POST", "/v1/orders", order | {"discount_codes": ["anna15"]})
    await Attributor(CreditTable(api.database), AttributorPolicy(10, 0.1)).step()
    for code in ("anna15", "ANNA15"):
        answer = await api.ask("GET", "/v1/stats", params={"code": code, "from": "2026-11-01", "to": "2026-12-01"})
        assert answer.json()["totals"]["orders"] == 1


async def test_a_missing_rate_is_an_error_that_names_its_day(api: Api) -> None:
    """Never a rate of 1; a question that does not need the rate is answered."""
    influencer = await api.make("influencers", name="Anna")
    await api.make(
        "costs", kind="fee", amount="10", currency="GBP", date="2026-11-20", influencer_id=influencer["id"]
    )
    period = {"from": "2026-11-01", "to": "2026-12-01"}
    answer = await api.ask("GET", "/v1/stats", params=period)
    assert_problem(answer, 409)
    assert "from GBP to USD for 2026-11-20" in answer.json()["detail"]
    for enough in ({"metrics": "clicks"}, {"influencer": "none"}, {"to": "2026-11-20"}):
        assert (await api.ask("GET", "/v1/stats", params=period | enough)).status_code == 200
    await api.make("fx-rates", date="2026-11-20", base="GBP", quote="USD", rate="1.25")
    answer = await api.ask("GET", "/v1/stats", params=period | {"group_by": "influencer", "metrics": "cost"})
    assert answer.json()["rows"] == [{"influencer": influencer["id"], "cost": "12.50"}]


async def test_csv_has_a_line_a_row_and_the_next_page_in_its_head(api: Api) -> None:
    """By parameter or by `Accept`; with the period before as columns; a text that would be a formula is quoted."""
    for code in ("=1+1", "ANNA15"):
        influencer = await api.make("influencers", name=code)
        await api.make("codes", code=code, influencer_id=influencer["id"])
        order = {"order_id": code, "ordered_at": "2026-11-20T10:00:00Z", "currency": "USD", "amount": "5"}
        await api.ask("POST", "/v1/orders", order | {"discount_codes": [code]})
    await Attributor(CreditTable(api.database), AttributorPolicy(10, 0.1)).step()
    asked = {"from": "2026-11-01", "to": "2026-12-01", "group_by": "code", "metrics": "orders,revenue", "limit": "1"}
    answer = await api.ask("GET", "/v1/stats", params=asked | {"format": "csv", "compare": "previous"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines() == [
        "code,orders,revenue,previous_orders,previous_revenue,change_orders,change_revenue",
        "'=1+1,1,5.00,0,0.00,,",
    ]
    following = await api.ask("GET", answer.links["next"]["url"].removeprefix("https://go.example"))
    assert following.text.splitlines()[1].startswith("ANNA15,1,5.00")
    assert "next" not in following.links
    negotiated = await api.ask("GET", "/v1/stats", params=asked, headers={"Accept": "text/csv"})
    assert negotiated.text.splitlines()[0] == "code,orders,revenue"


async def test_another_model_divides_the_same_revenue_otherwise(api: Api) -> None:
    """And keeps nothing of it."""
    at = [datetime(2026, 11, day, tzinfo=UTC) for day in (18, 19)]
    influencers = [await api.make("influencers", name=name) for name in ("Anna", "Bella")]
    for influencer, moment in zip(influencers, at, strict=True):
        link = await api.make("links", destination="https://shop.example/", influencer_id=influencer["id"])
        click = Click(
            ClickId(make_click_id(to_us(moment), bytes(8))), ProgramId(1), LinkId(int(link["id"])),
            InfluencerId(int(influencer["id"])), None, None, None, AgentClass.BROWSER, visitor_id="v",
        )  # fmt: skip
        await ClickTable(api.database).store(batch_of([click]), [], [])
    order = {
        "order_id": "1",
        "ordered_at": "2026-11-20T10:00:00Z",
        "currency": "USD",
        "amount": "5",
        "visitor_id": "v",
    }
    await api.ask("POST", "/v1/orders", order)
    await Attributor(CreditTable(api.database), AttributorPolicy(10, 0.1)).step()

    async def revenues(**parameters: str) -> list[str]:
        asked = {"from": "2026-11-01", "to": "2026-12-01", "group_by": "influencer", "metrics": "clicks,revenue"}
        answer = (await api.ask("GET", "/v1/stats", params=asked | parameters)).json()
        assert answer["model"] == parameters.get("model", "recorded")
        assert answer["totals"]["revenue"] == "5.00"
        return [row["revenue"] for row in answer["rows"]]

    assert await revenues() == ["0.00", "5.00"]
    assert await revenues(model="first_touch") == ["5.00", "0.00"]
    assert await revenues(model="linear", compare="previous") == ["2.50", "2.50"]
    assert await revenues(model="recorded") == ["0.00", "5.00"]
