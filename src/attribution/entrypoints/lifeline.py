"""How a child learns that its supervisor was killed: end of file on a pipe that only that one can write."""

import asyncio
import math
import os
import signal
from collections.abc import Callable

_VARIABLE = "_LIFELINE_FD"


class Lifeline:
    """The supervisor's side."""

    def __init__(self) -> None:
        self.fd, self._held = os.pipe()

    @property
    def environment(self) -> dict[str, str]:
        return {_VARIABLE: str(self.fd)}

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._held)


def watch(on_parent_gone: Callable[[], None]) -> None:
    """The child's side, called in its event loop. Does nothing in a process without a supervisor of ours."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return
    fd = int(text)
    os.set_inheritable(fd, False)
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        on_parent_gone()

    loop.add_reader(fd, end)


def end_with_parent(timeout_s: float) -> None:
    """Drains as at SIGTERM when the supervisor is gone; the alarm ends even a process whose loop hangs."""

    def end() -> None:
        signal.alarm(math.ceil(timeout_s))
        os.kill(os.getpid(), signal.SIGTERM)

    watch(end)
