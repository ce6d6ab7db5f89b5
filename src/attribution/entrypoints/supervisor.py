"""Keeps a role's processes alive, and ends them in the reverse of the order in which they were started."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import structlog

from .lifeline import Lifeline

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0
_STEADY_AFTER_S = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


class Part(Protocol):
    """Something that runs until it is stopped, and is started again when it dies."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def start(self) -> None: ...
    async def wait(self) -> int: ...
    async def stop(self, timeout_s: float) -> None: ...


@dataclass(slots=True)
class Child:
    """A process in a session of its own, so that a terminal's Ctrl-C reaches only the supervisor."""

    name: str
    argv: Sequence[str]
    lifeline: Lifeline
    env: Mapping[str, str] = field(default_factory=dict)
    """In addition to ours."""
    pass_fds: Sequence[int] = ()
    on_exit: Callable[[int], object] = lambda pid: pid
    _process: Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else -1

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.argv,
            env={**os.environ, **self.env, **self.lifeline.environment},
            pass_fds=(self.lifeline.fd, *self.pass_fds),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),  # stdout is the supervisor's own
            start_new_session=True,
        )

    async def wait(self) -> int:
        if self._process is None:
            return -1
        status = await self._process.wait()
        self.on_exit(self._process.pid)
        return status

    async def stop(self, timeout_s: float) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()
        except TimeoutError:
            log.warning("part killed", part=self.name, pid=self.pid, after_s=timeout_s)
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self.wait()


@dataclass(slots=True)
class _Stage:
    parts: Sequence[Part]
    keepers: list[asyncio.Task[None]] = field(default_factory=list)


class Supervisor:
    """SIGTERM or SIGINT ends the body of its `async with`, wherever it is, then the stages, last first."""

    def __init__(self, shutdown_timeout_s: float) -> None:
        self.lifeline = Lifeline()
        self._shutdown_timeout_s = shutdown_timeout_s
        self._stages: list[_Stage] = []
        self._body: asyncio.Task[object] | None = None
        self._signalled = False

    async def __aenter__(self) -> Self:
        self._body = asyncio.current_task()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._end_body, number)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        body, self._body = self._body, None
        while self._stages:
            await self._stop(self._stages.pop())
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        self.lifeline.close()
        ended_by_signal = self._signalled and exc_type is asyncio.CancelledError
        if body is not None and ended_by_signal:
            body.uncancel()
        return ended_by_signal

    async def start(self, *parts: Part) -> None:
        """One stage; returns when each part of it has started, and keeps them from then on."""
        stage = _Stage(parts)
        self._stages.append(stage)
        await asyncio.gather(*(_start(part) for part in parts))
        stage.keepers += [asyncio.create_task(_keep(part), name=f"keep {part.name}") for part in parts]

    async def until_signal(self) -> None:
        await asyncio.get_running_loop().create_future()

    def _end_body(self, number: signal.Signals) -> None:
        """A second signal changes nothing: the shutdown is bounded as it is."""
        log.info("stopping", signal=number.name)
        if self._body is not None and not self._signalled:
            self._signalled = True
            self._body.cancel()

    async def _stop(self, stage: _Stage) -> None:
        for keeper in stage.keepers:
            keeper.cancel()
        await asyncio.gather(*stage.keepers, return_exceptions=True)
        await asyncio.gather(*(self._stop_part(part) for part in stage.parts))

    async def _stop_part(self, part: Part) -> None:
        await part.stop(self._shutdown_timeout_s)
        log.info("part stopped", part=part.name)


async def _start(part: Part) -> None:
    await part.start()
    log.info("part started", part=part.name, pid=part.pid)


async def _keep(part: Part) -> None:
    delay_s = _FIRST_DELAY_S
    clock = asyncio.get_running_loop().time
    while True:
        started_at = clock()
        status = await part.wait()
        if clock() - started_at > _STEADY_AFTER_S:
            delay_s = _FIRST_DELAY_S
        log.warning("part exited", part=part.name, status=status, restart_in_s=delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
        try:
            await _start(part)
        except Exception:
            log.exception("part not restarted", part=part.name)
