import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

# Each child notes its pid at start, and its name at the end of its drain, which lasts until it may go.
CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from attribution.entrypoints.lifeline import end_with_parent
directory, name = Path(sys.argv[1]), sys.argv[2]

async def main():
    if name.startswith("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        asyncio.get_running_loop().call_soon(note_start)
        await asyncio.Event().wait()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    end_with_parent(5)
    note_start()
    await stop.wait()
    note("ends", name)

def note(file, line):
    with (directory / file).open("a") as notes:
        notes.write(line + "\\n")

def note_start():
    note(name, str(os.getpid()))

asyncio.run(main())
"""

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from attribution import logs
from attribution.entrypoints.supervisor import Child, Supervisor
from attribution.settings import LogLevel
directory, child, timeout_s, *stages = sys.argv[1:]

async def main():
    async with Supervisor(float(timeout_s)) as supervisor:
        for stage in stages:
            await supervisor.start(*(
                Child(name, (sys.executable, child, directory, name), supervisor.lifeline)
                for name in stage.split(",")
            ))
        Path(directory, "up").touch()
        await supervisor.until_signal()

logs.configure(LogLevel.INFO)
asyncio.run(main())
"""


class Run:
    def __init__(self, process: "subprocess.Popen[str]", directory: Path) -> None:
        self.process = process
        self.directory = directory

    def pids(self, name: str) -> list[int]:
        return [int(line) for line in self.lines(name)]

    def lines(self, name: str) -> list[str]:
        file = self.directory / name
        return file.read_text().splitlines() if file.exists() else []

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=15)


@contextmanager
def supervised(directory: Path, *stages: str, timeout_s: float = 10) -> Iterator[Run]:
    (directory / "child.py").write_text(CHILD)
    arguments = [str(directory), str(directory / "child.py"), str(timeout_s), *stages]
    names = [name for stage in stages for name in stage.split(",")]
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, *arguments], text=True) as process:
        run = Run(process, directory)
        try:
            wait_until(lambda: all(run.pids(name) for name in names))
            yield run
        finally:
            process.kill()
            for pid in (pid for name in names for pid in run.pids(name) if is_alive(pid)):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_part_that_dies_is_started_again(number: signal.Signals, tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "b") as run:
        os.kill(run.pids("a")[0], number)
        wait_until(lambda: len(run.pids("a")) == 2)
        first, second = run.pids("a")
        assert first != second
        assert is_alive(second)
        assert len(run.pids("b")) == 1
        assert run.stop(signal.SIGTERM) == 0


def test_a_part_that_dies_often_is_back_within_10_s(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as run:
        for deaths in range(1, 5):
            os.kill(run.pids("a")[-1], signal.SIGKILL)
            wait_until(lambda: len(run.pids("a")) > deaths)  # noqa: B023


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stages_end_in_the_reverse_order_of_their_start(number: signal.Signals, tmp_path: Path) -> None:
    with supervised(tmp_path, "store", "consumer", "server-1,server-2") as run:
        assert run.stop(number) == 0
        *servers, consumer, store = run.lines("ends")
        assert sorted(servers) == ["server-1", "server-2"]
        assert (consumer, store) == ("consumer", "store")
        assert not any(is_alive(pid) for name in ("store", "consumer", *servers) for pid in run.pids(name))


def test_a_part_that_does_not_end_is_killed_after_the_time_it_had(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "stubborn", timeout_s=0.5) as run:
        assert run.stop(signal.SIGTERM) == 0
        assert run.lines("ends") == ["a"]
        assert not is_alive(run.pids("stubborn")[0])


def test_children_drain_and_go_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, "a", "b") as run:
        run.stop(signal.SIGKILL)
        wait_until(lambda: sorted(run.lines("ends")) == ["a", "b"])
        wait_until(lambda: not any(is_alive(run.pids(name)[0]) for name in ("a", "b")))


def test_a_restarted_child_has_the_lifeline_too(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as run:
        os.kill(run.pids("a")[0], signal.SIGKILL)
        wait_until(lambda: len(run.pids("a")) == 2)
        run.stop(signal.SIGKILL)
        wait_until(lambda: run.lines("ends") == ["a"])


def test_children_are_out_of_the_terminal_s_reach(tmp_path: Path) -> None:
    with supervised(tmp_path, "a") as run:
        assert os.getsid(run.pids("a")[0]) != os.getsid(run.process.pid)
