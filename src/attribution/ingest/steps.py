"""From stream entries to clicks: each record on its own, so that a bad one takes no other with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_rows import copy_row
from attribution.adapters.click_stream import Entry
from attribution.adapters.click_table import Committed, CopyFiles, DeadLetter, Source
from attribution.domain.clicks import MalformedClickError, record_time_us, renewed
from attribution.domain.instants import to_us
from attribution.journal import FRAME_HEAD, Corrupt, Position, records_by_heads, split_frames

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
    clicks: ClickBatch = field(default_factory=ClickBatch)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    files: CopyFiles | None = None
    """Of the clicks."""


def decode_entry(decoded: Decoded, entry: Entry) -> None:
    if entry.journal_id is None:
        decoded.dead_letters.append(
            DeadLetter(DeadLetterReason.FOREIGN_ENTRY, "not an entry of a shipper", entry.frames, None, None)
        )
    else:
        _decode_clicks(decoded, entry.journal_id, entry)
        stop = entry.start.offset + len(entry.frames)
        decoded.committed.append(Committed(entry.journal_id, entry.start.segment, entry.start.offset, stop))


def _decode_clicks(decoded: Decoded, journal_id: UUID, entry: Entry) -> None:
    clicks, letters = len(decoded.clicks), len(decoded.dead_letters)
    decode_frames(decoded, journal_id, entry.start, entry.frames)
    records = decoded.clicks.records[clicks:]
    decoded.sources.append(Source(journal_id, entry.start.segment, records, entry.quarters))
    if letters < len(decoded.dead_letters):
        near = record_time_us(records[0]) if records else None
        decoded.dead_letters[letters:] = [_dated(letter, near) for letter in decoded.dead_letters[letters:]]


def _dated(letter: DeadLetter, near_us: int | None) -> DeadLetter:
    """Damaged bytes are of about the time of the clicks that came with them; alone, they may tell it themselves."""
    record = letter.data[FRAME_HEAD.size :] if letter.reason == DeadLetterReason.CORRUPT_FRAME else letter.data
    own_us = record_time_us(record)
    return replace(letter, clicked_at_us=near_us or (own_us if _EARLIEST_US <= own_us < _LATEST_US else None))


def _clicks_in(damaged: bytes) -> int:
    """As many as the heads of its frames say, if they lead to its end."""
    records = list(records_by_heads(damaged))
    whole = sum(FRAME_HEAD.size + len(record) for record in records) == len(damaged)
    return len(records) if whole else 1


def rejected(record: bytes, detail: str, sources: Sequence[Source]) -> DeadLetter:
    source = next((source for source in sources if record in source.records), None)
    return DeadLetter(
        DeadLetterReason.REJECTED_BY_DATABASE,
        detail,
        record,
        source.journal_id if source else None,
        source.segment if source else None,
        clicked_at_us=record_time_us(record),
    )


def decode_frames(decoded: Decoded, journal_id: UUID, start: Position, frames: bytes) -> None:
    pieces = list(split_frames(frames))
    records = [piece for piece in pieces if not isinstance(piece, Corrupt)]
    try:
        # Nearly always all are sound.
        decoded.clicks.extend(records)
        sound = len(records) == len(pieces)
    except MalformedClickError:
        decoded.clicks.extend([record for record in records if _refusal(record) is None])
        sound = False
    if not sound:
        decoded.dead_letters += _letters(pieces, journal_id, start)


def _letters(pieces: Sequence[bytes | Corrupt], journal_id: UUID, start: Position) -> Iterator[DeadLetter]:
    segment, position = start
    for piece in pieces:
        if isinstance(piece, Corrupt):
            yield DeadLetter(
                DeadLetterReason.CORRUPT_FRAME,
                "no frame with a right checksum",
                piece.data,
                journal_id,
                segment,
                position,
                clicks=_clicks_in(piece.data),
            )
            position += len(piece.data)
            continue
        if (refusal := _refusal(piece)) is not None:
            yield DeadLetter(DeadLetterReason.MALFORMED_CLICK, refusal, piece, journal_id, segment, position)
        position += FRAME_HEAD.size + len(piece)


def _refusal(record: bytes) -> str | None:
    """Why it is no row."""
    try:
        copy_row(renewed(record))
    except MalformedClickError as error:
        return str(error)
    return None


def redecode(data: bytes) -> ClickBatch:
    """The clicks in the bytes of a dead letter: a record, or frames; none if it still is neither."""
    try:
        return ClickBatch.of([data])
    except MalformedClickError:
        decoded = Decoded()
        decode_frames(decoded, UUID(int=0), Position(0, 0), data)
        return ClickBatch() if decoded.dead_letters else decoded.clicks
