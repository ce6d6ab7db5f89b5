"""Processes under test: whether they live, and stopping them in their tracks with all their children."""

import os
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP, Signals


def is_alive(pid: int) -> bool:
    """A zombie is not alive; in a container nobody may come to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pause(pid: int) -> None:
    _send_to_tree(pid, SIGSTOP)


def resume(pid: int) -> None:
    _send_to_tree(pid, SIGCONT)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def redirect_workers(pid: int) -> list[int]:
    """Of a server: its children but for the readers."""
    return [child for child in children(pid) if _runs(child, b"serve-worker")]


def _runs(pid: int, command: bytes) -> bool:
    try:
        return command in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _send_to_tree(pid: int, signal: Signals) -> None:
    # One that ends meanwhile is neither paused nor resumed.
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, signal)
        for child in children(pid):
            _send_to_tree(child, signal)
