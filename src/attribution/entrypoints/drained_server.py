"""uvicorn under a supervisor: its signals are the entry point's, and streams do not hold up its end."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from attribution.settings import Settings
from attribution.stats.live import LiveStats

from .journals import FINAL_SHIPMENT_S


class DrainedServer(uvicorn.Server):
    """Signals are the entry point's: uvicorn would raise them again after its own shutdown, and end our drain."""

    def __init__(self, config: uvicorn.Config, live: LiveStats) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams have no end of their own, for which a drain could wait."""
        self._live.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_until_signal(self, sock: socket.socket) -> None:
        """Serves on `sock` until SIGTERM or SIGINT, then drains in bounded time."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, self, "should_exit", True)
        await self.serve(sockets=[sock])


def server_config(settings: Settings, application: Any, http: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=http,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # Its warnings are about what clients send, and a client must not fill the log.
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s - FINAL_SHIPMENT_S) or 1,
    )
