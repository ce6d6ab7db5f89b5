"""Role `serve`: redirect and API workers behind one listening socket.

The supervisor holds the socket, so that connections wait in its backlog while a worker is replaced.
"""

import asyncio
import errno
import os
import socket
import sys
from functools import partial
from pathlib import Path
from time import monotonic

import uvloop
from prometheus_client.multiprocess import mark_process_dead

from attribution.errors import AttributionError, SettingsError
from attribution.settings import Settings

from .lifeline import Lifeline, end_with_parent
from .supervisor import Child, Supervisor

ROLE_COMMAND = (sys.executable, "-P", "-m", "attribution")
_BACKLOG = 2048
_PORT_WAIT_S = 5.0
"""Workers of a killed predecessor drain, and free its port, in about this time."""


def serve(settings: Settings) -> None:
    asyncio.run(_serve(require_urls(settings)))


def serve_worker(settings: Settings, fd: int) -> None:
    from .server import run_server  # noqa: PLC0415 - the supervisor has no use for the server's modules

    async def run() -> None:
        end_with_parent(settings.shutdown_timeout_s)
        await run_server(settings, socket.socket(fileno=fd))

    uvloop.run(run())


async def _serve(settings: Settings) -> None:
    async with Supervisor(settings.shutdown_timeout_s) as supervisor:
        with await listen(settings) as listener:
            clear_metrics(settings)
            await supervisor.start(*server_workers(settings, listener, supervisor.lifeline))
            await supervisor.until_signal()


def server_workers(settings: Settings, listener: socket.socket, lifeline: Lifeline) -> list[Child]:
    environment = role_environment(settings)
    fd = listener.fileno()
    return [
        Child(
            name=f"server-{number}",
            argv=(*ROLE_COMMAND, "serve-worker", "--fd", str(fd)),
            lifeline=lifeline,
            env=environment,
            pass_fds=(fd,),
            on_exit=partial(mark_process_dead, path=environment["PROMETHEUS_MULTIPROC_DIR"]),
        )
        for number in range(1, settings.workers + 1)
    ]


def role_environment(settings: Settings) -> dict[str, str]:
    """What a child needs beside the ATTRIBUTION_* it inherits: the command line may have changed these."""
    return {
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "HOST": settings.host,
        "PORT": str(settings.port),
        "DATA_DIR": str(settings.data_dir),
        "WORKERS": str(settings.workers),
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics_directory(settings)),
    }


def clear_metrics(settings: Settings) -> None:
    """The files of an earlier run would be counted again."""
    directory = _metrics_directory(settings)
    directory.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink()


def require_urls(settings: Settings) -> Settings:
    missing = [name for name in ("database_url", "redis_url") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            "\n".join(
                f"{name.upper()}: not set; only `attribution up` brings a server of its own" for name in missing
            )
        )
    return settings


async def listen(settings: Settings) -> socket.socket:
    give_up_at = monotonic() + _PORT_WAIT_S
    while True:
        try:
            return _bind(settings.host, settings.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or monotonic() > give_up_at:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise AttributionError(f"HOST {settings.host} PORT {settings.port}: {reason}") from error
        await asyncio.sleep(0.1)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::")


def _metrics_directory(settings: Settings) -> Path:
    return settings.data_dir / "metrics"
