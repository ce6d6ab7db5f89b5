"""Leads, signups and custom conversions over HTTP."""

from typing import Any

import pytest
from tests.support.api import Api, assert_problem

LEAD: dict[str, Any] = {
    "type": "lead",
    "conversion_id": "L/1",
    "occurred_at": "2026-11-20T10:00:00Z",
    "value": "12.50",
    "click_id": "...",
    "customer_id": "c77",
    "discount_codes": ["ANNA15"],
}
PATH = "/v1/conversions"


async def post(api: Api, **changes: Any) -> str:
    response = await api.ask("POST", PATH, LEAD | changes)
    assert response.status_code == 200, response.text
    answer: dict[str, str] = response.json()
    assert answer["conversion_id"] == (LEAD | changes)["conversion_id"]
    return answer["status"]


async def state(api: Api, path: str, **query: str) -> dict[str, Any]:
    response = await api.ask("GET", f"{PATH}/{path}", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_conversion_is_stored_once_and_the_newest_stands(api: Api) -> None:
    assert await post(api) == "stored"
    assert await post(api) == "duplicate"
    assert await post(api, updated_at="2026-11-21T00:00:00Z", status="cancelled") == "stored"
    assert await post(api, updated_at="2026-11-20T12:00:00Z") == "stale"
    found = await state(api, "lead/L%2F1")
    assert (found["type"], found["conversion_id"], found["source"]) == ("lead", "L/1", "default")
    assert (found["status"], found["value"], found["net"]) == ("cancelled", "12.50", "0.00")
    assert found["attribution"]["reason"] == "unknown_click_id"
    assert await state(api, "lead/L%2F1/attribution") == found["attribution"]
    assert await state(api, "lead/L%2F1/history") == {"data": [], "next_cursor": None}


async def test_types_and_sources_have_ids_of_their_own(api: Api) -> None:
    assert await post(api) == "stored"
    assert await post(api, type="signup", value=None) == "stored"
    assert await post(api, type="demo_2", source="crm") == "stored"
    assert (await state(api, "signup/L%2F1"))["value"] == "0.00"
    assert (await state(api, "demo_2/L%2F1", source="crm"))["value"] == "12.50"
    for nobody in ("demo_2/L%2F1", "lead/2", "lead/2/attribution", "lead/2/history", "purchase/L%2F1"):
        assert_problem(await api.ask("GET", f"{PATH}/{nobody}"), 404)


async def test_a_conversions_id_may_end_as_a_path_does(api: Api) -> None:
    await post(api, conversion_id="7/history")
    assert (await state(api, "lead/7%2Fhistory"))["conversion_id"] == "7/history"
    assert (await api.ask("GET", "/v1/conversions/lead/7%2Fhistory/history")).json()["data"] == []


async def test_a_value_without_a_currency_is_in_the_programmes(api: Api) -> None:
    await api.make("programs", key="acme", name="Acme", currency="JPY")
    assert_problem(await api.ask("POST", PATH, LEAD | {"program": "acme"}), 422, "body", "value")
    await post(api, program="acme", value="12")
    assert (await state(api, "lead/L%2F1", program="acme"))["currency"] == "JPY"
    await post(api, program="acme", conversion_id="2", currency="KWD", value="0.125")
    assert (await state(api, "lead/2", program="acme"))["value"] == "0.125"


async def test_in_a_list_a_bad_conversion_is_reported_and_the_others_stand(api: Api) -> None:
    answer = await api.ask("POST", PATH, [LEAD, LEAD | {"type": "purchase"}, LEAD, LEAD | {"conversion_id": "2"}])
    results = answer.json()["results"]
    assert [result.get("status") for result in results] == ["stored", None, "duplicate", "stored"]
    assert results[1]["errors"][0]["loc"] == ["body", 1, "type"]
    assert "POST /v1/orders" in results[1]["errors"][0]["msg"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "Lead"}, "type"),
        ({"type": "2nd"}, "type"),
        ({"type": "a" * 33}, "type"),
        ({"conversion_id": ""}, "conversion_id"),
        ({"occurred_at": "soon"}, "occurred_at"),
        ({"value": "-1"}, "value"),
        ({"value": "0.001"}, "value"),
        ({"currency": "XXX"}, "currency"),
        ({"items": []}, "items"),
    ],
)
async def test_a_conversion_that_cannot_be_is_refused_by_its_field(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    assert_problem(await api.ask("POST", PATH, LEAD | changes), 422, "body", field)
    assert await api.rows("conversion_events") == 0


async def test_a_past_moment_has_no_other_model(api: Api) -> None:
    await post(api)
    moment = "2026-11-20T10:00:00Z"
    shown = await state(api, "lead/L%2F1/attribution", as_of=moment)
    assert (shown["as_of"], shown["credits"]) == (moment, [])
    path = f"{PATH}/lead/L%2F1/attribution"
    both = await api.ask("GET", path, params={"as_of": moment, "model": "linear"})
    assert_problem(both, 422, "query", "as_of")
    assert_problem(await api.ask("GET", path, params={"as_of": "then"}), 422, "query", "as_of")
