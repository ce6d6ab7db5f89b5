import asyncio

import pytest

from attribution.api.remembered import FRESH_S, Remembered
from attribution.errors import DatabaseUnavailableError


class Source:
    """Answers with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def look_up(self, key: str) -> int | None:
        self.asked += 1
        await self.gate.wait()
        if self.away:
            raise DatabaseUnavailableError
        return None if key == "nobody" else self.asked


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_fresh_answer_is_not_asked_again() -> None:
    source, clock = Source(), Clock()
    remembered = Remembered(source.look_up, clock)
    assert [await remembered.get("a"), await remembered.get("a")] == [1, 1]
    clock.now = FRESH_S
    assert await remembered.get("a") == 2


async def test_expired_answers_are_asked_again() -> None:
    source = Source()
    remembered = Remembered(source.look_up)
    await remembered.get("a")
    remembered.expire()
    assert await remembered.get("a") == 2


async def test_what_does_not_exist_is_not_remembered() -> None:
    source = Source()
    remembered = Remembered(source.look_up)
    assert [await remembered.get("nobody"), await remembered.get("nobody")] == [None, None]
    assert source.asked == 2


async def test_the_old_answer_stands_in_while_the_source_is_away() -> None:
    source, clock = Source(), Clock()
    remembered = Remembered(source.look_up, clock)
    await remembered.get("a")
    source.away = True
    clock.now = FRESH_S
    assert [await remembered.get("a"), await remembered.get("a")] == [1, 1]
    assert source.asked == 2
    with pytest.raises(DatabaseUnavailableError):
        await remembered.get("b")


async def test_the_old_answer_stands_in_while_the_source_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution.api.remembered.PATIENCE_S", 0.01)
    source, clock = Source(), Clock()
    remembered = Remembered(source.look_up, clock)
    await remembered.get("a")
    source.gate.clear()
    clock.now = FRESH_S
    assert await remembered.get("a") == 1
    source.gate.set()
    clock.now = 3 * FRESH_S
    assert await remembered.get("a") == 2


async def test_one_look_up_serves_all_who_wait_and_survives_them() -> None:
    source = Source()
    source.gate.clear()
    remembered = Remembered(source.look_up)
    first, second = (asyncio.create_task(remembered.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()
    assert await second == 1
    assert source.asked == 1
