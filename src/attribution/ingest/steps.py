"""From stream entries to clicks: each record on its own, so that a bad one takes no other with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from attribution.adapters.click_stream import Entry
from attribution.adapters.click_table import Committed, DeadLetter
from attribution.domain.clicks import Click, MalformedClickError, unpack_click
from attribution.domain.instants import to_us
from attribution.journal import Corrupt, split_frames

_EARLIEST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
_LATEST_US = to_us(datetime(2100, 1, 1, tzinfo=UTC))


class DeadLetterReason(StrEnum):
    """Why a record is no row; also the label of `CLICKS_DEAD_LETTERED`."""

    FOREIGN_ENTRY = "foreign_entry"
    CORRUPT_FRAME = "corrupt_frame"
    MALFORMED_CLICK = "malformed_click"
    REJECTED_BY_DATABASE = "rejected_by_database"


@dataclass(slots=True)
class Decoded:
    clicks: list[Click] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)


def decode(entries: Sequence[Entry]) -> Decoded:
    decoded = Decoded()
    for entry in entries:
        if entry.journal_id is None:
            decoded.dead_letters.append(
                DeadLetter(DeadLetterReason.FOREIGN_ENTRY, "not an entry of a shipper", entry.frames, None, None)
            )
        else:
            decode_frames(decoded, entry.journal_id, entry.start.segment, entry.frames)
            stop = entry.start.offset + len(entry.frames)
            decoded.committed.append(Committed(entry.journal_id, entry.start.segment, entry.start.offset, stop))
    return decoded


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
            decoded.clicks.append(_storable(unpack_click(record)))
        except MalformedClickError as error:
            decoded.dead_letters.append(
                DeadLetter(DeadLetterReason.MALFORMED_CLICK, str(error), record, journal_id, segment)
            )


def _storable(click: Click) -> Click:
    """A partition for each month that a broken clock names would be a way to fill the database, and stop it."""
    if not _EARLIEST_US <= click.clicked_at_us < _LATEST_US:
        raise MalformedClickError("a time out of this century")
    return click


def redecode(data: bytes) -> list[Click]:
    """The clicks in the bytes of a dead letter: a record, or frames; none if it still is neither."""
    try:
        return [_storable(unpack_click(data))]
    except MalformedClickError:
        decoded = Decoded()
        decode_frames(decoded, UUID(int=0), 0, data)
        return [] if decoded.dead_letters else decoded.clicks
