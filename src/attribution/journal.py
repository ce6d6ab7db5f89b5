"""Append-only files of framed records: what is accepted is here before anyone is told so.

A frame is `length (4, big-endian) | CRC-32 of the record (4) | record`. A journal is a directory of numbered
segments, owned through a lock by one process at a time; the next owner finds what a dead one left.
docs/adr/0001-journal-and-group-commit.md tells why.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import NamedTuple, Self
from uuid import UUID, uuid4
from zlib import crc32

FRAME_HEAD = Struct(">II")
_HEAD_SIZE, _unpack_head = FRAME_HEAD.size, FRAME_HEAD.unpack_from
RECORD_MAX_BYTES = 64 * 1024 * 1024
"""More than any record has; a frame that says more is damaged."""
_SUFFIX = ".journal"


class Position(NamedTuple):
    segment: int
    offset: int


class Corrupt(NamedTuple):
    """Bytes that are no frame: a torn write or a damaged disk."""

    data: bytes


@dataclass(frozen=True, slots=True)
class JournalPolicy:
    segment_bytes: int
    memory_bytes: int
    """What may wait in memory while the disk refuses writes."""


_head = FRAME_HEAD.pack


def frame(record: bytes) -> bytes:
    return _head(len(record), crc32(record)) + record


def split_frames(data: bytes) -> Iterator[bytes | Corrupt]:
    """Every byte of `data` is in one record or one `Corrupt`; after damage it finds the next good frame."""
    offset = damaged_from = 0
    total = len(data)
    while offset < total:
        record = _record_at(data, offset)
        if record is None:
            offset += 1
            continue
        if damaged_from < offset:
            yield Corrupt(data[damaged_from:offset])
        yield record
        offset = damaged_from = offset + _HEAD_SIZE + len(record)
    if damaged_from < total:
        yield Corrupt(data[damaged_from:])


def records_by_heads(frames: bytes) -> Iterator[bytes]:
    """Without a look at checksums, until a head says more than there is."""
    offset, head_size, total = 0, FRAME_HEAD.size, len(frames)
    while offset + head_size <= total:
        start = offset + head_size
        offset = start + FRAME_HEAD.unpack_from(frames, offset)[0]
        if not start < offset <= total:
            return
        yield frames[start:offset]


def _record_at(data: bytes, offset: int) -> bytes | None:
    start, total = offset + _HEAD_SIZE, len(data)
    if start > total:
        return None
    length, checksum = _unpack_head(data, offset)
    stop = start + length
    # An empty record is never written, and its frame of eight zeros is what a torn block looks like.
    if stop > total or not 0 < length <= RECORD_MAX_BYTES:
        return None
    record = data[start:stop]
    return record if crc32(record) == checksum else None


class JournalDirectory:
    """A journal's place on disk, locked. Its id names it in every system that hears of its records."""

    def __init__(self, path: Path, lock: int, journal_id: UUID) -> None:
        self.path = path
        self.journal_id = journal_id
        self._lock = lock

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """None if another process holds it. Raises `OSError` when the disk refuses a new journal."""
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, lock, _journal_id(path / "id"))
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            os.close(lock)
            raise

    def release(self) -> None:
        os.close(self._lock)

    def renew_id(self) -> None:
        """The next owner finds a new journal here, already named: it may come while the disk is full."""
        _make_id(self.path / "id")

    def sync(self) -> None:
        """A file that was made survives a power loss only once its directory is on disk."""
        directory = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def segments(self) -> list[int]:
        return sorted(int(file.stem) for file in self.path.glob(f"*{_SUFFIX}"))

    def segment_path(self, segment: int) -> Path:
        return self.path / f"{segment:012d}{_SUFFIX}"

    def size(self, segment: int) -> int:
        return self.segment_path(segment).stat().st_size

    def remove(self, segment: int) -> None:
        self.segment_path(segment).unlink(missing_ok=True)

    def size_bytes(self) -> int:
        return sum(self.size(segment) for segment in self.segments())


def _journal_id(file: Path) -> UUID:
    """A lost or damaged one is made anew: then all that the journal holds is sent again, under its new name."""
    try:
        return UUID(file.read_bytes().decode("ascii"))
    except (FileNotFoundError, ValueError):
        return _make_id(file)


def _make_id(file: Path) -> UUID:
    journal_id = uuid4()
    draft = file.with_suffix(".draft")
    draft.write_text(str(journal_id))
    draft.rename(file)
    return journal_id


def claim_first_free(root: Path, prefix: str) -> JournalDirectory:
    """The first of `prefix-0`, `prefix-1`, .. that no living process holds: a restarted worker gets its own back."""
    number = 0
    while (directory := JournalDirectory.claim(root / f"{prefix}-{number}")) is None:
        number += 1
    return directory


class Journal:
    """The writing end. `append` collects, `commit` writes all that was collected with one write(2)."""

    def __init__(self, directory: JournalDirectory, policy: JournalPolicy) -> None:
        self.directory = directory
        self._policy = policy
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._lost = 0
        self._left: list[int] = []
        existing = directory.segments()
        # No number is ever given to other bytes: the shipper's mark and Postgres know segments by it.
        self._open(existing[-1] + 1 if existing else 1)
        for segment in existing:
            if directory.size(segment) == 0:
                directory.remove(segment)

    def _open(self, segment: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.directory.segment_path(segment), flags, 0o600)
        self._is_named = False
        self._segment = segment
        self._size = 0

    @property
    def end(self) -> Position:
        """Up to here all is written."""
        return Position(self._segment, self._size)

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    @property
    def pending(self) -> Sequence[bytes]:
        """The records that the next commit writes."""
        return self._pending

    def append(self, record: bytes) -> None:
        if self._pending_bytes > self._policy.memory_bytes:
            self._lost += 1
            return
        self._pending.append(record)
        self._pending_bytes += _HEAD_SIZE + len(record)

    def commit(self) -> bool:
        """False if the disk refuses; then the records stay pending, and the next commit tries again."""
        data = b"".join([part for record in self._pending for part in (_head(len(record), crc32(record)), record)])
        try:
            self._write(data)
        except OSError:
            return False
        self._pending = []
        self._pending_bytes = 0
        self._size += len(data)
        return True

    def _write(self, data: bytes) -> None:
        # Rotates before a write, so that a full disk can never leave the journal without an open segment.
        if self._size >= self._policy.segment_bytes:
            self._leave()
        written = os.write(self._file, data)
        if written < len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(f"wrote {written} of {len(data)} bytes")

    def rotate(self) -> None:
        """Begins a new segment, so that all before it can be deleted when it is done with."""
        self._leave()
        self.sync_left()

    def _leave(self) -> None:
        full = self._file
        self._open(self._segment + 1)
        self._left.append(full)

    @property
    def has_left(self) -> bool:
        """Full segments wait for `sync_left`."""
        return bool(self._left)

    def sync_left(self) -> None:
        """Of full segments, and of the open one's name. Like `sync` for another thread, one at a time: it waits."""
        left, self._left = self._left, []
        if not self._is_named:
            self._is_named = True
            self.directory.sync()
        for file in left:
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def sync(self) -> None:
        """When it returns, all that was written before it survives a power loss."""
        self.sync_left()
        os.fdatasync(self._file)

    def discard_pending(self) -> None:
        """For who tells its client that nothing was kept."""
        self._pending.clear()
        self._pending_bytes = 0

    def take_lost(self) -> int:
        """Records that found neither disk nor memory since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def close(self) -> None:
        for file in (*self._left, self._file):
            os.close(file)


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole frames of one segment, from `start` on."""

    start: Position
    frames: bytes
    count: int

    @property
    def end(self) -> Position:
        return Position(self.start.segment, self.start.offset + len(self.frames))


class JournalReader:
    """The reading end, of a live journal (`end` moves) or of a dead one."""

    def __init__(self, directory: JournalDirectory, batch_records: int, batch_bytes: int = 512 * 1024) -> None:
        self._directory = directory
        self._batch_records = batch_records
        self._batch_bytes = batch_bytes
        self._open_segment: tuple[int, int] | None = None

    def read(self, start: Position, limit: Position) -> Batch | None:
        """The next batch at or after `start`, before `limit`; None when there is nothing left."""
        if start.segment == limit.segment:
            return self._batch(start, limit.offset) if start.offset < limit.offset else None
        for segment in self._directory.segments():
            if segment < start.segment or segment > limit.segment:
                continue
            offset = start.offset if segment == start.segment else 0
            end = limit.offset if segment == limit.segment else self._directory.size(segment)
            if offset < end:
                return self._batch(Position(segment, offset), end)
        return None

    def _batch(self, start: Position, end: int) -> Batch:
        data = os.pread(self._file(start.segment), min(end - start.offset, self._batch_bytes), start.offset)
        size, count = self._whole_frames(data)
        if size == 0:
            data = os.pread(self._file(start.segment), end - start.offset, start.offset)
            size, count = _first_frame_or_damage(data), 1
        return Batch(start, data[:size], count)

    def _whole_frames(self, data: bytes) -> tuple[int, int]:
        """By their heads alone, if they lead to a sound frame: then no frame is cut in two by the batch's end."""
        offset = count = last = 0
        head, head_size, total = FRAME_HEAD.unpack_from, FRAME_HEAD.size, len(data)
        while count < self._batch_records and offset + head_size <= total:
            length = head(data, offset)[0]
            if not 0 < length <= total - offset - head_size:
                break
            last = offset
            offset += head_size + length
            count += 1
        return (offset, count) if _record_at(data, last) is not None else self._sound_frames(data)

    def _sound_frames(self, data: bytes) -> tuple[int, int]:
        offset = count = 0
        while count < self._batch_records and (record := _record_at(data, offset)) is not None:
            offset += FRAME_HEAD.size + len(record)
            count += 1
        return offset, count

    def _file(self, segment: int) -> int:
        if self._open_segment is None or self._open_segment[0] != segment:
            self.close()
            file = os.open(self._directory.segment_path(segment), os.O_RDONLY | os.O_CLOEXEC)
            self._open_segment = (segment, file)
        return self._open_segment[1]

    def close(self) -> None:
        if self._open_segment is not None:
            os.close(self._open_segment[1])
            self._open_segment = None


def _first_frame_or_damage(data: bytes) -> int:
    """The size of a frame larger than a batch, or of the damage before the next sound frame."""
    first = next(split_frames(data))
    return len(first.data) if isinstance(first, Corrupt) else FRAME_HEAD.size + len(first)
