"""Everything that goes wrong, one function each: it begins the fault, lets it last, and heals it."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.support.processes import is_alive, pause, resume
from tests.support.waiting import eventually

from attribution.embedded.server import EmbeddedServer

from .clock import real_us
from .journals import Harm, flip, tails, tear
from .machine import Machine
from .proxy import Proxy

_SECOND_US = 1_000_000
_HOUR_US = 3600 * _SECOND_US
_FULL_S = 20


@dataclass(frozen=True, slots=True)
class Full:
    """A time when the disk of the journals was full. `counted`: what the service says that it lost."""

    began_us: int
    ended_us: int
    counted: int
    killed: bool
    """A worker was, and what its memory held went with it."""


@dataclass
class Scene:
    machine: Machine
    rng: random.Random
    harm: Harm = field(default_factory=Harm)
    full: list[Full] = field(default_factory=list)

    async def lasts(self, least_s: float = 0.2, most_s: float = 2.0) -> None:
        await asyncio.sleep(self.rng.uniform(least_s, most_s))


class Part(Enum):
    """What one fault at a time may have."""

    SERVER = auto()
    CONSUMERS = auto()
    REDIS = auto()
    POSTGRES = auto()
    CLOCK = auto()
    BROWSERS = auto()


async def kill_worker(scene: Scene) -> None:
    _kill(await _worker(scene))
    await scene.lasts()


async def _worker(scene: Scene) -> int:
    """One that just begins, or one that has served for a while."""
    if scene.rng.random() < 0.7:
        await scene.machine.serves()
    await eventually(scene.machine.server.children, timeout=30)
    return scene.rng.choice(scene.machine.server.children())


async def kill_consumer(scene: Scene) -> None:
    _kill(scene.rng.choice(scene.machine.consumers).pid)
    await scene.lasts()


async def kill_supervisor(scene: Scene) -> None:
    _kill(scene.machine.server.pid)
    await scene.lasts(1.0, 4.0)


async def kill_all_of_the_service(scene: Scene) -> None:
    for kept in (scene.machine.server, *scene.machine.consumers):
        _kill(kept.pid, *kept.children())
    await scene.lasts(1.0, 4.0)


async def end_worker(scene: Scene) -> None:
    """As a rolling restart does."""
    os.kill(await _worker(scene), signal.SIGTERM)
    await scene.lasts()


async def pause_worker(scene: Scene) -> None:
    await _paused(scene, await _worker(scene))


async def pause_consumer(scene: Scene) -> None:
    await _paused(scene, scene.rng.choice(scene.machine.consumers).pid)


async def tear_journals(scene: Scene) -> None:
    await _with_all_workers_dead(scene, tear)


async def flip_bytes_of_journals(scene: Scene) -> None:
    await _with_all_workers_dead(scene, flip)


async def kill_redis(scene: Scene) -> None:
    await _killed(scene, scene.machine.valkey)


async def empty_redis(scene: Scene) -> None:
    await _killed(scene, scene.machine.valkey, empty=True)


async def pause_redis(scene: Scene) -> None:
    await _paused(scene, scene.machine.valkey.pid)


async def cut_from_redis(scene: Scene) -> None:
    await _cutting(scene, scene.machine.to_redis)


async def kill_postgres(scene: Scene) -> None:
    await _killed(scene, scene.machine.postgres)


async def restart_postgres(scene: Scene) -> None:
    await scene.machine.postgres.stop()
    await scene.machine.postgres.start()


async def pause_postgres(scene: Scene) -> None:
    await _paused(scene, scene.machine.postgres.pid)


async def cut_from_postgres(scene: Scene) -> None:
    await _cutting(scene, scene.machine.to_postgres)


async def cut_from_browsers(scene: Scene) -> None:
    await _cutting(scene, scene.machine.to_service)


async def move_clock(scene: Scene) -> None:
    """There and back again: twice a jump, each seen by all processes at once."""
    far = scene.rng.choice((2 * _SECOND_US, 90 * _SECOND_US, _HOUR_US, 5 * _HOUR_US))
    scene.machine.clock.move(scene.rng.choice((-1, 1)) * far)
    await scene.lasts(0.5, 3.0)
    scene.machine.clock.move(0)


async def fill_disk(scene: Scene) -> None:
    await scene.machine.serves()
    lost = await scene.machine.counted_lost()
    await _full(scene, lambda: _more_lost(scene.machine, lost), killed=False)


async def kill_worker_over_full_disk(scene: Scene) -> None:
    await _full(scene, lambda: _soon(scene), killed=True)


async def _full(scene: Scene, until: Callable[[], Awaitable[bool]], *, killed: bool) -> None:
    await scene.machine.serves()
    lost, began = await scene.machine.counted_lost(), real_us()
    try:
        while real_us() < began + _FULL_S * _SECOND_US:
            # Again and again, as segments that are done with make room.
            scene.machine.disk.fill()
            if await until():
                break
            await asyncio.sleep(0.05)
    finally:
        scene.machine.disk.free()
    # Once the disk takes writes again, what waited in memory is written within moments.
    await asyncio.sleep(1.0)
    scene.full.append(Full(began, real_us(), await scene.machine.counted_lost() - lost, killed))


async def _more_lost(machine: Machine, than: int) -> bool:
    return await machine.counted_lost() > than


async def _soon(scene: Scene) -> bool:
    await scene.lasts(0.2, 0.6)
    _kill(*scene.machine.server.children()[:1])
    # Long enough that the next one starts over the full disk too.
    await scene.lasts(1.0, 5.0)
    return True


async def _with_all_workers_dead(scene: Scene, do: Callable[..., None]) -> None:
    server = scene.machine.server
    server.held = True
    try:
        family = [server.pid, *server.children()]
        _kill(*family)
        server.role.process.wait(10)
        await eventually(lambda: not any(is_alive(pid) for pid in family))
        for segment in tails(scene.machine.journals):
            do(segment, scene.harm, scene.rng)
    finally:
        server.held = False


async def _killed(scene: Scene, server: EmbeddedServer, *, empty: bool = False) -> None:
    await server.kill()
    await scene.lasts()
    if empty:
        for file in server.directory.glob("appendonlydir/*"):
            file.unlink()
    await server.start()


async def _paused(scene: Scene, pid: int) -> None:
    pause(pid)
    try:
        await scene.lasts(0.5, 4.0)
    finally:
        resume(pid)


async def _cutting(scene: Scene, proxy: Proxy) -> None:
    proxy.chance = scene.rng.choice((0.02, 0.1, 0.5))
    try:
        await scene.lasts(0.5, 3.0)
    finally:
        proxy.chance = 0.0


def _kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Fault:
    strike: Callable[[Scene], Awaitable[None]]
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        return str(getattr(self.strike, "__name__", "")).replace("_", " ")


_ALWAYS = (
    Fault(kill_worker, (Part.SERVER,)),
    Fault(kill_consumer, (Part.CONSUMERS,)),
    Fault(kill_supervisor, (Part.SERVER,)),
    Fault(kill_all_of_the_service, (Part.SERVER, Part.CONSUMERS)),
    Fault(end_worker, (Part.SERVER,)),
    Fault(pause_worker, (Part.SERVER,)),
    Fault(pause_consumer, (Part.CONSUMERS,)),
    Fault(tear_journals, (Part.SERVER,)),
    Fault(flip_bytes_of_journals, (Part.SERVER,)),
    Fault(kill_redis, (Part.REDIS,)),
    Fault(empty_redis, (Part.REDIS,)),
    Fault(pause_redis, (Part.REDIS,)),
    Fault(cut_from_redis, (Part.REDIS,)),
    Fault(kill_postgres, (Part.POSTGRES,)),
    Fault(restart_postgres, (Part.POSTGRES,)),
    Fault(pause_postgres, (Part.POSTGRES,)),
    Fault(cut_from_postgres, (Part.POSTGRES,)),
    Fault(cut_from_browsers, (Part.BROWSERS,)),
)
_OF_THE_DISK = (
    Fault(fill_disk, (Part.SERVER,)),
    Fault(kill_worker_over_full_disk, (Part.SERVER,)),
)
_OF_THE_CLOCK = (Fault(move_clock, (Part.CLOCK,)),)


def faults_of(machine: Machine) -> list[Fault]:
    """Those that this computer allows."""
    return [
        *_ALWAYS,
        *(_OF_THE_DISK if machine.disk.fillable else ()),
        *(_OF_THE_CLOCK if machine.clock.movable else ()),
    ]


def left_out(machine: Machine) -> list[str]:
    """Why some can't be."""
    reasons = []
    if not machine.disk.fillable:
        reasons.append("fill disk: only root may mount a tmpfs")
    if not machine.clock.movable:
        reasons.append("move clock: there is no C compiler `cc`")
    return reasons
