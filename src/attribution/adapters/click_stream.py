"""The click stream: entries of many clicks, in partitions (docs/adr/0002-batched-stream-entries.md).

An entry: `journal` (16 bytes), `segment` and `offset` (where in the journal its frames begin), `frames`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from attribution.errors import StreamUnavailableError
from attribution.journal import Batch, Position

from .redis import BLOCK_MS, translated_errors

GROUP = "writers"
_SHIPPED = "attribution:shipped"
_INCARNATION = "attribution:incarnation"
_USAGE_SAMPLES = 5
_PENDING_WATCHED = 1000
_Delivery = tuple[bytes, bytes, int]
"""An entry, who has it, and for the how-manieth time."""


def stream_key(partition: int) -> str:
    """The hash tag keeps whatever else belongs to a partition on the same node of a cluster."""
    return f"attribution:{{clicks-{partition}}}:stream"


@dataclass(frozen=True, slots=True)
class Entry:
    """`journal_id` is None where the entry is not one of ours; then `frames` is whatever it held."""

    entry_id: bytes
    journal_id: UUID | None
    start: Position
    frames: bytes


class StreamWriter:
    """The shipper's end."""

    def __init__(self, redis: Redis, partition: int) -> None:
        self._redis = redis
        self._key = stream_key(partition)

    async def incarnation(self) -> str:
        """Changes when the server restarts or is flushed: then what it had acknowledged may be gone."""
        with translated_errors():
            info: dict[str, Any] = await self._redis.info("server")
            await self._redis.set(_INCARNATION, uuid4().hex, nx=True)
            name: Any = await self._redis.get(_INCARNATION)
            return f"{info['run_id']}_{name.decode() if name else ''}"

    async def used_bytes(self) -> int:
        with translated_errors():
            return await self._redis.memory_usage(self._key, samples=_USAGE_SAMPLES) or 0

    async def append(self, journal_id: UUID, batches: Iterable[Batch]) -> None:
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for batch in batches:
                    pipe.xadd(
                        self._key,
                        {
                            "journal": journal_id.bytes,
                            "segment": batch.start.segment,
                            "offset": batch.start.offset,
                            "frames": batch.frames,
                        },
                    )
                await pipe.execute()

    async def report_shipped(self, journal_id: UUID, through_us: int) -> bool:
        """All that the journal took before `through_us` is in the stream. True if it is the first such report."""
        with translated_errors():
            return bool(await self._redis.hset(_SHIPPED, journal_id.hex, str(through_us)))

    async def retire(self, journal_id: UUID) -> None:
        """The journal is drained, and nobody writes to it any more."""
        with translated_errors():
            await self._redis.hdel(_SHIPPED, journal_id.hex)


class StreamReader:
    """The consumer's end of one partition."""

    def __init__(self, redis: Redis, partition: int, consumer: str, claim_idle_ms: int) -> None:
        self._redis = redis
        self._key = stream_key(partition)
        self._consumer = consumer
        self._claim_idle_s = claim_idle_ms / 1000
        self._seen: dict[_Delivery, float] = {}

    async def ensure_group(self) -> None:
        """From the very first entry: what was shipped before the first consumer lived counts too."""
        try:
            with translated_errors():
                await self._redis.xgroup_create(self._key, GROUP, id="0-0", mkstream=True)
        except StreamUnavailableError as error:
            if not _is_reply(error, "BUSYGROUP"):
                raise

    async def read(self, count: int) -> list[Entry]:
        """What a dead consumer left comes first, then new entries; empty after a second without any."""
        try:
            with translated_errors():
                return await self._abandoned(count) or await self._new(count)
        except StreamUnavailableError as error:
            if not _is_reply(error, "NOGROUP"):
                raise
            await self.ensure_group()
            return []

    async def _abandoned(self, count: int) -> list[Entry]:
        """Idle by our own watch: by the server's, nothing is while its clock, once too far ahead, is set right."""
        pending: Any = await self._redis.xpending_range(self._key, GROUP, "-", "+", _PENDING_WATCHED)
        now = monotonic()
        deliveries: list[_Delivery] = [
            (entry["message_id"], entry["consumer"], entry["times_delivered"]) for entry in pending
        ]
        self._seen = {delivery: self._seen.get(delivery, now) for delivery in deliveries}
        idle: list[Any] = [delivery[0] for delivery, since in self._seen.items() if now - since >= self._claim_idle_s]
        if not idle:
            return []
        entries: Any = await self._redis.xclaim(self._key, GROUP, self._consumer, 0, idle[:count])
        return _entries(entries)

    async def _new(self, count: int) -> list[Entry]:
        reply: Any = await self._redis.xreadgroup(
            GROUP, self._consumer, {self._key: ">"}, count=count, block=BLOCK_MS
        )
        return [entry for _, entries in reply for entry in _entries(entries)]

    async def done(self, entry_ids: Sequence[bytes]) -> None:
        """Acknowledges and deletes: an acknowledged entry would still take memory."""
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._key, GROUP, *entry_ids)
                pipe.xdel(self._key, *entry_ids)
                await pipe.execute()

    async def last_entry_id(self) -> tuple[int, int]:
        """Of the newest entry ever appended, deleted or not."""
        with translated_errors():
            info: Any = await self._redis.xinfo_stream(self._key)
            return _parsed(info["last-generated-id"])

    async def first_entry_id(self) -> tuple[int, int] | None:
        """Of the oldest entry that is not done."""
        with translated_errors():
            entries: Any = await self._redis.xrange(self._key, count=1)
            return _parsed(entries[0][0]) if entries else None

    async def shipped_through_us(self) -> int | None:
        """All that any journal took before this is in the stream; None when no journal has reported."""
        with translated_errors():
            reports = await self._redis.hvals(_SHIPPED)
            return min(map(int, reports), default=None)

    async def leave(self) -> None:
        """A consumer's name is never used again; one with entries left stays, for another to take them over."""
        with translated_errors():
            summary = await self._redis.xpending_range(self._key, GROUP, "-", "+", 1, consumername=self._consumer)
            if not summary:
                await self._redis.xgroup_delconsumer(self._key, GROUP, self._consumer)


def _entries(raw: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Entry]:
    # XCLAIM and XREADGROUP name entries that were deleted meanwhile with an empty body.
    return [_entry(entry_id, fields) for entry_id, fields in raw if fields]


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    try:
        start = Position(int(fields[b"segment"]), int(fields[b"offset"]))
        return Entry(entry_id, UUID(bytes=fields[b"journal"]), start, fields[b"frames"])
    except (KeyError, ValueError):
        return Entry(entry_id, None, Position(0, 0), b" ".join(b"%b=%b" % item for item in fields.items()))


def _parsed(entry_id: bytes | str) -> tuple[int, int]:
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    milliseconds, sequence = text.split("-")
    return int(milliseconds), int(sequence)


def _is_reply(error: StreamUnavailableError, code: str) -> bool:
    return isinstance(error.__cause__, ResponseError) and str(error.__cause__).startswith(code)
