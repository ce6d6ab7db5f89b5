"""The load generator of the latency figures: what a server hides by being slow, it must show."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from loadtests.browser import requests
from loadtests.open_loop import Latencies, OpenLoop

_ANSWER = b"HTTP/1.1 302 Found\r\nContent-Length: 3\r\n\r\nyes"
_CONNECTIONS = 4


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> OpenLoop:
    return OpenLoop(tmp_path_factory.mktemp("open_loop"), requests(["anna", "ben"]))


class Served:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.before_answer: Callable[[int], bytes | None] = lambda _: _ANSWER
        self.resumes = asyncio.Event()
        self.resumes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.paths.append(head.split()[1].decode())
                answer = self.before_answer(len(self.paths))
                await self.resumes.wait()
                if answer is None:
                    break
                writer.write(answer[:20])
                await asyncio.sleep(0)
                writer.write(answer[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        async with server:
            yield server.sockets[0].getsockname()[1]


async def _run(generator: OpenLoop, served: Served, rate: float = 500) -> Latencies:
    async with served.listening() as port:
        return await asyncio.to_thread(generator.run, port, rate=rate, seconds=1, connections=_CONNECTIONS, core=None)


async def test_every_request_is_sent_once_in_turn_and_counted(generator: OpenLoop) -> None:
    served = Served()
    result = await _run(generator, served)
    assert (result.requests, result.failed, result.not_302) == (500, 0, 0)
    assert (served.paths.count("/anna"), served.paths.count("/ben")) == (250, 250)
    assert 0 < result.p50_ms <= result.p99_ms <= result.p999_ms <= result.max_ms


async def test_a_stall_delays_all_that_was_due_in_it_and_not_only_who_was_being_served(generator: OpenLoop) -> None:
    """A closed loop would have seen one slow request a connection: four of 500, less than one in a hundred."""
    served = Served()

    def stall(number: int) -> bytes:
        if number == 100:
            served.resumes.clear()
            asyncio.get_running_loop().call_later(0.3, served.resumes.set)
        return _ANSWER

    served.before_answer = stall
    result = await _run(generator, served)
    assert result.requests == 500
    assert result.p99_ms > 250
    assert result.p999_ms > 290


async def test_a_connection_that_is_closed_without_an_answer_is_a_failure_and_is_replaced(
    generator: OpenLoop,
) -> None:
    served = Served()
    served.before_answer = lambda number: None if number == 10 else _ANSWER
    result = await _run(generator, served)
    assert (result.requests, result.failed) == (499, 1)


async def test_what_is_no_redirect_is_counted(generator: OpenLoop) -> None:
    served = Served()
    served.before_answer = lambda number: _ANSWER.replace(b"302", b"503") if number <= 3 else _ANSWER
    result = await _run(generator, served)
    assert (result.requests, result.not_302) == (500, 3)
