"""What a crash or a bad disk does to the last bytes of a journal that nobody holds."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from attribution.domain.clicks import unpack_click
from attribution.journal import FRAME_HEAD, frame, split_frames


@dataclass
class Harm:
    """Bytes that became no click by force; `flipped`: click ids that were whole and answered before."""

    pieces: list[bytes] = field(default_factory=list)
    flipped: set[bytes] = field(default_factory=set)

    def explains(self, dead_letter: bytes) -> bool:
        return any(piece in dead_letter or dead_letter in piece for piece in self.pieces)


def tails(journals: Path) -> list[Path]:
    """The last segment of each journal of clicks that has bytes in it."""
    last = [max(journal.glob("*.journal"), default=None) for journal in sorted(journals.glob("clicks-*"))]
    return [segment for segment in last if segment is not None and segment.stat().st_size]


def tear(segment: Path, harm: Harm, rng: random.Random) -> None:
    """A write that the crash cut short, with a bit of it wrong: bytes beyond all that was answered."""
    whole = bytearray(frame(rng.randbytes(120)))
    whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    torn = bytes(whole[: rng.randrange(1, len(whole))])
    with segment.open("ab") as file:
        file.write(torn)
    harm.pieces.append(torn)


def flip(segment: Path, harm: Harm, rng: random.Random) -> None:
    """One bit of the last whole record: loss by force, if its click has not left the journal yet."""
    data = segment.read_bytes()
    record = [record for record in split_frames(data) if isinstance(record, bytes)][-1]
    begin = data.rindex(frame(record))
    at = begin + rng.randrange(FRAME_HEAD.size + len(record))
    wrong = bytearray(data)
    wrong[at] ^= 1 << rng.randrange(8)
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(wrong[at : at + 1])
    harm.pieces.append(bytes(wrong[begin : begin + FRAME_HEAD.size + len(record)]))
    harm.flipped.add(unpack_click(record).click_id)
