"""Framed records in segments: what a journal keeps, and what its reader makes of what it finds."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attribution.journal import (
    Batch,
    Corrupt,
    Journal,
    JournalDirectory,
    JournalPolicy,
    JournalReader,
    Position,
    claim_first_free,
    frame,
    split_frames,
)

BEGINNING = Position(0, 0)
POLICY = JournalPolicy(segment_bytes=64, memory_bytes=100)


def claim(path: Path) -> JournalDirectory:
    directory = JournalDirectory.claim(path)
    assert directory is not None
    return directory


def write(journal: Journal, *records: bytes) -> None:
    """One commit each."""
    for record in records:
        journal.append(record)
        assert journal.commit()


def batches(
    directory: JournalDirectory, end: Position, batch_records: int = 100, batch_bytes: int = 512
) -> list[Batch]:
    reader = JournalReader(directory, batch_records, batch_bytes)
    found: list[Batch] = []
    while (batch := reader.read(found[-1].end if found else BEGINNING, end)) is not None:
        found.append(batch)
    reader.close()
    return found


def contents(directory: JournalDirectory, end: Position) -> list[bytes | Corrupt]:
    return [record for batch in batches(directory, end) for record in split_frames(batch.frames)]


@pytest.fixture
def directory(tmp_path: Path) -> JournalDirectory:
    return claim(tmp_path / "clicks-0")


@pytest.fixture
def journal(directory: JournalDirectory) -> Journal:
    return Journal(directory, POLICY)


class Disk:
    """Stands before the real os.write: refuses, or takes only so many bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes: int | None = None
        self.writes = 0
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file: int, data: bytes) -> int:
        self.writes += 1
        if self.takes == 0:
            raise OSError(errno.ENOSPC, "no space left")
        return self._write(file, data[: self.takes])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_records_of_one_commit_share_one_write(journal: Journal, disk: Disk) -> None:
    for record in (b"a", b"b", b"c"):
        journal.append(record)
    assert journal.has_pending
    assert journal.commit()
    assert (disk.writes, journal.has_pending) == (1, False)
    assert contents(journal.directory, journal.end) == [b"a", b"b", b"c"]


def test_a_record_is_on_disk_when_its_commit_returns(journal: Journal) -> None:
    write(journal, b"a")
    assert journal.directory.segment_path(1).read_bytes() == frame(b"a")
    assert journal.end == Position(1, len(frame(b"a")))


def test_a_full_segment_is_followed_by_the_next(journal: Journal) -> None:
    records = [bytes([number]) * 30 for number in range(6)]
    write(journal, *records)
    assert journal.directory.segments() == [1, 2, 3]
    assert contents(journal.directory, journal.end) == records


def test_a_batch_stays_within_its_segment_and_its_size(journal: Journal) -> None:
    write(journal, *[b"x" * 8] * 9)
    assert [batch.count for batch in batches(journal.directory, journal.end, batch_records=3)] == [3, 1, 3, 1, 1]


def test_a_record_larger_than_a_batch_goes_alone(journal: Journal) -> None:
    write(journal, b"a", b"b" * 5000, b"c")
    read = batches(journal.directory, journal.end)
    assert [list(split_frames(batch.frames)) for batch in read] == [[b"a"], [b"b" * 5000], [b"c"]]


def test_a_reader_follows_a_living_journal_up_to_its_end(journal: Journal) -> None:
    write(journal, b"a")
    end = journal.end
    write(journal, b"b")
    assert contents(journal.directory, end) == [b"a"]
    assert contents(journal.directory, journal.end) == [b"a", b"b"]


def test_a_new_owner_goes_on_in_a_new_segment_and_reads_what_the_dead_one_left(
    directory: JournalDirectory,
) -> None:
    write(Journal(directory, POLICY), b"a")
    second = Journal(directory, POLICY)
    write(second, b"b")
    assert directory.segments() == [1, 2]
    assert contents(directory, second.end) == [b"a", b"b"]


def test_restarts_without_records_pile_up_no_segments_and_use_no_number_twice(
    directory: JournalDirectory,
) -> None:
    for start in range(1, 5):
        journal = Journal(directory, POLICY)
        assert directory.segments() == [start]
        journal.close()
    write(Journal(directory, POLICY), b"a")
    Journal(directory, POLICY).close()
    assert directory.segments() == [5, 6]


def test_a_torn_tail_costs_only_itself(directory: JournalDirectory) -> None:
    torn = frame(b"torn")[:-1]
    write(Journal(directory, POLICY), b"a")
    with directory.segment_path(1).open("ab") as file:
        file.write(torn)
    second = Journal(directory, POLICY)
    write(second, b"b")
    assert contents(directory, second.end) == [b"a", Corrupt(torn), b"b"]


def test_a_tail_of_zeros_is_one_corrupt_place(directory: JournalDirectory) -> None:
    write(Journal(directory, POLICY), b"a")
    with directory.segment_path(1).open("ab") as file:
        file.write(b"\0" * 4096)
    assert contents(directory, Position(1, directory.size(1))) == [b"a", Corrupt(b"\0" * 4096)]


def test_a_large_damaged_place_is_passed_over_at_once() -> None:
    damaged = b"\x03\xff\xff\xff" * 250_000
    assert list(split_frames(damaged + frame(b"a"))) == [Corrupt(damaged), b"a"]


def test_damage_goes_alone_and_what_follows_it_in_batches_of_the_usual_size(tmp_path: Path) -> None:
    directory = claim(tmp_path)
    journal = Journal(directory, JournalPolicy(segment_bytes=10_000, memory_bytes=10_000))
    write(journal, *[b"x" * 8] * 9)
    file = directory.segment_path(1)
    file.write_bytes(b"\xff" + file.read_bytes()[1:])
    assert [batch.count for batch in batches(directory, journal.end, batch_records=3)] == [1, 3, 3, 2]


def test_records_wait_in_memory_while_the_disk_refuses(journal: Journal, disk: Disk) -> None:
    disk.takes = 0
    journal.append(b"a")
    assert not journal.commit()
    journal.append(b"b")
    disk.takes = None
    assert journal.commit()
    assert contents(journal.directory, journal.end) == [b"a", b"b"]
    assert journal.take_lost() == 0


def test_a_short_write_leaves_nothing_behind(journal: Journal, disk: Disk) -> None:
    write(journal, b"a")
    disk.takes = 3
    journal.append(b"b")
    assert not journal.commit()
    assert journal.directory.size(1) == journal.end.offset
    disk.takes = None
    assert journal.commit()
    assert contents(journal.directory, journal.end) == [b"a", b"b"]


def test_a_disk_too_full_for_a_new_segment_leaves_the_open_one_writable(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, b"a" * 60)
    with monkeypatch.context() as full:
        full.setattr(os, "open", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space left")))
        journal.append(b"b")
        assert not journal.commit()
    assert journal.commit()
    assert contents(journal.directory, journal.end) == [b"a" * 60, b"b"]


def test_memory_is_bounded_and_what_finds_no_room_is_counted_once(journal: Journal, disk: Disk) -> None:
    disk.takes = 0
    for number in range(20):
        journal.append(bytes([number]) * 12)
    assert not journal.commit()
    assert journal.take_lost() == 14
    assert journal.take_lost() == 0
    disk.takes = None
    assert journal.commit()
    assert contents(journal.directory, journal.end) == [bytes([number]) * 12 for number in range(6)]


def test_discarded_records_are_not_written_later(journal: Journal) -> None:
    journal.append(b"a")
    journal.discard_pending()
    write(journal, b"b")
    assert contents(journal.directory, journal.end) == [b"b"]


def test_a_journal_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = claim(tmp_path / "clicks-0")
    assert JournalDirectory.claim(tmp_path / "clicks-0") is None
    first.release()
    assert claim(tmp_path / "clicks-0").journal_id == first.journal_id


def test_the_lock_goes_with_its_process_however_that_ends(tmp_path: Path) -> None:
    holder = """
import sys
from pathlib import Path
from attribution.journal import JournalDirectory
assert JournalDirectory.claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert JournalDirectory.claim(tmp_path) is None
        process.kill()
        process.wait()
        claim(tmp_path)


def test_a_process_takes_the_first_journal_that_is_free(tmp_path: Path) -> None:
    held = [claim_first_free(tmp_path, "clicks") for _ in range(3)]
    assert [directory.path.name for directory in held] == ["clicks-0", "clicks-1", "clicks-2"]
    held[1].release()
    assert claim_first_free(tmp_path, "clicks").path.name == "clicks-1"


@pytest.mark.parametrize("damaged", [b"", b"\xff" * 36, b"no id"])
def test_a_damaged_id_is_made_anew(damaged: bytes, tmp_path: Path) -> None:
    first = claim(tmp_path)
    first.release()
    (tmp_path / "id").write_bytes(damaged)
    second = claim(tmp_path)
    second.release()
    assert first.journal_id != second.journal_id == claim(tmp_path).journal_id
