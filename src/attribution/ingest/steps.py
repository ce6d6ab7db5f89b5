"""From stream entries to clicks: each record on its own, so that a bad one takes no other with it."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from attribution.adapters.click_rows import ClickBatch
from attribution.adapters.click_stream import Entry
from attribution.adapters.click_table import Committed, DeadLetter
from attribution.domain.clicks import MalformedClickError
from attribution.journal import Corrupt, split_frames


class DeadLetterReason(StrEnum):
    """Why a record is no row; also the label of `CLICKS_DEAD_LETTERED`."""

    FOREIGN_ENTRY = "foreign_entry"
    CORRUPT_FRAME = "corrupt_frame"
    MALFORMED_CLICK = "malformed_click"
    REJECTED_BY_DATABASE = "rejected_by_database"


@dataclass(slots=True)
class Decoded:
    clicks: ClickBatch = field(default_factory=ClickBatch)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)


def decode_entry(decoded: Decoded, entry: Entry) -> None:
    if entry.journal_id is None:
        decoded.dead_letters.append(
            DeadLetter(DeadLetterReason.FOREIGN_ENTRY, "not an entry of a shipper", entry.frames, None, None)
        )
    else:
        decode_frames(decoded, entry.journal_id, entry.start.segment, entry.frames)
        stop = entry.start.offset + len(entry.frames)
        decoded.committed.append(Committed(entry.journal_id, entry.start.segment, entry.start.offset, stop))


def decode_frames(decoded: Decoded, journal_id: UUID, segment: int, frames: bytes) -> None:
    for record in split_frames(frames):
        if isinstance(record, Corrupt):
            decoded.dead_letters.append(
                DeadLetter(
                    DeadLetterReason.CORRUPT_FRAME,
                    "no frame with a right checksum",
                    record.data,
                    journal_id,
                    segment,
                )
            )
            continue
        try:
            decoded.clicks.add(record)
        except MalformedClickError as error:
            decoded.dead_letters.append(
                DeadLetter(DeadLetterReason.MALFORMED_CLICK, str(error), record, journal_id, segment)
            )


def redecode(data: bytes) -> ClickBatch:
    """The clicks in the bytes of a dead letter: a record, or frames; none if it still is neither."""
    try:
        return ClickBatch.of([data])
    except MalformedClickError:
        decoded = Decoded()
        decode_frames(decoded, UUID(int=0), 0, data)
        return ClickBatch() if decoded.dead_letters else decoded.clicks
