import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest

from attribution.entrypoints import serve
from attribution.errors import AttributionError
from attribution.settings import Settings


async def test_a_free_port_is_found_where_none_is_named() -> None:
    with await serve.listen(Settings(port=0)) as listener:
        assert listener.getsockname()[1] > 0


async def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_PORT_WAIT_S", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AttributionError, match=f"PORT {port}: Address already in use"):
            await serve.listen(Settings(port=port))


async def test_a_port_that_a_predecessor_still_holds_is_waited_for() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    asyncio.get_running_loop().call_later(0.3, taken.close)
    with await serve.listen(Settings(port=port)) as listener:
        assert listener.getsockname()[1] == port


async def test_connections_wait_while_there_is_no_worker() -> None:
    with await serve.listen(Settings(port=0)) as listener:
        waiting = [socket.create_connection(listener.getsockname()) for _ in range(200)]
        for connection in waiting:
            connection.close()


def test_metrics_are_not_on_the_disk_that_the_journals_may_fill(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with serve.fresh_metrics(settings):
        directory = Path(serve.role_environment(settings)["PROMETHEUS_MULTIPROC_DIR"])
        assert directory.is_dir()
        assert directory.parent == (Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path)  # noqa: S108
        (directory / "counter_1.db").touch()
    assert not directory.exists()
