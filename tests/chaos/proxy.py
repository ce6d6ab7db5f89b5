"""A TCP proxy that passes bytes on faithfully, until it is told to cut connections in mid-message."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_CHUNK = 64 * 1024


async def to_unix(path: Path) -> Ends:
    return await asyncio.open_unix_connection(path)


class Proxy:
    def __init__(self, connect: Callable[[], Awaitable[Ends]], rng: random.Random) -> None:
        self._connect = connect
        self._rng = rng
        self._server: asyncio.Server
        self.chance = 0.0
        """That what arrives next is passed on in part only, and its connection then ends, in both directions."""
        self.cuts = 0

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(self._pass_on(reader, upstream_writer)),
            asyncio.create_task(self._pass_on(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            upstream_writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._rng.random() < self.chance:
                    self.cuts += 1
                    writer.write(data[: self._rng.randrange(len(data))])
                    return
                writer.write(data)
                await writer.drain()
