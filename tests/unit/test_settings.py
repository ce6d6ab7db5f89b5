from pathlib import Path

import pytest

from attribution.cli import main
from attribution.errors import SettingsError
from attribution.settings import load_settings


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert (settings.port, settings.workers, settings.database_url) == (8000, 1, None)


def test_plain_and_prefixed_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("ATTRIBUTION_SHIP_BATCH_CLICKS", "7")
    settings = load_settings()
    assert (settings.port, settings.ship_batch_clicks) == (9001, 7)


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    assert load_settings(data_dir=str(tmp_path)).data_dir == tmp_path


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().database_url is None


def test_each_fault_is_one_line_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIBUTION_SHIP_BATCH_CLICK", "7")
    monkeypatch.setenv("ATTRIBUTION_LINK_CACHE_TTL_S", "soon")
    monkeypatch.setenv("ATTRIBUTION_IP_STORAGE", "raw")
    monkeypatch.setenv("PORT", "70000")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    lines = str(raised.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "ATTRIBUTION_IP_STORAGE",
        "ATTRIBUTION_LINK_CACHE_TTL_S",
        "ATTRIBUTION_SHIP_BATCH_CLICK",
        "PORT",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "not a host"),
        ("WORKERS", "0"),
        ("ATTRIBUTION_ADMIN_KEY", "short"),
        ("ATTRIBUTION_TRUSTED_PROXIES", "-1"),
        ("ATTRIBUTION_JOURNAL_SYNC", "sometimes"),
        ("ATTRIBUTION_DEAD_LETTER_SHARE", "nan"),
        ("ATTRIBUTION_SHUTDOWN_TIMEOUT_S", "-3"),
        ("ATTRIBUTION_NO_SUCH_THING", "1"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("REDIS_URL", "foo"),
        ("ATTRIBUTION_PUBLIC_URL", "ftp://x"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["up"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{name}: ")
    assert captured.err.count("\n") == 1


def test_a_role_that_lacks_its_servers_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("attribution.logs.configure", lambda level: level)
    assert main(["serve"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["DATABASE_URL", "REDIS_URL"]
