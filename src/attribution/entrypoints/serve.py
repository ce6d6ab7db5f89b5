"""Role `serve`: redirect and API workers behind one listening socket.

The supervisor holds the socket, so that connections wait in its backlog while a worker is replaced.
"""

import asyncio
import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic

import uvloop
from prometheus_client.multiprocess import mark_process_dead

from attribution.errors import AttributionError, SettingsError
from attribution.redirect.countries import Countries
from attribution.settings import Settings

from .lifeline import Lifeline, end_with_parent
from .supervisor import Child, Supervisor

ROLE_COMMAND = (sys.executable, "-P", "-m", "attribution")
_BACKLOG = 2048
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_PORT_WAIT_S = 5.0
"""Workers of a killed predecessor drain, and free its port, in about this time."""


def serve(settings: Settings) -> None:
    require_countries(settings)
    asyncio.run(_serve(require_urls(settings)))


def serve_worker(settings: Settings, fd: int, reader_port: int | None) -> None:
    from .server import run_server  # noqa: PLC0415 - the supervisor has no use for the server's modules

    async def run() -> None:
        end_with_parent(settings.shutdown_timeout_s)
        await run_server(settings, socket.socket(fileno=fd), reader_port)

    uvloop.run(run())


def read_stats(settings: Settings, fd: int) -> None:
    from .questions import run_reader  # noqa: PLC0415

    async def run() -> None:
        end_with_parent(settings.shutdown_timeout_s)
        await run_reader(settings, socket.socket(fileno=fd))

    uvloop.run(run())


async def _serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack, Supervisor(settings.shutdown_timeout_s) as supervisor:
        with await listen(settings) as listener, reader_listener(settings) as reader:
            stack.enter_context(fresh_metrics(settings))
            await supervisor.start(*server_workers(settings, listener, reader, supervisor.lifeline))
            await supervisor.until_signal()


@contextmanager
def reader_listener(settings: Settings) -> Iterator[socket.socket | None]:
    """Of the loopback, and the supervisor's: questions wait in its backlog while the reader is replaced."""
    if not settings.readers:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        yield listener


def server_workers(
    settings: Settings, listener: socket.socket, reader: socket.socket | None, lifeline: Lifeline
) -> list[Child]:
    """And the reader, where there is one."""
    environment = role_environment(settings)
    on_exit = partial(mark_process_dead, path=environment["PROMETHEUS_MULTIPROC_DIR"])

    def child(name: str, role: str, sock: socket.socket, *options: str) -> Child:
        fd = sock.fileno()
        argv = (*ROLE_COMMAND, role, "--fd", str(fd), *options)
        return Child(name=name, argv=argv, lifeline=lifeline, env=environment, pass_fds=(fd,), on_exit=on_exit)

    options = () if reader is None else ("--reader-port", str(reader.getsockname()[1]))
    workers = [
        child(f"server-{number}", "serve-worker", listener, *options) for number in range(1, settings.workers + 1)
    ]
    return workers if reader is None else [*workers, child("reader", "read-stats", reader)]


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


@contextmanager
def fresh_metrics(settings: Settings) -> Iterator[None]:
    """The files of an earlier run would be counted again."""
    directory = _metrics_directory(settings)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def require_urls(settings: Settings) -> Settings:
    missing = [name for name in ("database_url", "redis_url") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            "\n".join(
                f"{name.upper()}: not set; only `attribution up` brings a server of its own" for name in missing
            )
        )
    return settings


def require_countries(settings: Settings) -> None:
    """Here, as a worker that can't start would be started again and again."""
    if settings.geoip_file is not None:
        Countries(settings.geoip_file).close()


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
    """In memory where the system has such a place: a process whose mapped file finds its disk full dies of SIGBUS."""
    private = _SHARED_MEMORY / f"attribution-{sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]}"
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        is_ours = private.lstat().st_uid == os.geteuid() and not private.is_symlink()
    except OSError:
        is_ours = False
    return private if is_ours else settings.data_dir / "metrics"
