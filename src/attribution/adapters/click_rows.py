"""Click records as rows of PostgreSQL's binary COPY, from bytes to bytes, without an object for each click.

A row is its number of fields (2 bytes), then for each its length (4, -1 for NULL) and its bytes:
https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from struct import Struct, error
from typing import Self

from attribution.domain.clicks import (
    CLASSES,
    DEVICES,
    HEAD_SIZE,
    LINK_AND_AUDIENCE,
    RECORD_VERSION,
    SUB_COUNT,
    Channel,
    MalformedClickError,
    country_in,
    record_time_us,
    renewed,
    unpack_click,
)
from attribution.domain.instants import to_us
from attribution.domain.quarters import QUARTER_US, quarter_of

COLUMNS = (
    "program_id", "clicked_at", "click_id", "link_id", "influencer_id", "campaign_id", "post_id", "channel",
    "is_bot", "agent_class", "device", "country", "visitor_id", "ip", "referrer_host",
    "sub1", "sub2", "sub3", "sub4", "sub5",
)  # fmt: skip
DELTA_COLUMNS = (
    "program_id", "at", "link_id", "influencer_id", "campaign_id", "post_id", "channel", "device", "country",
    "clicks", "bot_clicks",
)  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_ID_LENGTH = b"\0\0\0\x08"
_NO_ID, _BEYOND_IDS = bytes(8), b"\x80"
"""An id is a positive bigint."""
_ORIGINS_HELD = 20_000
"""More than two batches have."""
_ROW_BEGIN, _DELTA_BEGIN = (len(columns).to_bytes(2, "big") + _ID_LENGTH for columns in (COLUMNS, DELTA_COLUMNS))

# A time on the wire counts from 2000. A click out of this century is a broken clock's, and a partition for each
# month that it names would be a way to fill the database, and stop it.
_FIRST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
_LAST_US = to_us(datetime(2100, 1, 1, tzinfo=UTC)) - 1

_TIME_AND_UNIQUE = Struct(">BQ8s")
_ORIGIN = Struct(">8s8s8s8s8sB4s")
_TIME_AND_ID = Struct(">iqiQ8s")
_ID_FIELD = Struct(">iq")
_COUNTS = Struct(">iiii")
_pack_length = Struct(">i").pack


class _Lengths(dict[int, bytes]):
    """Of a text, as a field has it: an empty one is NULL."""

    def __missing__(self, length: int) -> bytes:
        return _pack_length(length)


_LENGTHS = _Lengths({0: _NULL} | {length: _pack_length(length) for length in range(1, 256)})


def _text(text: bytes) -> bytes:
    return _LENGTHS[len(text)] + text


@dataclass(frozen=True, slots=True)
class _Audience:
    """Who clicked, as class, device and country of a record say it."""

    is_bot: bool
    fields: bytes
    """`is_bot` to `country`."""
    delta_fields: bytes
    """`device` and `country`."""


class _Audiences(dict[bytes, _Audience]):
    """By those bytes of a record, of which there are few. Raises IndexError, `MalformedClickError`."""

    def __missing__(self, said: bytes) -> _Audience:
        agent_class, device, country = CLASSES[said[0]], DEVICES[said[1]], country_in(said[2:])
        class_fields = _pack_length(1) + bytes([agent_class.is_bot]) + _text(agent_class.value.encode())
        where = _text(device.value.encode() if device else b"") + _text((country or "").encode())
        self[said] = _Audience(agent_class.is_bot, class_fields + where, where)
        return self[said]


_AUDIENCES = _Audiences()
_CHANNEL_FIELDS = (_NULL, *(_text(channel.value.encode()) for channel in Channel))
_NO_SUBS, _NO_SUB_FIELDS = b"\0" * (SUB_COUNT - 1), _NULL * SUB_COUNT


@dataclass(frozen=True, slots=True)
class _Origin:
    """What link and audience give to each row of theirs."""

    program: bytes
    link_fields: bytes
    """`link_id` to `channel`."""
    audience: _Audience


class _Origins(dict[bytes, _Origin]):
    """By those bytes of a record: those met lately. Raises IndexError, struct.error, `MalformedClickError`."""

    def __missing__(self, said: bytes) -> _Origin:
        program, link, influencer, campaign, post, channel, audience = _ORIGIN.unpack(said)
        if max(program, link, influencer, campaign, post) >= _BEYOND_IDS or _NO_ID in (program, link):
            raise MalformedClickError("an id that no table has")
        link_fields = b"".join((
            _ID_LENGTH,
            link,
            _NULL if influencer == _NO_ID else _ID_LENGTH + influencer,
            _NULL if campaign == _NO_ID else _ID_LENGTH + campaign,
            _NULL if post == _NO_ID else _ID_LENGTH + post,
            _CHANNEL_FIELDS[channel],
        ))  # fmt: skip
        if len(self) >= _ORIGINS_HELD:
            self.clear()
        origin = self[said] = _Origin(program, link_fields, _AUDIENCES[audience])
        return origin


_ORIGINS = _Origins()


def _sub_fields(subs: bytes) -> bytes:
    first, second, third, fourth, fifth = subs.split(b"\0")
    return _text(first) + _text(second) + _text(third) + _text(fourth) + _text(fifth)


def copy_row(record: bytes) -> bytes:
    """The row of a record. Rows sort by `clicks`' primary key. Raises `MalformedClickError` with the reason."""
    try:
        origin = _ORIGINS[record[LINK_AND_AUDIENCE]]
        version, clicked_at_us, unique = _TIME_AND_UNIQUE.unpack_from(record)
        texts = record[HEAD_SIZE:]
        visitor, ip, referrer, subs = texts.split(b"\0", 3)
        # Bytes that are no UTF-8 would end the whole COPY.
        if not texts.isascii():
            texts.decode()
        if version != RECORD_VERSION or not _FIRST_US <= clicked_at_us <= _LAST_US:
            raise MalformedClickError("a time out of this century")
        return b"".join((
            _ROW_BEGIN,
            origin.program,
            _TIME_AND_ID.pack(8, clicked_at_us - _FIRST_US, 16, clicked_at_us, unique),
            origin.link_fields,
            origin.audience.fields,
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


def delta_rows(records: Sequence[bytes]) -> Iterator[bytes]:
    """What clicks, each of them new, add to the rollups: counted by link, audience and quarter of an hour.

    No time zone has finer offsets, so every local hour, day and month is made of such quarters.
    """
    for quarter, of_quarter in _by_quarter(records).items():
        at = _ID_FIELD.pack(8, quarter * QUARTER_US - _FIRST_US)
        for what, count in Counter([record[LINK_AND_AUDIENCE] for record in of_quarter]).items():
            yield _delta_row(at, what, count)


def _by_quarter(records: Sequence[bytes]) -> Mapping[int, Sequence[bytes]]:
    if not records:
        return {}
    # Records sort by their times; nearly always all are of one quarter.
    quarter = quarter_of(record_time_us(min(records)))
    if quarter_of(record_time_us(max(records))) == quarter:
        return {quarter: records}
    by_quarter = defaultdict(list)
    for record in records:
        by_quarter[quarter_of(record_time_us(record))].append(record)
    return by_quarter


def _delta_row(at: bytes, what: bytes, count: int) -> bytes:
    origin = _ORIGINS[what]
    counts = (0, count) if origin.audience.is_bot else (count, 0)
    return b"".join((
        _DELTA_BEGIN,
        origin.program,
        at,
        origin.link_fields,
        origin.audience.delta_fields,
        _COUNTS.pack(4, counts[0], 4, counts[1]),
    ))  # fmt: skip


@dataclass(slots=True)
class ClickBatch:
    """Clicks in columns: `records[n]` is what travelled, of today's version, `rows[n]` what COPY takes."""

    records: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Self:
        """Raises `MalformedClickError`."""
        batch = cls()
        batch.extend(list(records))
        return batch

    def extend(self, records: Sequence[bytes]) -> None:
        """By all of them, or raises `MalformedClickError` and stays as it was."""
        try:
            rows = [copy_row(record) for record in records]
        except MalformedClickError:
            records = [renewed(record) for record in records]
            rows = [copy_row(record) for record in records]
        self.rows += rows
        self.records += records

    def __len__(self) -> int:
        return len(self.records)

    def first_and_last(self) -> tuple[bytes, bytes]:
        """By time: a record begins with its version, which all share, and its click id."""
        return min(self.records), max(self.records)

    def halves(self) -> tuple["ClickBatch", "ClickBatch"]:
        middle = len(self) // 2
        return (
            ClickBatch(self.records[:middle], self.rows[:middle]),
            ClickBatch(self.records[middle:], self.rows[middle:]),
        )

    def __add__(self, other: "ClickBatch") -> "ClickBatch":
        return ClickBatch(self.records + other.records, self.rows + other.rows)


def copy_file(rows: Iterable[bytes]) -> bytes:
    return b"".join((_HEADER, *rows, _TRAILER))
