import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import redis.asyncio
import redis.exceptions
from tests.support.processes import is_alive
from tests.support.waiting import eventually, wait_until

from attribution.embedded.postgres import EmbeddedPostgres
from attribution.embedded.server import EmbeddedServer, EmbeddedServerError
from attribution.embedded.valkey import EmbeddedValkey

SERVERS = [EmbeddedPostgres, EmbeddedValkey]
OUTAGE = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    redis.exceptions.RedisError,
)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


async def write(server: EmbeddedServer, value: str) -> None:
    if isinstance(server, EmbeddedValkey):
        async with redis.asyncio.from_url(server.url) as client:
            await client.set("kept", value)
            await client.waitaof(1, 0, 5_000)
        return
    async with connected(server.url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", value)


async def read(server: EmbeddedServer) -> str:
    if isinstance(server, EmbeddedValkey):
        async with redis.asyncio.from_url(server.url, decode_responses=True) as client:
            return str(await client.get("kept"))
    async with connected(server.url) as connection:
        return str(await connection.fetchval("SELECT max(value) FROM kept"))


@pytest.fixture(params=SERVERS, ids=lambda server: server.name)
def kind(request: pytest.FixtureRequest) -> type[EmbeddedServer]:
    kind: type[EmbeddedServer] = request.param
    return kind


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "server"


@pytest.fixture
async def server(kind: type[EmbeddedServer], directory: Path) -> AsyncIterator[EmbeddedServer]:
    async with kind(directory) as server:
        yield server


@pytest.fixture
def orphans() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start_orphan(server: EmbeddedServer, orphans: ExitStack) -> "subprocess.Popen[bytes]":
    """The same server again, as a parent that was killed leaves it where nothing tells children of that."""
    account = server._account
    process = subprocess.Popen(
        server._argv,
        cwd=server.directory,
        user=account and account.uid,
        group=account and account.gid,
        extra_groups=account and [],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    orphans.callback(process.wait)
    orphans.callback(process.kill)
    return process


async def test_data_is_kept_from_one_start_to_the_next(kind: type[EmbeddedServer], directory: Path) -> None:
    async with kind(directory) as server:
        first_pid, first_url = server.pid, server.url
        await write(server, "one")
    assert not is_alive(first_pid)
    async with kind(directory) as server:
        assert server.url == first_url
        assert await read(server) == "one"


def sockets(pid: int) -> set[str]:
    links = [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}


def listening_tcp_sockets() -> set[str]:
    lines = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()
    ]
    return {inode for _, _, _, state, _, _, _, _, _, inode, *_ in lines if state == "0A"}


async def test_it_listens_on_its_socket_only(server: EmbeddedServer) -> None:
    assert sockets(server.pid)
    assert not sockets(server.pid) & listening_tcp_sockets()


async def test_the_socket_is_private(server: EmbeddedServer) -> None:
    url = urlsplit(server.url)
    hosts = parse_qs(url.query).get("host")
    directory = Path(hosts[0]) if hosts else Path(url.path).parent
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_it_recovers_after_kill_9_at_the_same_url(server: EmbeddedServer) -> None:
    url, pid = server.url, server.pid
    await write(server, "before")
    await server.kill()
    assert not server.running
    await server.start()
    assert server.url == url
    assert server.pid != pid
    assert await read(server) == "before"


async def test_it_recovers_after_kill_9_in_the_middle_of_writes(server: EmbeddedServer) -> None:
    acknowledged: list[str] = []

    async def write_on() -> None:
        for number in range(100_000):
            await write(server, f"{number:06}")
            acknowledged.append(f"{number:06}")

    writes = asyncio.create_task(write_on())
    await eventually(lambda: len(acknowledged) >= 5)
    await server.kill()
    with pytest.raises(OUTAGE):
        await writes
    await server.start()
    assert await read(server) >= acknowledged[-1]


async def test_a_pid_file_that_names_a_stranger_is_forgotten(kind: type[EmbeddedServer], directory: Path) -> None:
    server = kind(directory)
    async with server:
        await write(server, "one")
        pid_files = {path: path.read_text() for path in server._pid_files}
        pid = server.pid
    for path, text in pid_files.items():
        path.write_text(text.replace(str(pid), str(os.getppid())))
        if server._account:
            os.chown(path, *server._account)
    async with server:
        assert await read(server) == "one"
    assert is_alive(os.getppid())


async def test_a_damaged_pid_file_of_a_full_disk_is_no_obstacle(directory: Path) -> None:
    async with EmbeddedValkey(directory) as server:
        await write(server, "one")
    server._pid_files[0].write_text("")
    async with server:
        assert await read(server) == "one"


async def test_an_orphan_is_stopped_cleanly_and_replaced(
    kind: type[EmbeddedServer], directory: Path, orphans: ExitStack
) -> None:
    async with kind(directory) as server:
        pass
    orphan = start_orphan(server, orphans)
    await eventually(server._is_ready)
    await write(server, "by the orphan")
    async with server:
        assert server.pid != orphan.pid
        assert await read(server) == "by the orphan"
    assert orphan.wait(timeout=5) == 0


async def test_a_second_server_in_the_directory_takes_over_from_the_first(
    kind: type[EmbeddedServer], server: EmbeddedServer, directory: Path
) -> None:
    """Whoever holds DATA_DIR's lock is right: the other's supervisor is dead."""
    await write(server, "one")
    async with kind(directory) as second:
        assert await server.wait() == 0
        assert await read(second) == "one"


async def test_long_and_odd_paths(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    directory = tmp_path / ("long " * 15) / "comma, 'quote' \"quotes\" %20 ü" / ("x" * 60)
    async with kind(directory) as server:
        await write(server, "one")
        url = server.url
    async with kind(directory) as server:
        assert server.url == url
        assert await read(server) == "one"


async def test_stop_ends_even_a_server_that_hangs(kind: type[EmbeddedServer], directory: Path) -> None:
    async with kind(directory) as server:
        await write(server, "one")
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
        await server.stop(timeout_s=0.3)
        assert not is_alive(pid)
        await server.start()
        assert await read(server) == "one"


async def test_an_interrupted_initialisation_is_begun_again(directory: Path) -> None:
    (directory / "data.new" / "base").mkdir(parents=True)
    (directory / "data.new" / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(directory) as server:
        await write(server, "one")


async def test_a_cancelled_start_leaves_no_process(kind: type[EmbeddedServer], directory: Path) -> None:
    server = kind(directory)
    start = asyncio.create_task(server.__aenter__())
    await eventually(lambda: server._process is not None)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not is_alive(server.pid)


async def test_a_server_that_cannot_start_says_why(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution.embedded.server._REFUSALS_S", 0.1)
    async with EmbeddedPostgres(directory) as server:
        pass
    (directory / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match="incompatible"):
        await server.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_servers_go_when_their_parent_is_killed(kind: type[EmbeddedServer], directory: Path) -> None:
    script = f"""
import asyncio, pathlib
from {kind.__module__} import {kind.__name__} as Server
async def main():
    async with Server(pathlib.Path({str(directory)!r})) as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        with closing(parent.stdout):
            pid = int(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
