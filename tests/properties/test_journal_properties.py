import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from attribution.journal import (
    Corrupt,
    Journal,
    JournalDirectory,
    JournalPolicy,
    JournalReader,
    Position,
    frame,
    split_frames,
)

RECORDS = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=20)
SEEDS = st.integers(0, 2**32)


def noise(seed: int, size: int) -> bytes:
    """Not drawn byte by byte, or hypothesis would build sound frames in it."""
    return random.Random(seed).randbytes(size)  # noqa: S311


def as_bytes(found: Sequence[bytes | Corrupt]) -> bytes:
    return b"".join(piece.data if isinstance(piece, Corrupt) else frame(piece) for piece in found)


@given(RECORDS)
def test_frames_give_their_records_back(records: list[bytes]) -> None:
    assert list(split_frames(b"".join(map(frame, records)))) == records


@given(st.binary(max_size=300))
def test_every_byte_is_in_one_record_or_one_corrupt_place(data: bytes) -> None:
    assert as_bytes(list(split_frames(data))) == data


@given(RECORDS, st.data())
def test_a_flipped_byte_costs_only_its_own_frame(records: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(b"".join(map(frame, records)))
    index = data.draw(st.integers(0, len(damaged) - 1))
    damaged[index] ^= data.draw(st.integers(1, 255))
    found = list(split_frames(bytes(damaged)))
    assert as_bytes(found) == damaged
    ends = [sum(len(frame(record)) for record in records[: number + 1]) for number in range(len(records))]
    hit = next(number for number, end in enumerate(ends) if index < end)
    assert [piece for piece in found if isinstance(piece, bytes)] == records[:hit] + records[hit + 1 :]


@given(RECORDS, SEEDS, st.integers(0, 200), st.data())
def test_a_torn_tail_or_garbage_costs_nothing_before_it(
    records: list[bytes], seed: int, size: int, data: st.DataObject
) -> None:
    whole = b"".join(map(frame, records))
    torn = frame(records[0])[: data.draw(st.integers(0, len(frame(records[0])) - 1))]
    for tail in (torn, noise(seed, size)):
        found = list(split_frames(whole + tail))
        assert as_bytes(found) == whole + tail
        assert found[: len(records)] == records


@given(
    commits=st.lists(RECORDS, min_size=1, max_size=6),
    segment_bytes=st.integers(1, 300),
    batch_records=st.integers(1, 10),
    batch_bytes=st.integers(1, 300),
    seed=SEEDS,
    damaged_bytes=st.integers(0, 12),
)
def test_a_reader_hands_out_every_byte_once_in_order_and_cuts_no_sound_frame(
    commits: list[list[bytes]],
    segment_bytes: int,
    batch_records: int,
    batch_bytes: int,
    seed: int,
    damaged_bytes: int,
) -> None:
    with TemporaryDirectory() as path:
        directory = JournalDirectory.claim(Path(path))
        assert directory is not None
        journal = Journal(directory, JournalPolicy(segment_bytes, 10_000))
        for records in commits:
            for record in records:
                journal.append(record)
            assert journal.commit()
        _damage(directory, seed, damaged_bytes)
        stored = {segment: directory.segment_path(segment).read_bytes() for segment in directory.segments()}
        reader = JournalReader(directory, batch_records, batch_bytes)
        read = dict.fromkeys(stored, b"")
        found: list[bytes | Corrupt] = []
        position = Position(0, 0)
        while (batch := reader.read(position, journal.end)) is not None:
            assert batch.start == (batch.start.segment, len(read[batch.start.segment]))
            read[batch.start.segment] += batch.frames
            found += split_frames(batch.frames)
            position = batch.end
        assert read == stored
        sound = [piece for data in stored.values() for piece in split_frames(data) if isinstance(piece, bytes)]
        assert [piece for piece in found if isinstance(piece, bytes)] == sound
        reader.close()
        journal.close()
        directory.release()


def _damage(directory: JournalDirectory, seed: int, count: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        file = directory.segment_path(chance.choice(directory.segments()))
        data = bytearray(file.read_bytes())
        if data:
            data[chance.randrange(len(data))] = chance.choice((0, 1, 9, 255))
            file.write_bytes(data)
