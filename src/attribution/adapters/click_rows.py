"""Click records as rows of PostgreSQL's binary COPY, from bytes to bytes, without an object for each click.

A row is its number of fields (2 bytes), then for each its length (4, -1 for NULL) and its bytes:
https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct, error
from typing import Self

from attribution.domain.clicks import (
    HEAD_SIZE,
    RECORD_VERSION,
    SUB_COUNT,
    AgentClass,
    LinkPart,
    MalformedClickError,
    unpack_click,
    unpack_link,
)
from attribution.domain.instants import to_us

COLUMNS = (
    "program_id", "clicked_at", "click_id", "link_id", "influencer_id", "campaign_id", "post_id", "channel",
    "is_bot", "agent_class", "visitor_id", "ip", "referrer_host", "sub1", "sub2", "sub3", "sub4", "sub5",
)  # fmt: skip
DELTA_COLUMNS = (
    "program_id", "at", "link_id", "influencer_id", "campaign_id", "post_id", "channel", "clicks", "bot_clicks",
)  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_FIELDS, _DELTA_FIELDS = (len(columns).to_bytes(2, "big") for columns in (COLUMNS, DELTA_COLUMNS))
_LINKS_KEPT = 2**17

# A time on the wire counts from 2000. A click out of this century is a broken clock's, and a partition for each
# month that it names would be a way to fill the database, and stop it.
_FIRST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
_LAST_US = to_us(datetime(2100, 1, 1, tzinfo=UTC)) - 1

_HEAD = Struct(">BQ8s41sB")
_TIME_AND_ID = Struct(">iqiQ8s")
_ID_FIELD = Struct(">iq")
_COUNTS = Struct(">iiii")
_TIME, _LINK, _CLASS = slice(1, 9), slice(17, 58), 58
_QUARTER_US = 15 * 60 * 1_000_000
_pack_length = Struct(">i").pack


class _Lengths(dict[int, bytes]):
    """Of a text, as a field has it: an empty one is NULL."""

    def __missing__(self, length: int) -> bytes:
        return _pack_length(length)


_LENGTHS = _Lengths({0: _NULL} | {length: _pack_length(length) for length in range(1, 256)})


def _text(text: bytes) -> bytes:
    return _LENGTHS[len(text)] + text


def _class_fields(agent_class: AgentClass) -> bytes:
    return _pack_length(1) + bytes([agent_class.is_bot]) + _text(agent_class.value.encode())


_CLASS_FIELDS = tuple(_class_fields(agent_class) for agent_class in AgentClass)
_IS_BOT = tuple(agent_class.is_bot for agent_class in AgentClass)
_NO_SUBS, _NO_SUB_FIELDS = b"\0" * (SUB_COUNT - 1), _NULL * SUB_COUNT


@lru_cache(_LINKS_KEPT)
def _link_fields(link_part: bytes) -> tuple[bytes, bytes]:
    """`program_id`, and `link_id` to `channel`."""
    link: LinkPart = unpack_link(link_part)
    ids = (link.link_id, link.influencer_id, link.campaign_id, link.post_id)
    fields = b"".join(_ID_FIELD.pack(8, number) if number else _NULL for number in ids)
    channel = link.channel.value if link.channel else ""
    return _ID_FIELD.pack(8, link.program_id), fields + _text(channel.encode())


def _sub_fields(subs: bytes) -> bytes:
    first, second, third, fourth, fifth = subs.split(b"\0")
    return _text(first) + _text(second) + _text(third) + _text(fourth) + _text(fifth)


def copy_row(record: bytes) -> bytes:
    """The row of a record. Rows sort by `clicks`' primary key. Raises `MalformedClickError` with the reason."""
    try:
        version, clicked_at_us, unique, link_part, class_byte = _HEAD.unpack_from(record)
        texts = record[HEAD_SIZE:]
        visitor, ip, referrer, subs = texts.split(b"\0", 3)
        # Bytes that are no UTF-8 would end the whole COPY.
        if not texts.isascii():
            texts.decode()
        if version != RECORD_VERSION or not _FIRST_US <= clicked_at_us <= _LAST_US:
            raise MalformedClickError("a time out of this century")
        program, link_fields = _link_fields(link_part)
        return b"".join((
            _FIELDS,
            program,
            _TIME_AND_ID.pack(8, clicked_at_us - _FIRST_US, 16, clicked_at_us, unique),
            link_fields,
            _CLASS_FIELDS[class_byte],
            _LENGTHS[len(visitor)],
            visitor,
            _LENGTHS[len(ip)],
            ip,
            _LENGTHS[len(referrer)],
            referrer,
            _NO_SUB_FIELDS if subs == _NO_SUBS else _sub_fields(subs),
        ))  # fmt: skip
    except (error, IndexError, ValueError) as cause:
        unpack_click(record)  # knows what is wrong
        raise MalformedClickError(str(cause)) from cause


def delta_rows(records: Iterable[bytes]) -> list[bytes]:
    """What clicks, each of them new, add to the rollups: counted by link and quarter of an hour.

    No time zone has finer offsets, so every local hour, day and month is made of such quarters.
    """
    counts: dict[tuple[bytes, int], list[int]] = {}
    for record in records:
        key = (record[_LINK], int.from_bytes(record[_TIME], "big") // _QUARTER_US)
        counts.setdefault(key, [0, 0])[_IS_BOT[record[_CLASS]]] += 1
    return [_delta_row(link_part, quarter, *counted) for (link_part, quarter), counted in counts.items()]


def _delta_row(link_part: bytes, quarter: int, clicks: int, bot_clicks: int) -> bytes:
    program, link_fields = _link_fields(link_part)
    at = _ID_FIELD.pack(8, quarter * _QUARTER_US - _FIRST_US)
    return b"".join((_DELTA_FIELDS, program, at, link_fields, _COUNTS.pack(4, clicks, 4, bot_clicks)))


@dataclass(slots=True)
class ClickBatch:
    """Clicks in columns: `records[n]` is what travelled, `rows[n]` what COPY takes."""

    records: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Self:
        """Raises `MalformedClickError`."""
        batch = cls()
        for record in records:
            batch.add(record)
        return batch

    def add(self, record: bytes) -> None:
        """Raises `MalformedClickError`."""
        self.rows.append(copy_row(record))
        self.records.append(record)

    def __len__(self) -> int:
        return len(self.records)

    def halves(self) -> tuple["ClickBatch", "ClickBatch"]:
        middle = len(self) // 2
        return (
            ClickBatch(self.records[:middle], self.rows[:middle]),
            ClickBatch(self.records[middle:], self.rows[middle:]),
        )

    def __add__(self, other: "ClickBatch") -> "ClickBatch":
        return ClickBatch(self.records + other.records, self.rows + other.rows)


def copy_file(rows: Sequence[bytes]) -> bytes:
    return b"".join((_HEADER, *rows, _TRAILER))
