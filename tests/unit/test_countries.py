"""In which country an address is."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from tests.redirecting import ask, make_answerer, make_link
from tests.support.mmdb import country, mmdb

from attribution.cli import main
from attribution.domain.clicks import NO_COUNTRY
from attribution.errors import SettingsError
from attribution.redirect.countries import Countries
from attribution.settings import IpStorage

NETWORKS = {
    "203.0.113.0/25": country("DE"),
    "203.0.113.128/25": country("AT"),
    "198.51.100.0/24": {"registered_country": {"iso_code": "US"}},
    "192.0.2.0/24": country("Germany"),
    "2001:db8::/33": country("FR"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(mmdb(NETWORKS))
    return path


@pytest.fixture
def countries(file: Path) -> Iterator[Countries]:
    with Countries(file) as countries:
        yield countries


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("203.0.113.7", b"DE"),
        ("203.0.113.200", b"AT"),
        ("2001:db8:1::1", b"FR"),
        ("2001:db8:ffff::1", NO_COUNTRY),
        ("10.0.0.1", NO_COUNTRY),
        ("198.51.100.1", NO_COUNTRY),
        ("192.0.2.1", NO_COUNTRY),
    ],
)
def test_an_address_is_in_the_country_that_the_file_says(countries: Countries, address: str, code: bytes) -> None:
    """Where it is, not where it is registered; by a code of two letters or not at all."""
    assert countries.country(ip_address(address)) == code


def test_a_file_of_old_addresses_knows_no_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "v4.mmdb"
    path.write_bytes(mmdb({"203.0.113.0/24": country("DE")}, ip_version=4))
    with Countries(path) as countries:
        assert countries.country(ip_address("203.0.113.7")) == b"DE"
        assert countries.country(ip_address("2001:db8::1")) == NO_COUNTRY


def refused(path: Path) -> str:
    with pytest.raises(SettingsError) as raised:
        Countries(path)
    return str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no database", mmdb(NETWORKS)[:-40]])
def test_a_broken_file_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """With one line that names the setting and the file."""
    path = tmp_path / "broken.mmdb"
    path.write_bytes(content)
    assert refused(path).startswith(f"ATTRIBUTION_GEOIP_FILE: {path}: ")


def test_no_file_and_a_file_of_something_else_stop_the_start(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.mmdb")
    path = tmp_path / "asn.mmdb"
    path.write_bytes(mmdb({"203.0.113.0/24": {"autonomous_system_number": 64496}}, kind="GeoLite2-ASN"))
    assert refused(path).endswith("no countries in a file of type GeoLite2-ASN")


@pytest.mark.parametrize("role", ["up", "serve"])
def test_the_roles_do_not_start_without_their_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str
) -> None:
    monkeypatch.setenv("ATTRIBUTION_GEOIP_FILE", str(tmp_path / "none.mmdb"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert main([role]) == 2
    assert capsys.readouterr().err.startswith("ATTRIBUTION_GEOIP_FILE: ")


def test_a_damaged_entry_costs_a_country_and_no_redirect(tmp_path: Path) -> None:
    """Damage behind the first networks shows only when it is looked at."""
    content = mmdb(NETWORKS)
    assert content.count(b"FR") == 1
    path = tmp_path / "damaged.mmdb"
    path.write_bytes(content.replace(b"FR", b"\xff\xff"))
    with Countries(path) as countries:
        assert countries.country(ip_address("2001:db8:1::1")) == NO_COUNTRY
        assert countries.country(ip_address("203.0.113.7")) == b"DE"


@pytest.mark.parametrize(("storage", "kept"), [(IpStorage.TRUNCATED, "203.0.113.0"), (IpStorage.NONE, None)])
def test_a_click_has_the_country_of_the_whole_address(countries: Countries, storage: IpStorage, kept: Any) -> None:
    """Though less of it, or nothing, is kept: the two halves of this /24 are in two countries."""
    answerer = make_answerer(ip_storage=storage, country=countries.country)
    clicks = [
        ask(make_link(), answerer=answerer, peer=peer).click
        for peer in ("203.0.113.7", "203.0.113.200", "10.0.0.1", None)
    ]
    assert [click.country for click in clicks] == ["DE", "AT", None, None]
    assert [click.ip for click in clicks[:2]] == [kept, kept]


@pytest.mark.parametrize("storage", IpStorage)
def test_behind_a_proxy_it_is_the_visitors_country(countries: Countries, storage: IpStorage) -> None:
    """And the proxy's only where the header names nobody."""
    answerer = make_answerer(trusted_proxies=1, ip_storage=storage, country=countries.country)

    def behind(forwarded: bytes) -> str | None:
        return ask(make_link(), (b"x-forwarded-for", forwarded), answerer=answerer, peer="203.0.113.7").click.country

    assert [behind(text) for text in (b"203.0.113.200", b"10.1.2.3", b"garbage")] == ["AT", None, "DE"]


def test_without_a_file_there_is_no_country() -> None:
    assert ask(make_link(), peer="203.0.113.7").click.country is None
