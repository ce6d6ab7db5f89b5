"""Live stats through the whole service: from the tap and the order to who follows."""

import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from tests.support.up import Up, running_up
from tests.support.waiting import wait_until


class Follower:
    """Reads a stream until the server ends it."""

    def __init__(self, up: Up, **parameters: str) -> None:
        self.totals: list[dict[str, Any]] = []
        self.ended_well = False
        self._up, self._parameters = up, parameters
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._up.key}"}
        url = f"{self._up.base_url}/v1/stats/live"
        with httpx.stream("GET", url, params=self._parameters, headers=headers, timeout=30) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    self.totals.append(orjson.loads(line.removeprefix("data: "))["totals"])
        self.ended_well = True

    def join(self) -> None:
        self._thread.join(30)


def test_taps_and_orders_come_by_themselves_and_a_drain_ends_the_stream(tmp_path: Path) -> None:
    """An open stream has an end that clients see, and does not hold up the stop."""
    with running_up(tmp_path / "data") as up:
        follower = Follower(up, program="demo", metrics="clicks,orders")
        wait_until(lambda: follower.totals, timeout=20)
        before = follower.totals[-1]
        assert up.tap(up.said["link"].rpartition("/")[2]).status_code == 302
        wait_until(lambda: follower.totals[-1]["clicks"] == before["clicks"] + 1, timeout=20)
        currency = up.stats(program="demo")["currency"]
        order = {"order_id": "live", "ordered_at": datetime.now(UTC).isoformat(), "currency": currency, "amount": "5"}
        assert up.ask("POST", "/v1/orders", order, params={"program": "demo"}).status_code == 200
        wait_until(lambda: follower.totals[-1]["orders"] == before["orders"] + 1, timeout=20)
        assert up.stop(signal.SIGTERM) == 0
        follower.join()
        assert follower.ended_well
