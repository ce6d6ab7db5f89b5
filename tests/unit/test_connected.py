"""What is worked out for a client ends when the client has gone."""

import asyncio
from typing import Any

import pytest

from attribution.entrypoints.connected import WhileConnected

SCOPE = {"type": "http"}


class Client:
    """The other end: stays until it goes."""

    def __init__(self) -> None:
        self.went = asyncio.Event()
        self.got: list[Any] = []
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.went.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.got.append(message)


async def test_an_abandoned_question_is_not_worked_out() -> None:
    client, ended = Client(), asyncio.Event()

    async def application(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    client.went.set()
    async with asyncio.timeout(5):
        await WhileConnected(application)(SCOPE, client.receive, client.send)
    assert ended.is_set()
    assert client.got == []


async def test_what_follows_an_answer_is_done_though_the_client_has_gone() -> None:
    client, done = Client(), asyncio.Event()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"1", "more_body": False})
        client.went.set()
        await asyncio.sleep(0.05)
        done.set()

    async with asyncio.timeout(5):
        await WhileConnected(application)(SCOPE, client.receive, client.send)
    assert done.is_set()


async def test_an_error_of_the_application_comes_through() -> None:
    async def application(*_: Any) -> None:
        raise KeyError("x")

    client = Client()
    with pytest.raises(KeyError):
        await WhileConnected(application)(SCOPE, client.receive, client.send)
