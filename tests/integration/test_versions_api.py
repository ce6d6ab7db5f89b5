"""What judges conversions has a history that anyone can read."""

from typing import Any

from tests.support.api import Api, assert_problem

AT = "2026-12-01T00:00:00Z"


async def history(api: Api, path: str) -> list[dict[str, Any]]:
    """Page by page."""
    seen: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"limit": 1}
    while True:
        page = (await api.ask("GET", path, params=parameters)).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            return seen
        parameters["cursor"] = page["next_cursor"]


async def test_a_campaigns_windows_have_their_history(api: Api) -> None:
    """Each from its effective date on; the first ever since."""
    campaign = await api.make("campaigns", name="Winter", windows={"purchase": "P7D"})
    path = f"/v1/campaigns/{campaign['id']}"
    await api.ask("PATCH", path, {"windows": {"purchase": "P9D", "lead": "PT0S"}, "effective_from": AT})
    await api.ask("PATCH", path, {"name": "Spring"})
    first, second = await history(api, f"{path}/windows")
    assert (first["effective_from"], first["windows"]) == ("1970-01-01T00:00:00Z", {"purchase": "P7D"})
    assert (second["effective_from"], second["windows"]) == (AT, {"purchase": "P9D", "lead": "PT0S"})
    assert first["created_at"] < second["created_at"]
    assert_problem(await api.ask("GET", "/v1/campaigns/999/windows"), 404)


async def test_a_window_is_neither_negative_nor_of_centuries(api: Api) -> None:
    """The answer names it; zero is a window, and means never."""
    for window in ("-P1D", "P36500DT1S", "P99999999D", "P1Y", "30", ""):
        for noun, body in (
            ("campaigns", {"name": "W"}),
            ("rules", {"effective_from": AT, "model": "linear"}),
        ):
            refused = await api.ask("POST", f"/v1/{noun}", body | {"windows": {"purchase": window}})
            assert_problem(refused, 422, "body", "windows", "purchase")
    for gap in ("-PT1S", "P36500DT1S"):
        rule = {"effective_from": AT, "model": "linear", "min_click_to_conversion": gap}
        assert_problem(await api.ask("POST", "/v1/rules", rule), 422, "body", "min_click_to_conversion")
    assert (await api.make("campaigns", name="W", windows={"purchase": "PT0S"}))["windows"] == {"purchase": "PT0S"}


async def test_a_codes_changes_are_its_history(api: Api) -> None:
    anna = await api.make("influencers", name="Anna")
    code = await api.make("codes", code="ANNA15", influencer_id=anna["id"])
    path = f"/v1/codes/{code['id']}"
    await api.ask("PATCH", path, {"policy": "if_involved"})
    await api.ask("PATCH", path, {"external_id": "crm-1"})
    await api.ask("DELETE", path)
    versions = await history(api, f"{path}/history")
    assert [(v["policy"], v["status"]) for v in versions] == [
        ("always", "active"),
        ("if_involved", "active"),
        ("if_involved", "disabled"),
    ]
    assert_problem(await api.ask("GET", "/v1/codes/999/history"), 404)


async def test_a_code_is_handed_on_to_another_influencer(api: Api) -> None:
    """From an instant on, in one step: nobody else can have the text in between, and each code keeps its history."""
    anna, bella = [await api.make("influencers", name=name) for name in ("Anna", "Bella")]
    code = await api.make("codes", code="SALE", influencer_id=anna["id"], policy="if_involved", external_id="crm-1")
    body = {"influencer_id": bella["id"], "at": AT, "external_id": "crm-2"}
    response = await api.ask("POST", f"/v1/codes/{code['id']}/transfers", body)
    assert response.status_code == 201, response.text
    moved = response.json()
    assert (moved["code"], moved["influencer_id"], moved["policy"]) == ("SALE", bella["id"], "if_involved")
    assert (moved["starts_at"], moved["ends_at"], moved["external_id"]) == (AT, None, "crm-2")
    ended = (await api.ask("GET", f"/v1/codes/{code['id']}")).json()
    assert (ended["influencer_id"], ended["ends_at"], ended["external_id"]) == (anna["id"], AT, "crm-1")
    assert [v["ends_at"] for v in await history(api, f"/v1/codes/{code['id']}/history")] == [None, AT]


async def test_a_transfer_that_cannot_be_changes_nothing(api: Api) -> None:
    anna, bella = [await api.make("influencers", name=name) for name in ("Anna", "Bella")]
    code = await api.make(
        "codes", code="SALE", influencer_id=anna["id"], starts_at=AT, ends_at="2027-01-01T00:00:00Z"
    )
    path = f"/v1/codes/{code['id']}/transfers"
    for field, body in (
        ("influencer_id", {"influencer_id": anna["id"], "at": "2026-12-02T00:00:00Z"}),
        ("influencer_id", {"influencer_id": "999", "at": "2026-12-02T00:00:00Z"}),
        ("at", {"influencer_id": bella["id"], "at": AT}),
        ("at", {"influencer_id": bella["id"], "at": "2027-01-01T00:00:00Z"}),
        ("at", {"influencer_id": bella["id"], "at": "tomorrow"}),
    ):
        assert_problem(await api.ask("POST", path, body), 422, "body", field)
    unknown = await api.ask("POST", "/v1/codes/999/transfers", {"influencer_id": bella["id"]})
    assert_problem(unknown, 404)
    assert (await api.ask("GET", f"/v1/codes/{code['id']}")).json() == code
    assert await api.rows("codes") == 1
