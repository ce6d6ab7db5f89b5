"""On what a follower taps."""

import pytest
from tests.redirecting import ask, make_link
from tests.unit.test_agents import IN_APP

from attribution.domain.clicks import Device
from attribution.redirect.devices import device_of

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
ON_ANDROID = f"{WEBKIT} Chrome/120.0.0.0"
TABLETS = [
    f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 13; SM-X700) {ON_ANDROID} Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 13; SM-X700; wv) {ON_ANDROID} Safari/537.36 Instagram 337.0.2.24.92 Android",
    f"Mozilla/5.0 (Linux; Android 11; KFTRWI) {WEBKIT} Silk/120.4.1 like Chrome/120.0.6099.230 Safari/537.36",
    "Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/117.0 Firefox/117.0",
]
MOBILES = [
    f"Mozilla/5.0 (Linux; Android 13; Pixel 8) {ON_ANDROID} Mobile Safari/537.36",
    f"Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) {WEBKIT} Mobile/15E148",
    f"Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Lumia 650) {WEBKIT} Chrome/52.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/117.0 Firefox/117.0",
    "Mozilla/5.0 (Mobile; Nokia_2720_Flip; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5.2",
    "Opera/9.80 (Android; Opera Mini/36.2.2254/191.303; U; en) Presto/2.12.423 Version/12.16",
    "com.zhiliaoapp.musically/2022503050 (Linux; U; Android 12; es_ES; M2101K6G; Build/SKQ1.210908.001)",
    "Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A.220624.014)",
]
DESKTOPS = [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/17.4 Safari/605.1.15",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)",
]
OTHERS = [
    f"Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) {WEBKIT} Version/5.0 TV Safari/537.36",
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/79.0.3945.79 Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 9; AFTKA) {WEBKIT} Silk/98.6.10 like Chrome/98.0 Safari/537.36",
    f"Mozilla/5.0 (PlayStation; PlayStation 5/6.00) {WEBKIT} Version/15.4 Safari/605.1.15",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {WEBKIT} Edge/44.18363.8131",
    "Twitterbot/1.0",
    "curl/8.5.0",
]


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        *((agent, Device.TABLET) for agent in TABLETS),
        *((agent, Device.MOBILE) for agent in MOBILES),
        *((agent, Device.DESKTOP) for agent in DESKTOPS),
        *((agent, Device.OTHER) for agent in OTHERS),
    ],
)
def test_the_device_is_what_the_agent_says(agent: str, device: Device) -> None:
    assert device_of(agent) is device


def test_followers_in_apps_are_on_phones_and_tablets() -> None:
    """Of the corpus of real agents all but the computers' at its end, among them the iPad and the Kindle."""
    by_device = {device: [agent for agent in IN_APP if device_of(agent) is device] for device in Device}
    assert {agent.split("(")[1].split(";")[0] for agent in by_device[Device.DESKTOP]} == {
        "Macintosh", "Windows NT 10.0", "X11",
    }  # fmt: skip
    assert [agent for agent in IN_APP if "iPad" in agent or "KFTRWI" in agent] == by_device[Device.TABLET]
    assert by_device[Device.OTHER] == []


def test_a_click_has_its_device() -> None:
    """Bots too; without a User-Agent there is none."""
    assert ask(make_link()).click.device is Device.MOBILE
    assert ask(make_link(), agent=b"Twitterbot/1.0").click.device is Device.OTHER
    assert [ask(make_link(), agent=agent).click.device for agent in (None, b"", b"  ")] == [None, None, None]
