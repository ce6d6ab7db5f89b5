"""What the embedded servers share: real servers from wheels, run as children of this process.

One directory belongs to one server. After any `kill -9`, of the server or of us, `start` recovers: a server
that outlived its parent is stopped cleanly first, and a pid file that names a stranger is forgotten.
"""

import asyncio
import ctypes
import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from signal import SIGKILL, Signals
from time import monotonic
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from attribution.errors import AttributionError

_POLL_S = 0.03
_REFUSALS_S = 20.0
"""How long a server may refuse to start: the last processes of a killed one may hold its directory."""
_RECOVERY_S = 600.0
"""How long a server may replay its log after a crash."""
_LOG_BYTES = 8 * 1024 * 1024
_SOCKET_PATH_BYTES = 100
_PR_SET_PDEATHSIG = 1


class EmbeddedServerError(AttributionError):
    """An embedded server does not start"""


class Account(NamedTuple):
    """Whom a server runs as."""

    uid: int
    gid: int


class EmbeddedServer(ABC):
    name: ClassVar[str]
    stop_signals: ClassVar[tuple[Signals, ...]]
    """From the polite to the last but SIGKILL."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._log = self.directory / "server.log"
        self._process: Process | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    @abstractmethod
    def _argv(self) -> Sequence[str]: ...

    @property
    @abstractmethod
    def _signature(self) -> str:
        """What only this directory's server has in its command line."""

    @property
    @abstractmethod
    def _pid_files(self) -> Sequence[Path]:
        """The first one's first line is the server's pid."""

    @abstractmethod
    async def _prepare(self) -> None: ...

    @abstractmethod
    async def _is_ready(self) -> bool: ...

    @property
    def _account(self) -> Account | None:
        return None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise EmbeddedServerError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when the server takes connections. Raises `EmbeddedServerError`."""
        await self._prepare()
        await self._end_predecessor()
        give_up_at = monotonic() + _REFUSALS_S
        while not await self._launch():
            if monotonic() > give_up_at:
                raise EmbeddedServerError(f"{self.name} does not start: {self._last_words()}")
            await asyncio.sleep(_POLL_S * 10)

    async def wait(self) -> int:
        """The exit status, once the server has ended."""
        return -1 if self._process is None else await self._process.wait()

    async def stop(self, timeout_s: float = 20.0) -> None:
        for signal in (*self.stop_signals, SIGKILL):
            if not self.running:
                return
            self._send(signal)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.wait()

    async def kill(self) -> None:
        """As a crash would end it."""
        self._send(SIGKILL)
        await self.wait()

    def _send(self, signal: Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(signal)

    async def _launch(self) -> bool:
        self._process = await self._spawn()
        try:
            async with asyncio.timeout(_RECOVERY_S):
                return await self._becomes_ready()
        except TimeoutError:
            await self.kill()
            return False

    async def _becomes_ready(self) -> bool:
        while self.running:
            if await self._is_ready():
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _spawn(self) -> Process:
        account = self._account
        with self._log.open("wb" if self._log_is_long() else "ab") as log:
            return await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment(),
                user=account and account.uid,
                group=account and account.gid,
                extra_groups=account and [],
                start_new_session=True,
                preexec_fn=_end_with_parent(self.stop_signals[0]),
            )

    async def _end_predecessor(self) -> None:
        pid = _first_number(self._pid_files[0])
        if pid is None or not _exists(pid):
            return
        if not self._is_ours(pid):
            for path in self._pid_files:
                path.unlink(missing_ok=True)
            return
        for signal in (*self.stop_signals, SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, signal)
            if await self._is_gone(pid):
                return

    async def _is_gone(self, pid: int, timeout_s: float = 20.0) -> bool:
        give_up_at = monotonic() + timeout_s
        while self._is_ours(pid):
            if monotonic() > give_up_at:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _is_ours(self, pid: int) -> bool:
        return self._signature in _command_line(pid)

    def _log_is_long(self) -> bool:
        return self._log.exists() and self._log.stat().st_size > _LOG_BYTES

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "it says nothing"


def environment() -> dict[str, str]:
    """Without the PG* variables and locale that a developer's shell may carry."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def socket_directory(directory: Path, socket_name: str, account: Account | None) -> Path:
    """A private directory for the server's socket: its own, or a short one where that path is too long."""
    path = directory / "socket"
    if len(os.fsencode(path / socket_name)) > _SOCKET_PATH_BYTES:
        digest = sha256(os.fsencode(directory)).hexdigest()[:16]
        path = _short_temporary_directory() / f"attribution-{digest}"
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None and path.lstat().st_uid == os.geteuid():
        os.chown(path, *account, follow_symlinks=False)
    owner = os.geteuid() if account is None else account.uid
    if path.is_symlink() or path.stat().st_uid != owner:
        raise EmbeddedServerError(f"{path} belongs to someone else")
    path.chmod(0o700)
    return path


def _short_temporary_directory() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) < _SOCKET_PATH_BYTES // 2 else Path("/tmp")  # noqa: S108


def _end_with_parent(signal: Signals) -> Callable[[], object] | None:
    """Linux tells a child when its parent is killed; elsewhere the next start finds it by its pid file."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, int(signal))


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command_line(pid: int) -> str:
    """Empty for a process that is gone, or a zombie."""
    if not Path("/proc/self/cmdline").exists():
        ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
