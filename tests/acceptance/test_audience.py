"""Countries and devices through the whole service: from taps and imports to stats."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.mmdb import country, mmdb
from tests.support.up import Up, running_up

DESKTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    file = tmp_path / "countries.mmdb"
    file.write_bytes(mmdb({"127.0.0.0/8": country("DE"), "203.0.113.0/24": country("AT")}))
    with running_up(tmp_path / "data", "--no-demo", ATTRIBUTION_GEOIP_FILE=str(file)) as running:
        running.make("programs", key="main", name="Main", currency="EUR", timezone="UTC")
        yield running


def test_clicks_and_credits_are_grouped_and_filtered_by_country_and_device(up: Up) -> None:
    """Of taps, bots and imports; an order has those of the click that is credited."""
    up.make("links", program="main", slug="winter", destination="https://shop.example/")
    tapped = [up.tap("winter"), up.tap("winter", User_Agent=DESKTOP), up.tap("winter", User_Agent="Twitterbot/1.0")]
    assert [answer.status_code for answer in tapped] == [302] * 3
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    imported = [
        {"slug": "winter", "clicked_at": an_hour_ago, "ip": "203.0.113.9", "user_agent": DESKTOP},
        {"slug": "winter", "clicked_at": an_hour_ago, "ip": "2001:db8::1"},
    ]
    assert up.ask("POST", "/v1/clicks", imported, params={"program": "main"}).json()["accepted"] == 2
    click_id = tapped[1].headers["location"].rpartition("=")[2]
    order = {"order_id": "1", "ordered_at": datetime.now(UTC).isoformat(), "currency": "EUR", "amount": "5"}
    assert up.ask("POST", "/v1/orders", order | {"click_id": click_id}, params={"program": "main"}).status_code == 200
    answer = up.stats(program="main", group_by="country,device", metrics="clicks,bot_clicks,orders")
    assert {tuple(row.values()) for row in answer["rows"]} == {
        ("DE", "mobile", 1, 0, 0),
        ("DE", "desktop", 1, 0, 1),
        ("DE", "other", 0, 1, 0),
        ("AT", "desktop", 1, 0, 0),
        (None, None, 1, 0, 0),
    }
    filtered = up.stats(program="main", country="AT,none", device="desktop,tablet", metrics="clicks")
    assert filtered["totals"] == {"clicks": 1}
