"""One run: a load, faults in an order that the seed gives, and the verdict once all is healed."""

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from attribution.domain.click_id import ClickTokens
from attribution.entrypoints.secrets import load_click_id_keys
from attribution.settings import Settings

from .browsers import Browser, Ledger
from .faults import Fault, Part, Scene, faults_of, left_out
from .machine import SLUGS, Machine, machine
from .shop import Book, Shop
from .verdict import Verdict, judge

_BROWSERS = 6
_BEFORE, _AFTER = 200, 300
"""Taps before the first fault and after the last."""
Say = Callable[[str], None]


async def chaos(root: Path, seed: int, seconds: float, say: Say) -> Verdict:
    """Every fault at least once, and then again until `seconds` are over."""
    ledger, book, began = Ledger(), Book(), time.monotonic()
    async with machine(root, _random(seed, "network")) as made:
        tokens = ClickTokens(load_click_id_keys(Settings(click_id_keys=made.click_id_keys, data_dir=root)))
        scene = Scene(made, _random(seed, "faults"))
        for reason in left_out(made):
            say(f"left out: {reason}")
        async with _load(made, seed, ledger, book, tokens):
            await ledger.grows_by(_BEFORE)
            struck = await _strike(scene, seconds, lambda line: say(f"{time.monotonic() - began:6.1f} s  {line}"))
            await made.is_ready()
            await ledger.grows_by(_AFTER)
        say(f"{time.monotonic() - began:6.1f} s  all healed, and all orders acknowledged")
        verdict = await judge(scene, ledger, book, tokens)
        say(f"{time.monotonic() - began:6.1f} s  judged")
        if verdict.unexplained:
            # The small disk goes with the run.
            shutil.copytree(made.journals, root / "journals-left")
    cuts = sum(proxy.cuts for proxy in (made.to_postgres, made.to_redis, made.to_service))
    faults = [(f"fault: {name}", count) for name, count in sorted(struck.items())]
    verdict.table[:0] = [*faults, ("connections cut in mid-message", cuts)]
    return verdict


@asynccontextmanager
async def _load(made: Machine, seed: int, ledger: Ledger, book: Book, tokens: ClickTokens) -> AsyncIterator[None]:
    """Half of the browsers come through the proxy that cuts; the shop does too."""
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        base_url = f"http://127.0.0.1:{made.to_service.port}"
        headers = {"Authorization": f"Bearer {made.admin_key}"}
        client = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=20)
        await stack.enter_async_context(client)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stopping.set)
        for number in range(_BROWSERS):
            port = made.port if number % 2 else made.to_service.port
            group.create_task(Browser(port, SLUGS, ledger, _random(seed, f"browser {number}")).run(stopping))
        group.create_task(Shop(client, ledger, tokens, _random(seed, "shop"), book).run(stopping))
        yield


async def _strike(scene: Scene, seconds: float, say: Say) -> Counter[str]:
    """Faults of different parts overlap; each part has one at a time."""
    began, struck = time.monotonic(), Counter[str]()
    parts = {part: asyncio.Lock() for part in Part}

    async def strike(fault: Fault) -> None:
        async with AsyncExitStack() as held:
            for part in sorted(fault.parts, key=lambda part: part.value):
                await held.enter_async_context(parts[part])
            say(fault.name)
            await fault.strike(scene)
            struck[fault.name] += 1

    while not struck or time.monotonic() - began < seconds:
        async with asyncio.TaskGroup() as deck:
            for fault in scene.rng.sample(faults_of(scene.machine), len(faults_of(scene.machine))):
                deck.create_task(strike(fault))
                await scene.lasts(0.1, 1.5)
    return struck


def _random(seed: int, actor: str) -> random.Random:
    """Of its own, so that one actor's pace does not change another's choices."""
    return random.Random(f"{seed} {actor}")
