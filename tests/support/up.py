"""`attribution up` as a process of its own, through its public surface only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from tests.support.processes import children, is_alive
from tests.support.waiting import wait_until

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 337.0"


class Up:
    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "attribution", "up", *arguments],
                env={**os.environ, "PORT": "0", "DATA_DIR": str(data_dir), **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.said = self._listen()
        self.base_url = self.said["docs"].removesuffix("/docs")
        self.key = Path(self.said["key"]).read_text().strip()
        self.client = httpx.Client(base_url=self.base_url, timeout=20)

    def _listen(self) -> dict[str, str]:
        """The lines that it prints, by their first word; `key` is the last."""
        assert self.process.stdout is not None
        said: dict[str, str] = {}
        for line in self.process.stdout:
            name, _, value = line.rstrip("\n").partition(" ")
            said[name] = value
            if name == "key":
                return said
        raise AssertionError(self.log.read_text())

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        return self.client.request(method, path, headers={"Authorization": f"Bearer {self.key}"}, **options)

    def make(self, noun: str, **fields: Any) -> dict[str, Any]:
        response = self.ask("POST", f"/v1/{noun}", fields)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        response = self.ask("GET", path, params=parameters)
        assert response.status_code == 200, response.text
        got: dict[str, Any] = response.json()
        return got

    def tap(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """As a browser without cookies of its own; `_` in names of headers stands for `-`."""
        sent = {"User-Agent": BROWSER} | {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(base_url=self.base_url, timeout=20) as browser:
            return browser.request(method, f"/{path}", headers=sent)

    def stats(self, **parameters: Any) -> dict[str, Any]:
        """Of all that was accepted before this call."""
        began = time.time()
        return wait_until(lambda: self._stats_as_of(began, parameters), timeout=20)

    def _stats_as_of(self, moment: float, parameters: dict[str, Any]) -> dict[str, Any]:
        answer = self.get("/v1/stats", **parameters)
        return answer if datetime.fromisoformat(answer["as_of"]).timestamp() > moment else {}

    def part(self, name: str) -> int:
        """The pid of the child whose command line says so."""
        [pid] = self.parts(name)
        return pid

    def parts(self, name: str) -> list[int]:
        return [pid for pid in children(self.process.pid) if name.encode() in _command_line(pid)]

    def family(self) -> list[int]:
        """Every process that it started, and those that they did."""
        return _descendants(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=40)

    def close(self) -> None:
        self.client.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _descendants(pid: int) -> list[int]:
    try:
        own = children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return own + [other for child in own for other in _descendants(child)]


@contextmanager
def running_up(data_dir: Path, *arguments: str, **environment: str) -> Iterator[Up]:
    running = Up(data_dir, *arguments, **environment)
    family = running.family()
    try:
        yield running
    finally:
        family += running.family()
        if running.process.poll() is None:
            running.stop()
        running.close()
        wait_until(lambda: not any(is_alive(pid) for pid in family), timeout=30)
