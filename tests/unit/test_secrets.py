import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attribution.entrypoints.secrets import load_admin_key, load_click_id_keys
from attribution.errors import SettingsError
from attribution.settings import Settings


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "state")
    admin_key, click_id_keys = load_admin_key(settings), load_click_id_keys(settings)
    assert (load_admin_key(settings), load_click_id_keys(settings)) == (admin_key, click_id_keys)
    assert [len(key) for key in click_id_keys.values()] == [32]
    files = sorted(settings.data_dir.iterdir())
    assert [file.name for file in files] == ["admin.key", "click_id.keys"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_first_starts_at_once_agree(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(16) as starts:
        keys = list(starts.map(lambda _: load_admin_key(settings), range(64)))
    assert len(set(keys)) == 1


def test_settings_win_over_files(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, admin_key="a" * 16, click_id_keys=f"1:{'aa' * 16}, 7:{'BB' * 64}")
    assert load_admin_key(settings) == "a" * 16
    assert load_click_id_keys(settings) == {1: b"\xaa" * 16, 7: b"\xbb" * 64}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1:",
        "x:aabb",
        "1:zz",
        f"1:{'aa' * 15}",
        f"1:{'aa' * 65}",
        f"256:{'aa' * 16}",
        f"1:{'aa' * 16},",
        "1:abc",
    ],
)
def test_wrong_click_id_keys_are_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^ATTRIBUTION_CLICK_ID_KEYS: "):
        load_click_id_keys(Settings(data_dir=tmp_path, click_id_keys=text))


def test_a_key_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unique"):
        load_click_id_keys(Settings(data_dir=tmp_path, click_id_keys=f"1:{'aa' * 16},1:{'bb' * 16}"))


def test_a_damaged_file_is_named_not_replaced(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    for name, load in (("admin.key", load_admin_key), ("click_id.keys", load_click_id_keys)):
        (tmp_path / name).write_bytes(b"\xff\n")
        with pytest.raises(SettingsError, match=name):
            load(settings)
        (tmp_path / name).write_text("short\n")
        with pytest.raises(SettingsError, match=name):
            load(settings)
