"""Programmes and their objects over HTTP."""

from typing import Any

import pytest
from tests.support.api import BASE_URL, Api, assert_problem

from attribution.domain.models import Model, ReportModel

SHOP = "https://shop.example/a"


async def test_an_influencer_is_made_changed_read_listed_and_disabled(api: Api) -> None:
    made = await api.make("influencers", name="Anna", email="anna@example.com", external_id="crm-1")
    path = f"/v1/influencers/{made['id']}"
    changed = await api.ask("PATCH", path, {"name": "Anna B.", "email": None})
    assert changed.json() == made | {"name": "Anna B.", "email": None}
    assert (await api.ask("GET", path)).json() == changed.json()
    found = await api.ask("GET", "/v1/influencers", params={"external_id": "crm-1"})
    assert found.json() == {"data": [changed.json()], "next_cursor": None}
    assert (await api.ask("DELETE", path)).status_code == 204
    assert (await api.ask("GET", path)).json()["status"] == "disabled"
    assert (await api.ask("PATCH", path, {"status": "active"})).json()["status"] == "active"


async def test_a_list_is_paged_by_cursor_without_gap_or_repeat(api: Api) -> None:
    made = [(await api.make("influencers", name=f"n{number}"))["id"] for number in range(5)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.ask("GET", "/v1/influencers", params=parameters)).json()
        seen += [influencer["id"] for influencer in page["data"]]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert seen == made


async def test_a_wrong_or_unknown_parameter_is_named(api: Api) -> None:
    for parameters in (
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"cursor": "???"},
        {"cursor": "LTE"},
        {"externalid": "1"},
        {"external_id": "\0"},
    ):
        assert_problem(await api.ask("GET", "/v1/links", params=parameters), 422, "query", *parameters)


async def test_a_taken_external_id_is_a_conflict(api: Api) -> None:
    await api.make("influencers", name="Anna", external_id="crm-1")
    response = await api.ask("POST", "/v1/influencers", {"name": "Ben", "external_id": "crm-1"})
    assert_problem(response, 409)
    assert "external_id" in response.json()["detail"]
    ben = await api.make("influencers", name="Ben")
    assert_problem(await api.ask("PATCH", f"/v1/influencers/{ben['id']}", {"external_id": "crm-1"}), 409)


@pytest.mark.parametrize("name", ["default", "Upper", ""])
async def test_a_window_of_no_conversion_type_is_named(api: Api, name: str) -> None:
    response = await api.ask("POST", "/v1/campaigns", {"name": "Winter", "windows": {name: "P7D"}})
    assert_problem(response, 422, "body", "windows", name)


async def test_a_campaign_answers_with_the_windows_in_force(api: Api) -> None:
    campaign = await api.make("campaigns", name="Winter", windows={"purchase": "P7D"}, budget="1000")
    assert campaign["windows"] == {"purchase": "P7D"}
    assert campaign["budget"] == "1000.00"
    path = f"/v1/campaigns/{campaign['id']}"
    later = {"windows": {"purchase": "P9D"}, "effective_from": "2999-01-01T00:00:00Z"}
    assert (await api.ask("PATCH", path, later)).json()["windows"] == {"purchase": "P7D"}
    now = {"windows": {"purchase": "P8D", "lead": "PT0S"}}
    assert (await api.ask("PATCH", path, now)).json()["windows"] == now["windows"]
    assert (await api.ask("PATCH", path, {"name": "Spring"})).json()["windows"] == now["windows"]
    assert await api.rows("campaign_windows") == 3
    assert (await api.ask("PATCH", path, {"windows": None})).json()["windows"] is None


async def test_a_campaign_window_belongs_to_a_conversion_type(api: Api) -> None:
    response = await api.ask("POST", "/v1/campaigns", {"name": "W", "windows": {"default": "P7D"}})
    assert response.status_code == 422
    assert_problem(
        await api.ask("POST", "/v1/campaigns", {"name": "W", "effective_from": "2026-01-01T00:00:00Z"}),
        422,
        "body",
        "effective_from",
    )


async def test_a_budget_is_no_finer_than_the_minor_unit(api: Api) -> None:
    await api.make("programs", key="tokyo", name="Tokyo", currency="JPY")
    assert_problem(
        await api.ask("POST", "/v1/campaigns", {"name": "W", "budget": "10.5", "program": "tokyo"}),
        422,
        "body",
        "budget",
    )
    assert (await api.make("campaigns", name="W", budget=1000, program="tokyo"))["budget"] == "1000"


async def test_a_period_ends_after_it_starts_also_after_a_change(api: Api) -> None:
    campaign = await api.make("campaigns", name="W", starts_at="2026-11-20T00:00:00+01:00")
    assert campaign["starts_at"] == "2026-11-19T23:00:00Z"
    ended = {"ends_at": "2026-11-19T23:00:00.000000Z"}
    assert_problem(await api.ask("PATCH", f"/v1/campaigns/{campaign['id']}", ended), 422, "body", "ends_at")
    ends_at = "2026-11-19T23:00:00.000001Z"
    changed = await api.ask("PATCH", f"/v1/campaigns/{campaign['id']}", {"ends_at": ends_at})
    assert changed.json()["ends_at"] == ends_at


async def test_a_link_gets_a_slug_and_is_published(api: Api) -> None:
    link = await api.make("links", destination=SHOP)
    assert len(link["slug"]) >= 7
    assert link["slug"].isalnum()
    assert link["short_url"] == f"{BASE_URL}/{link['slug']}"
    assert (link["forward_query"], link["status"]) == ("append", "active")
    await api.ask("PATCH", f"/v1/links/{link['id']}", {"destination": f"{SHOP}?b=1"})
    await api.ask("DELETE", f"/v1/links/{link['id']}")
    assert api.published.slugs == [link["slug"]] * 3
    disabled = (await api.ask("GET", f"/v1/links/{link['id']}")).json()
    assert (disabled["status"], disabled["destination"]) == ("disabled", f"{SHOP}?b=1")


async def test_slugs_are_one_namespace_over_all_programmes(api: Api) -> None:
    await api.make("programs", key="other", name="Other", currency="EUR")
    await api.make("links", destination=SHOP, slug="winter")
    taken = await api.ask("POST", "/v1/links", {"destination": SHOP, "slug": "winter", "program": "other"})
    assert_problem(taken, 409)
    assert "slug" in taken.json()["detail"]
    await api.make("links", destination=SHOP, slug="Winter")


async def test_a_bad_or_reserved_slug_is_refused(api: Api) -> None:
    for slug in ("", "a b", "a/b", "é", "v1", "DOCS", "healthz", "x" * 65, "a\n", 7):
        assert_problem(await api.ask("POST", "/v1/links", {"destination": SHOP, "slug": slug}), 422, "body", "slug")
    assert (await api.ask("POST", "/v1/links", {"destination": SHOP, "slug": None})).status_code == 201


async def test_a_slug_never_changes(api: Api) -> None:
    link = await api.make("links", destination=SHOP)
    assert_problem(await api.ask("PATCH", f"/v1/links/{link['id']}", {"slug": "new"}), 422, "body", "slug")


async def test_a_bad_url_is_refused(api: Api) -> None:
    for url in ("", "shop.example", "//shop.example", "javascript:alert(1)", "https://", "https://a\r\nb", 7):
        for field in ("destination", "fallback_url"):
            body = {"destination": SHOP} | {field: url}
            assert_problem(await api.ask("POST", "/v1/links", body), 422, "body", field)
    assert await api.rows("links") == 0


async def test_a_destination_is_stored_byte_for_byte(api: Api) -> None:
    url = "https://Shop.example:443/%7Eä/?q=a+b%20c&&x#Frag"
    assert (await api.make("links", destination=url))["destination"] == url


async def test_references_are_those_of_the_programme(api: Api) -> None:
    other = await api.make("programs", key="other", name="Other", currency="EUR")
    theirs = await api.make("influencers", name="Theirs", bearer=other["api_key"])
    ours = await api.make("influencers", name="Ours")
    link = await api.make("links", destination=SHOP, influencer_id=ours["id"])
    for wrong in (theirs["id"], "999999", "0", "x", "9" * 30):
        body = {"destination": SHOP, "influencer_id": wrong}
        assert_problem(await api.ask("POST", "/v1/links", body), 422, "body", "influencer_id")
        change = {"influencer_id": wrong}
        assert_problem(await api.ask("PATCH", f"/v1/links/{link['id']}", change), 422, "body", "influencer_id")
    assert await api.rows("links") == 1


async def test_a_post_carries_its_references(api: Api) -> None:
    anna = await api.make("influencers", name="Anna")
    campaign = await api.make("campaigns", name="W")
    post = await api.make(
        "posts",
        influencer_id=anna["id"],
        campaign_id=campaign["id"],
        channel="tiktok",
        url="https://tiktok.example/1",
        content_type="video",
        published_at="2026-11-20T10:00:00.000001Z",
    )
    assert (post["influencer_id"], post["campaign_id"], post["channel"]) == (
        anna["id"],
        campaign["id"],
        "tiktok",
    )
    assert post["published_at"] == "2026-11-20T10:00:00.000001Z"
    changed = await api.ask("PATCH", f"/v1/posts/{post['id']}", {"campaign_id": None, "channel": "x"})
    assert changed.json() == post | {"campaign_id": None, "channel": "x"}
    nulled = await api.ask("PATCH", f"/v1/posts/{post['id']}", {"influencer_id": None})
    assert_problem(nulled, 422, "body", "influencer_id")


async def test_a_link_of_a_post_has_from_it_what_it_does_not_say(api: Api) -> None:
    anna, ben = [await api.make("influencers", name=name) for name in ("Anna", "Ben")]
    campaign = await api.make("campaigns", name="W")
    post = await api.make("posts", influencer_id=anna["id"], campaign_id=campaign["id"], channel="tiktok")
    bare = await api.make("links", destination=SHOP, post_id=post["id"])
    assert (bare["influencer_id"], bare["campaign_id"], bare["channel"]) == (anna["id"], campaign["id"], "tiktok")
    said = await api.make("links", destination=SHOP, post_id=post["id"], influencer_id=ben["id"], channel="blog")
    assert (said["influencer_id"], said["campaign_id"], said["channel"]) == (ben["id"], campaign["id"], "blog")


async def test_bulk_links_stand_or_fall_one_by_one(api: Api) -> None:
    items = [
        {"destination": SHOP, "slug": "one"},
        {"destination": "nowhere"},
        {"destination": SHOP, "slug": "one"},
        {"destination": SHOP, "influencer_id": "999999"},
        {"destination": SHOP, "external_id": "a\0b"},
        "no object",
        {"destination": SHOP, "program": "nobody"},
        {"destination": SHOP},
    ]
    response = await api.ask("POST", "/v1/links/bulk", items)
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["index"] for result in results] == list(range(8))
    assert ["errors" in result for result in results] == [False, *[True] * 6, False]
    assert results[1]["errors"][0]["loc"] == ["body", 1, "destination"]
    assert results[3]["errors"][0]["loc"] == ["body", 3, "influencer_id"]
    assert results[0]["short_url"] == f"{BASE_URL}/one"
    assert api.published.slugs == ["one", results[7]["slug"]]
    assert await api.rows("links") == 2


async def test_bulk_takes_a_thousand_and_no_more(api: Api) -> None:
    made = await api.ask("POST", "/v1/links/bulk", [{"destination": SHOP}] * 1000)
    assert len({result["slug"] for result in made.json()["results"]}) == 1000
    assert_problem(await api.ask("POST", "/v1/links/bulk", [{"destination": SHOP}] * 1001), 422, "body")
    assert_problem(await api.ask("POST", "/v1/links/bulk", {"destination": SHOP}), 422, "body")


async def test_a_code_belongs_to_one_influencer_at_a_time(api: Api) -> None:
    anna = await api.make("influencers", name="Anna")
    ben = await api.make("influencers", name="Ben")
    until = "2026-12-01T00:00:00Z"
    code = await api.make("codes", code=" Anna15 ", influencer_id=anna["id"], ends_at=until)
    assert (code["code"], code["policy"]) == ("Anna15", "always")
    taken = await api.ask("POST", "/v1/codes", {"code": "ANNA15", "influencer_id": ben["id"]})
    assert_problem(taken, 409)
    moved = await api.make("codes", code="ANNA15", influencer_id=ben["id"], starts_at=until)
    overlap = await api.ask("PATCH", f"/v1/codes/{moved['id']}", {"starts_at": None})
    assert_problem(overlap, 409)
    await api.ask("DELETE", f"/v1/codes/{code['id']}")
    assert (await api.ask("PATCH", f"/v1/codes/{moved['id']}", {"starts_at": None})).status_code == 200


async def test_rules_are_append_only(api: Api) -> None:
    rule = await api.make(
        "rules",
        effective_from="2020-01-01T00:00:00Z",
        model="linear",
        windows={"default": "P30D", "lead": "P2W"},
        min_click_to_conversion="PT10S",
    )
    assert (rule["half_life"], rule["position_weights"]) == (None, None)
    assert rule["windows"] == {"default": "P30D", "lead": "P2W"}
    assert rule["min_click_to_conversion"] == "PT10S"
    for method in ("PATCH", "DELETE"):
        response = await api.ask(method, f"/v1/rules/{rule['id']}")
        assert_problem(response, 405)
    assert (await api.ask("GET", f"/v1/rules/{rule['id']}")).json() == rule


BAD_RULES: list[tuple[str, object]] = [
    ("model", "markov"),
    ("windows", {"default": "-P1D"}),
    ("windows", {"default": "P1M"}),
    ("windows", {"default": "P9999999D"}),
    ("windows", {"default": 30}),
    ("windows", {"Lead": "P1D"}),
    ("min_click_to_conversion", "10s"),
    ("model", "shapley"),
    ("model", "participation"),
    ("model", "best"),
    ("half_life", "7 days"),
    ("half_life", "PT0S"),
    ("half_life", 7),
    ("position_weights", ["0.4", "0.2", "0.5"]),
    ("position_weights", ["0.4", "0.2", "0.40000000000000000000000000001"]),
    ("position_weights", ["0.5", "0.5"]),
    ("position_weights", ["-0.5", "1", "0.5"]),
    ("position_weights", ["a", "b", "c"]),
    ("position_weights", "0.4,0.2,0.4"),
    ("half_lives", "P7D"),
    ("effective_from", "2026-01-01"),
    ("effective_from", "2026-01-01T00:00:00"),
    ("effective_from", 1767225600),
    ("effective_from", "3000-01-01T00:00:00Z"),
    ("effective_from", "1969-12-31T23:59:59Z"),
]


async def test_a_rule_keeps_the_parameters_of_models(api: Api) -> None:
    """Those of other models too, which explanations by other models use."""
    for model in Model:
        rule = await api.make(
            "rules",
            effective_from="2020-01-01T00:00:00Z",
            model=model,
            half_life="P1DT12H",
            position_weights=["0.3", "0.0000001", "0.6999999"],
        )
        assert rule["model"] == model
        assert rule["half_life"] == "P1DT12H"
        assert rule["position_weights"] == ["0.3", "0.0000001", "0.6999999"]
        assert (await api.ask("GET", f"/v1/rules/{rule['id']}")).json() == rule


@pytest.mark.parametrize("model", ReportModel)
async def test_a_global_model_never_pays(api: Api, model: str) -> None:
    """The refusal says where it is to be had."""
    response = await api.ask("POST", "/v1/rules", {"effective_from": "2020-01-01T00:00:00Z", "model": model})
    assert_problem(response, 422, "body", "model")
    assert "/v1/reports/attribution" in response.text


async def test_a_bad_rule_is_refused(api: Api) -> None:
    rule = {"effective_from": "2020-01-01T00:00:00Z", "model": "linear", "windows": {"default": "P30D"}}
    for field, value in BAD_RULES:
        response = await api.ask("POST", "/v1/rules", rule | {field: value})
        assert response.status_code == 422, (field, value)
        assert response.json()["errors"][0]["loc"][:2] == ["body", field]
    assert await api.rows("rules") == 0


async def test_a_programme_shows_its_key_once_and_its_secrets_never(api: Api) -> None:
    made = await api.make("programs", key="acme", name="Acme", currency="EUR", webhook_secrets={"shopify": "hush"})
    assert len(made.pop("api_key")) >= 32
    path = f"/v1/programs/{made['id']}"
    read = await api.ask("GET", path)
    assert read.json() == made
    assert "hush" not in read.text
    assert (made["timezone"], made["click_id_param"], made["gross_margin"]) == ("UTC", "click_id", "1")
    changed = await api.ask("PATCH", path, {"click_id_param": "irclickid", "gross_margin": "0.35"})
    assert changed.json() == made | {"click_id_param": "irclickid", "gross_margin": "0.35"}
    assert api.published.programs == [int(made["id"])]
    await api.ask("PATCH", path, {"name": "Acme AG"})
    assert len(api.published.programs) == 1
    async with api.database.connection() as connection:
        assert await connection.fetchval("SELECT webhook_secrets FROM programs WHERE key = 'acme'") == {
            "shopify": "hush"
        }


BAD_PROGRAMMES: list[tuple[str, object]] = [
    ("key", ""),
    ("key", "a b"),
    ("currency", "XXX"),
    ("currency", "eur"),
    ("currency", "EURO"),
    ("timezone", "Mars/Olympus"),
    ("timezone", "../../etc/passwd"),
    ("click_id_param", "1click"),
    ("click_id_param", "a" * 65),
    ("visitor_id_param", "CLICK_ID"),
    ("gross_margin", "1.01"),
    ("gross_margin", "-0.1"),
    ("gross_margin", "NaN"),
    ("gross_margin", True),
    ("webhook_secrets", {"stripe": "x"}),
    ("name", "  "),
    ("api_key", "mine"),
]


async def test_a_bad_programme_is_refused(api: Api) -> None:
    programme = {"key": "acme", "name": "Acme", "currency": "EUR"}
    for field, value in BAD_PROGRAMMES:
        response = await api.ask("POST", "/v1/programs", programme | {field: value})
        assert response.status_code == 422, (field, value)
        assert response.json()["errors"][0]["loc"][:2] == ["body", field]
    assert await api.rows("programs") == 0


async def test_a_programmes_key_and_currency_never_change(api: Api) -> None:
    made = await api.make("programs", key="acme", name="Acme", currency="EUR")
    for field, value in (("key", "acme2"), ("currency", "USD")):
        assert_problem(await api.ask("PATCH", f"/v1/programs/{made['id']}", {field: value}), 422, "body", field)


async def test_a_taken_programme_key_makes_neither_programme_nor_api_key(api: Api) -> None:
    await api.make("programs", key="acme", name="Acme", currency="EUR")
    body = {"key": "acme", "name": "Again", "currency": "EUR"}
    assert_problem(await api.ask("POST", "/v1/programs", body), 409)
    assert (await api.rows("programs"), await api.rows("api_keys")) == (1, 1)
