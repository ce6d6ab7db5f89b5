"""Group commit: clicks are in the journal before their answers leave, and a refusing disk never fails a redirect."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from tests.support.waiting import eventually

from attribution import metrics
from attribution.journal import Journal, JournalDirectory, JournalPolicy, split_frames
from attribution.redirect.recorder import ClickRecorder
from attribution.settings import JournalSync


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    directory = JournalDirectory.claim(tmp_path)
    assert directory is not None
    return Journal(directory, JournalPolicy(segment_bytes=10_000, memory_bytes=1000))


def on_disk(journal: Journal) -> list[object]:
    return list(split_frames(journal.directory.segment_path(1).read_bytes()))


def lost() -> float:
    return float(metrics.CLICKS_LOST.labels("journal_full")._value.get())


def journalled() -> float:
    return float(metrics.CLICKS_JOURNALLED._value.get())


class Refusing:
    """os.write as a full disk does it, until it is freed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left")
        return self._write(file, data)


async def test_clicks_of_one_turn_are_one_group_on_disk_before_anyone_is_told(journal: Journal) -> None:
    groups: list[None] = []
    recorder = ClickRecorder(journal, JournalSync.NONE)
    recorder.before_commit(lambda: groups.append(None))
    await asyncio.gather(*(recorder.record(record) for record in (b"a", b"b", b"c")))
    assert on_disk(journal) == [b"a", b"b", b"c"]
    assert len(groups) == 1


async def test_under_group_sync_nobody_is_told_before_the_fsync_and_none_is_forgotten(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fdatasync = os.fdatasync

    def sync(file: int) -> None:
        fdatasync(file)
        synced.append(len(on_disk(journal)))

    monkeypatch.setattr(os, "fdatasync", sync)
    recorder = ClickRecorder(journal, JournalSync.GROUP)

    async def tap(number: int) -> None:
        await recorder.record(b"%d" % number)
        assert max(synced) > number

    for number in range(20):
        await tap(number)
    await asyncio.gather(*(recorder.record(b"x") for _ in range(20)))
    assert len(on_disk(journal)) == 40


async def test_a_full_disk_fails_no_click_and_holds_them_until_it_is_freed(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Refusing(monkeypatch)
    recorder = ClickRecorder(journal, JournalSync.NONE)
    await recorder.record(b"a")
    assert not recorder.writable
    disk.full = False
    await eventually(lambda: on_disk(journal) == [b"a"])
    assert recorder.writable


async def test_clicks_beyond_the_memory_count_as_lost_and_not_as_journalled(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_before, journalled_before = lost(), journalled()
    disk = Refusing(monkeypatch)
    recorder = ClickRecorder(journal, JournalSync.NONE)
    await recorder.record(b"x" * 1000)
    await recorder.record(b"lost 1")
    recorder.record(b"lost 2")
    disk.full = False
    await eventually(lambda: on_disk(journal) == [b"x" * 1000])
    assert lost() - lost_before == 2
    assert journalled() - journalled_before == 1


async def test_one_who_leaves_takes_no_other_with_him(journal: Journal) -> None:
    recorder = ClickRecorder(journal, JournalSync.NONE)
    first, second = (recorder.record(record) for record in (b"a", b"b"))
    first.cancel()
    await second
    assert on_disk(journal) == [b"a", b"b"]


async def test_a_connection_gets_its_answer_after_the_write(journal: Journal) -> None:
    answers: list[tuple[bytes, int]] = []

    class Connection:
        def answer(self, response: bytes) -> None:
            answers.append((response, len(on_disk(journal))))

    recorder = ClickRecorder(journal, JournalSync.NONE)
    recorder.record_for(b"a", Connection(), b"302 a")
    recorder.record_for(b"b", Connection(), b"302 b")
    await eventually(lambda: answers == [(b"302 a", 2), (b"302 b", 2)])
