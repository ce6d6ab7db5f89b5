"""Role `up`: the whole service on one machine, with servers of its own for what no URL names."""

import asyncio
import fcntl
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from attribution.errors import AttributionError
from attribution.settings import Settings

from .demo import seed_demo
from .lifeline import Lifeline
from .secrets import admin_key_path, load_admin_key, load_click_id_keys
from .serve import (
    ROLE_COMMAND,
    fresh_metrics,
    listen,
    reader_listener,
    require_countries,
    role_environment,
    server_workers,
)
from .supervisor import Child, Supervisor

_POLL_S = 0.1
_ANSWER_TIMEOUT_S = 5.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def up(settings: Settings, *, demo: bool) -> None:
    load_click_id_keys(settings)
    load_admin_key(settings)
    require_countries(settings)
    with _locked(settings.data_dir):
        asyncio.run(_up(settings, demo=demo))


async def _up(settings: Settings, *, demo: bool) -> None:
    async with AsyncExitStack() as stack, Supervisor(settings.shutdown_timeout_s) as supervisor:
        with await listen(settings) as listener, reader_listener(settings) as reader:
            port = listener.getsockname()[1]
            settings = settings.model_copy(update={"port": port} | await _start_embedded(settings, supervisor))
            stack.enter_context(fresh_metrics(settings))
            await _migrate(settings, supervisor.lifeline)
            link = await seed_demo(settings) if demo else None
            await supervisor.start(_consumer(settings, supervisor.lifeline))
            await supervisor.start(*server_workers(settings, listener, reader, supervisor.lifeline))
            await _until_ready(settings)
            _announce(settings, link)
            await supervisor.until_signal()


async def _start_embedded(settings: Settings, supervisor: Supervisor) -> dict[str, str]:
    urls = {}
    if settings.database_url is None:
        from attribution.embedded.postgres import EmbeddedPostgres  # noqa: PLC0415

        postgres = EmbeddedPostgres(settings.data_dir / "postgres")
        await supervisor.start(postgres)
        urls["database_url"] = postgres.url
    if settings.redis_url is None:
        from attribution.embedded.valkey import EmbeddedValkey  # noqa: PLC0415

        valkey = EmbeddedValkey(settings.data_dir / "valkey")
        await supervisor.start(valkey)
        urls["redis_url"] = valkey.url
    return urls


async def _migrate(settings: Settings, lifeline: Lifeline) -> None:
    """In a process of its own, whose memory is given back."""
    migration = Child("migrate", (*ROLE_COMMAND, "migrate"), lifeline, role_environment(settings))
    await migration.start()
    try:
        status = await migration.wait()
    finally:
        await migration.stop(settings.shutdown_timeout_s)
    if status != 0:
        raise AttributionError(f"migrations failed with status {status}")


def _consumer(settings: Settings, lifeline: Lifeline) -> Child:
    return Child("consumer", (*ROLE_COMMAND, "worker"), lifeline, role_environment(settings))


async def _until_ready(settings: Settings) -> None:
    while not await _is_ready(_LOOPBACK.get(settings.host, settings.host), settings.port):
        await asyncio.sleep(_POLL_S)


async def _is_ready(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            return b" 200 " in await _status_line(host, port)
    except (OSError, TimeoutError):
        return False


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()


def _announce(settings: Settings, link: str | None) -> None:
    key = "ATTRIBUTION_ADMIN_KEY" if settings.admin_key else str(admin_key_path(settings))
    lines = [f"docs {settings.base_url}/docs", f"key {key}"]
    sys.stdout.write("\n".join([f"link {link}", *lines] if link else lines) + "\n")
    sys.stdout.flush()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AttributionError(f"DATA_DIR {directory} is in use by another `attribution up`") from None
        yield
