"""Work for a client ends when the client has gone: nobody would read what it finds."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def while_connected(work: Coroutine[Any, Any, None], receive: Any) -> None:
    """For a request without a body. Who has ended its side of the connection counts as gone, as with most proxies.

    Raises what the work raises.
    """
    tasks = [asyncio.create_task(work), asyncio.create_task(_ended(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks)
    for task in done:
        if not task.cancelled():
            task.result()


async def _ended(receive: Any) -> None:
    """Of what comes after the request, everything says so."""
    if (await receive())["type"] == "http.request":
        await receive()


class WhileConnected:
    """An ASGI application whose requests have no body."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answered = asyncio.Event()

        async def sent(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        async def gone() -> Any:
            """To uvicorn a client is gone, too, that has all of its answer: what is left to do goes on."""
            message = await receive()
            if answered.is_set():
                await asyncio.Event().wait()
            return message

        await while_connected(self._application(scope, receive, sent), gone)
