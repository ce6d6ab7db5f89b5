"""The modules of a tap run compiled where setup.py could compile them, and as Python elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from attribution.entrypoints import server

_COMPILED = Path("src/attribution/redirect").glob("lane.*.so")
_WHERE = "from attribution.redirect import lane; print(lane.__file__)"


@pytest.mark.skipif(not list(_COMPILED), reason="nothing was compiled here")
def test_a_tap_runs_through_what_was_compiled() -> None:
    found = subprocess.run([sys.executable, "-c", _WHERE], check=True, capture_output=True, text=True).stdout
    assert found.strip().endswith(".so")


def test_taps_that_run_as_python_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails; the log says why taps cost more."""
    with capture_logs() as logs:
        monkeypatch.setattr(server, "TAP_MODULE", "/app/src/attribution/redirect/lane.py")
        server.tell_if_not_compiled()
        monkeypatch.setattr(
            server, "TAP_MODULE", "/app/src/attribution/redirect/lane.cpython-311-x86_64-linux-gnu.so"
        )
        server.tell_if_not_compiled()
    assert [(log["event"], log["log_level"]) for log in logs] == [("taps_not_compiled", "warning")]
