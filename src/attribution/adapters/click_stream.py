"""The click stream: entries of many clicks, in partitions (docs/adr/0002-batched-stream-entries.md).

An entry: `journal` (16 bytes), `segment` and `offset` (where in the journal its frames begin), `frames`, `quarters`
(how many clicks they are, by quarter hour: `1957000:480,1957001:20`). A hash beside the stream, `held`, says the same
of all entries that are not done, by `journal:segment:offset`: the ledger reads it without their frames.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from attribution.domain.quarters import QUARTER_US, quarter_of
from attribution.errors import StreamUnavailableError
from attribution.journal import FRAME_HEAD, Batch, Position

from .redis import BLOCK_MS, translated_errors

GROUP = "writers"
_SHIPPED = "attribution:shipped"
_INCARNATION = "attribution:incarnation"
_USAGE_SAMPLES = 5
_PENDING_WATCHED = 1000
_Delivery = tuple[bytes, bytes, int]
"""An entry, who has it, and for the how-manieth time."""
_HEAD_AND_TIME = Struct(">I5xQ")
"""Of a frame: the length of its record, and the time that follows checksum and version."""
PARTITIONS_MAX = 1024


def stream_key(partition: int) -> str:
    """The hash tag keeps whatever else belongs to a partition on the same node of a cluster."""
    return f"attribution:{{clicks-{partition}}}:stream"


def held_key(partition: int) -> str:
    return f"attribution:{{clicks-{partition}}}:held"


@dataclass(frozen=True, slots=True)
class Entry:
    """`journal_id` is None where the entry is not one of ours; then `frames` is whatever it held."""

    entry_id: bytes
    journal_id: UUID | None
    start: Position
    frames: bytes
    quarters: Mapping[int, int] = field(default_factory=dict)


class StreamWriter:
    """The shipper's end."""

    def __init__(self, redis: Redis, partition: int) -> None:
        self._redis = redis
        self._key = stream_key(partition)
        self._held = held_key(partition)

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
                    quarters = _packed(_by_quarter(batch.frames))
                    # Before its entry: what is neither held nor stored would look missing.
                    pipe.hset(self._held, _held_field(journal_id, batch.start), quarters)
                    pipe.xadd(
                        self._key,
                        {
                            "journal": journal_id.bytes,
                            "segment": batch.start.segment,
                            "offset": batch.start.offset,
                            "frames": batch.frames,
                            "quarters": quarters,
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
        self._held = held_key(partition)
        self._consumer = consumer
        self._claim_idle_s = claim_idle_ms / 1000
        self._seen: dict[_Delivery, float] = {}
        self._in_hand: set[bytes] = set()

    async def ensure_group(self) -> None:
        """From the very first entry: what was shipped before the first consumer lived counts too."""
        try:
            with translated_errors():
                await self._redis.xgroup_create(self._key, GROUP, id="0-0", mkstream=True)
        except StreamUnavailableError as error:
            if not _is_reply(error, "BUSYGROUP"):
                raise

    async def read(self, count: int) -> list[Entry]:
        """What a dead consumer left comes first, then new entries; empty after a second without any.

        Each entry once, however long it is in hand: of two lanes neither takes what the other is at.
        """
        try:
            with translated_errors():
                entries = await self._abandoned(count) or await self._new(count)
        except StreamUnavailableError as error:
            if not _is_reply(error, "NOGROUP"):
                raise
            await self.ensure_group()
            return []
        self._in_hand.update(entry.entry_id for entry in entries)
        return entries

    async def _abandoned(self, count: int) -> list[Entry]:
        """Idle by our own watch: by the server's, nothing is while its clock, once too far ahead, is set right."""
        pending: Any = await self._redis.xpending_range(self._key, GROUP, "-", "+", _PENDING_WATCHED)
        now = monotonic()
        deliveries: list[_Delivery] = [
            (entry["message_id"], entry["consumer"], entry["times_delivered"]) for entry in pending
        ]
        self._seen = {delivery: self._seen.get(delivery, now) for delivery in deliveries}
        idle: list[Any] = [
            entry_id
            for (entry_id, _, _), since in self._seen.items()
            if now - since >= self._claim_idle_s and entry_id not in self._in_hand
        ]
        if not idle:
            return []
        entries: Any = await self._redis.xclaim(self._key, GROUP, self._consumer, 0, idle[:count])
        return _entries(entries)

    async def _new(self, count: int) -> list[Entry]:
        reply: Any = await self._redis.xreadgroup(
            GROUP, self._consumer, {self._key: ">"}, count=count, block=BLOCK_MS
        )
        return [entry for _, entries in reply for entry in _entries(entries)]

    async def done(self, entries: Sequence[Entry]) -> None:
        """Acknowledges and deletes: an acknowledged entry would still take memory."""
        entry_ids = [entry.entry_id for entry in entries]
        held = [_held_field(entry.journal_id, entry.start) for entry in entries if entry.journal_id is not None]
        with translated_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._key, GROUP, *entry_ids)
                pipe.xdel(self._key, *entry_ids)
                if held:
                    pipe.hdel(self._held, *held)
                await pipe.execute()
        self._in_hand.difference_update(entry_ids)

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


class StreamCensus:
    """How many clicks the streams hold, without a look at their frames."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    async def held(self) -> Counter[tuple[UUID, int]]:
        """By journal and quarter hour."""
        clicks: Counter[tuple[UUID, int]] = Counter()
        with translated_errors():
            for partition in range(self._partitions):
                async for name, quarters in self._redis.hscan_iter(held_key(partition), count=1000):
                    journal_id = UUID(hex=name.split(b":")[0].decode())
                    for quarter, count in unpacked_quarters(quarters).items():
                        clicks[journal_id, quarter] += count
        return clicks

    async def stranded(self) -> dict[int, int]:
        """Entries of partitions beyond those that are counted, which no consumer reads."""
        beyond = range(self._partitions, PARTITIONS_MAX)
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for partition in beyond:
                    pipe.xlen(stream_key(partition))
                lengths: list[int] = await pipe.execute()
        return {partition: length for partition, length in zip(beyond, lengths, strict=True) if length}

    async def retire(self, journal_id: UUID) -> bool:
        """Forgets a journal's report; a living one renews it. False: there was none."""
        with translated_errors():
            return bool(await self._redis.hdel(_SHIPPED, journal_id.hex))


def _entries(raw: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Entry]:
    # XCLAIM and XREADGROUP name entries that were deleted meanwhile with an empty body.
    return [_entry(entry_id, fields) for entry_id, fields in raw if fields]


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    try:
        start = Position(int(fields[b"segment"]), int(fields[b"offset"]))
        quarters = unpacked_quarters(fields.get(b"quarters", b""))
        return Entry(entry_id, UUID(bytes=fields[b"journal"]), start, fields[b"frames"], quarters)
    except (KeyError, ValueError):
        return Entry(entry_id, None, Position(0, 0), b" ".join(b"%b=%b" % item for item in fields.items()))


def _held_field(journal_id: UUID, start: Position) -> str:
    return f"{journal_id.hex}:{start.segment}:{start.offset}"


def _by_quarter(frames: bytes) -> Mapping[int, int]:
    """Heads and times alone, and a division only where a quarter hour ends: this runs beside the redirect."""
    counts: Counter[int] = Counter()
    quarter = count = offset = 0
    begin_us = end_us = 0
    last, unpack = len(frames) - _HEAD_AND_TIME.size, _HEAD_AND_TIME.unpack_from
    while offset <= last:
        length, at_us = unpack(frames, offset)
        if not begin_us <= at_us < end_us:
            counts[quarter] += count
            quarter, count = quarter_of(at_us), 0
            begin_us, end_us = quarter * QUARTER_US, (quarter + 1) * QUARTER_US
        count += 1
        offset += FRAME_HEAD.size + length
    counts[quarter] += count
    return +counts


def _packed(quarters: Mapping[int, int]) -> str:
    return ",".join(f"{quarter}:{count}" for quarter, count in quarters.items())


def unpacked_quarters(text: bytes) -> dict[int, int]:
    """Raises `ValueError`."""
    pairs = (part.split(b":") for part in text.split(b",") if part)
    return {int(quarter): int(count) for quarter, count in pairs}


def _parsed(entry_id: bytes | str) -> tuple[int, int]:
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    milliseconds, sequence = text.split("-")
    return int(milliseconds), int(sequence)


def _is_reply(error: StreamUnavailableError, code: str) -> bool:
    return isinstance(error.__cause__, ResponseError) and str(error.__cause__).startswith(code)
