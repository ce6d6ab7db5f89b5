"""`attribution up` from its first start to its last signal."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.processes import is_alive
from tests.support.up import Up, running_up
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One place for all starts of this module, each of which finds what the ones before it left."""
    return tmp_path_factory.mktemp("lifecycle") / "data"


@pytest.fixture(autouse=True)
def _no_process_is_left(data_dir: Path) -> Iterator[None]:
    yield
    wait_until(lambda: not _processes_of(data_dir), timeout=20)


def _processes_of(data_dir: Path) -> list[int]:
    """Whose command line or working directory is of this service."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(int(entry.name)):
            try:
                known = (entry / "cmdline").read_bytes() + os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            found += [int(entry.name)] if os.fsencode(data_dir) in known else []
    return found


def demo_clicks(up: Up) -> int:
    clicks: int = up.stats(program="demo")["totals"]["clicks"]
    return clicks


def tap_demo(up: Up, times: int = 1) -> None:
    for _ in range(times):
        assert up.tap(up.said["link"].rpartition("/")[2]).status_code == 302


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_to_look_finds_its_data_again_and_stops_all_it_started(
    number: signal.Signals, data_dir: Path
) -> None:
    with running_up(data_dir) as up:
        assert list(up.said) == ["link", "docs", "key"]
        assert re.fullmatch(r"http://localhost:\d+/[A-Za-z0-9_-]+", up.said["link"])
        assert up.client.get(up.said["docs"]).status_code == 200
        assert stat.S_IMODE(Path(up.said["key"]).stat().st_mode) == 0o600
        before = demo_clicks(up)
        assert before == (0 if number is signal.SIGINT else 3)
        tap_demo(up, 3)
        family = up.family()
        assert up.stop(number) == 0
        assert not any(is_alive(pid) for pid in family)


def test_clicks_of_the_last_moment_survive_a_kill_of_everything(data_dir: Path) -> None:
    with running_up(data_dir) as up:
        before = demo_clicks(up)
        family = up.family()
        tap_demo(up, 5)
        for pid in (up.process.pid, *family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        up.process.wait()
    with running_up(data_dir) as again:
        wait_until(lambda: demo_clicks(again) == before + 5, timeout=20)


def test_killed_alone_it_takes_all_others_with_it_and_the_next_start_recovers(data_dir: Path) -> None:
    with running_up(data_dir) as up:
        before = demo_clicks(up)
        tap_demo(up, 5)
        up.process.kill()
        up.process.wait()
    with running_up(data_dir) as again:
        wait_until(lambda: demo_clicks(again) == before + 5, timeout=20)


def test_every_part_that_dies_is_back_and_several_workers_count_as_one(data_dir: Path) -> None:
    with running_up(data_dir, WORKERS="2") as up:
        before, seen = demo_clicks(up), _redirects(up)
        tap_demo(up, 20)
        wait_until(lambda: _redirects(up) == seen + 20)
        for name in ("valkey-server", "postgres", "attribution\0worker", "serve-worker"):
            victim = up.parts(name)[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: victim not in up.parts(name) and up.parts(name), timeout=10)  # noqa: B023
        wait_until(lambda: len(up.parts("serve-worker")) == 2)
        wait_until(lambda: set(up.tap("readyz").json()["dependencies"].values()) == {"ok"}, timeout=10)
        tap_demo(up, 5)
        wait_until(lambda: demo_clicks(up) == before + 25, timeout=20)


def _redirects(up: Up) -> float:
    found = re.search(r'attribution_redirects_total{outcome="live"} (\S+)', up.tap("metrics").text)
    return float(found[1]) if found else 0


def test_two_of_it_never_share_a_directory(up: Up) -> None:
    second = _failed_start(up.data_dir)
    assert second == f"DATA_DIR {up.data_dir} is in use by another `attribution up`"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "PORT: "),
        ("ATTRIBUTION_SHIP_BATCH_CLICKS", "0", "ATTRIBUTION_SHIP_BATCH_CLICKS: "),
        ("ATTRIBUTION_NO_SUCH_THING", "1", "ATTRIBUTION_NO_SUCH_THING: unknown setting"),
        ("ATTRIBUTION_CLICK_ID_KEYS", "x", "ATTRIBUTION_CLICK_ID_KEYS: "),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, value: str, said: str, tmp_path: Path) -> None:
    assert _failed_start(tmp_path / "data", **{name: value}).startswith(said)


def _failed_start(data_dir: Path, **environment: str) -> str:
    """The one line that it says."""
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "attribution", "up"],
        env={**os.environ, "PORT": "0", "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode in (1, 2)
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    return line
