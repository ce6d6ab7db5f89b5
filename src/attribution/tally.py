"""What a process counted of the clicks it took, by quarter hour of the click, in a file that survives `kill -9`.

A slot is `quarter | accepted | journalled | lost` (8 bytes each), written in place with each group of clicks. The
space is set aside at the start, so that what a full disk costs can still be counted.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from uuid import UUID, uuid4

_SLOT = Struct("<4Q")
_SLOTS = 2048
"""Three weeks of quarter hours; then a new file begins."""
SUFFIX = ".tally"


class Counts(NamedTuple):
    """`accepted` clicks were answered; they are journalled, lost, or still in the memory of their process."""

    accepted: int = 0
    journalled: int = 0
    lost: int = 0


class Tally:
    """The writing end. A disk that refuses the file costs only the ledger's knowledge of this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: int | None = None
        self._begin()

    def _begin(self) -> None:
        self.close()
        self.path = self._directory / f"{uuid4()}{SUFFIX}"
        self._file = _set_aside(self.path)
        self._slots: dict[int, tuple[int, list[int]]] = {}

    def add(self, quarter: int, accepted: int = 0, journalled: int = 0, lost: int = 0) -> None:
        slot, counts = self._slots.get(quarter) or self._new_slot(quarter)
        counts[0] += accepted
        counts[1] += journalled
        counts[2] += lost
        if self._file is not None:
            _write(self._file, slot, quarter, counts)

    def _new_slot(self, quarter: int) -> tuple[int, list[int]]:
        if self._file is None or len(self._slots) >= _SLOTS:
            self._begin()
        self._slots[quarter] = entry = (len(self._slots), [0, 0, 0])
        return entry

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write(file: int, slot: int, quarter: int, counts: list[int]) -> None:
    try:
        os.pwrite(file, _SLOT.pack(quarter, *counts), slot * _SLOT.size)
    except OSError:
        # A file system that copies on write may refuse even what was set aside. The next write says all of it.
        return


def _set_aside(path: Path) -> int | None:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        os.posix_fallocate(file, 0, _SLOTS * _SLOT.size)
    except OSError:
        os.close(file)
        path.unlink()
        return None
    return file


def tallies_in(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{SUFFIX}"))


def tally_id(path: Path) -> UUID:
    return UUID(path.stem)


def read_tally(path: Path) -> Mapping[int, Counts]:
    data = path.read_bytes()
    whole = data[: len(data) - len(data) % _SLOT.size]
    return {quarter: Counts(*counts) for quarter, *counts in _SLOT.iter_unpack(whole) if any(counts)}
