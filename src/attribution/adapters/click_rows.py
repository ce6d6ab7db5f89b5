"""Click records as rows of PostgreSQL's binary COPY, from bytes to bytes, without an object for each click.

A row is its number of fields (2 bytes), then for each its length (4, -1 for NULL) and its bytes:
https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from attribution.domain.clicks import (
    CLASSES,
    DEVICES,
    HEAD_SIZE,
    RECORD_VERSION,
    SUB_COUNT,
    Channel,
    MalformedClickError,
    country_in,
    record_time_us,
    unpack_click,
)
from attribution.domain.instants import to_us
from attribution.domain.quarters import QUARTER_US, quarter_of

COLUMNS: Final = (
    "program_id", "clicked_at", "click_id", "link_id", "influencer_id", "campaign_id", "post_id", "channel",
    "is_bot", "agent_class", "device", "country", "visitor_id", "ip", "referrer_host",
    "sub1", "sub2", "sub3", "sub4", "sub5",
)  # fmt: skip
DELTA_COLUMNS: Final = (
    "program_id", "at", "link_id", "influencer_id", "campaign_id", "post_id", "channel", "device", "country",
    "clicks", "bot_clicks",
)  # fmt: skip
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_ID_LENGTH: Final = b"\0\0\0\x08"
_CLICK_ID_LENGTH: Final = b"\0\0\0\x10"
_COUNT_LENGTH: Final = b"\0\0\0\x04"
_NO_COUNT: Final = bytes(4)
_NO_ID: Final = bytes(8)
_BEYOND_IDS: Final = 0x80
"""An id is a positive bigint: its first byte is less."""
_ROW_BEGIN: Final = len(COLUMNS).to_bytes(2, "big") + _ID_LENGTH
_DELTA_BEGIN: Final = len(DELTA_COLUMNS).to_bytes(2, "big") + _ID_LENGTH

# A time on the wire counts from 2000. A click out of this century is a broken clock's, and a partition for each
# month that it names would be a way to fill the database, and stop it.
_FIRST_US: Final = to_us(datetime(2000, 1, 1, tzinfo=UTC))
_LAST_US: Final = to_us(datetime(2100, 1, 1, tzinfo=UTC)) - 1

_SHORT: Final = 256
_LENGTHS: Final = [_NULL, *(length.to_bytes(4, "big") for length in range(1, _SHORT))]
"""Of a text, as a field has it: an empty one is NULL."""


def _text(text: bytes) -> bytes:
    length = len(text)
    return (_LENGTHS[length] if length < _SHORT else length.to_bytes(4, "big")) + text


_CHANNEL_FIELDS: Final = [_NULL, *(_text(channel.value.encode()) for channel in Channel)]
_NO_SUBS: Final = b"\0" * (SUB_COUNT - 1)
_NO_SUB_FIELDS: Final = _NULL * SUB_COUNT


class _Audience:
    """Who clicked, as class, device and country of a record say it."""

    __slots__ = ("delta_fields", "fields", "is_bot")

    def __init__(self, said: bytes) -> None:
        """Raises IndexError, `MalformedClickError`."""
        agent_class, device, country = CLASSES[said[0]], DEVICES[said[1]], country_in(said[2:])
        self.is_bot = agent_class.is_bot
        self.delta_fields = _text(device.value.encode() if device else b"") + _text((country or "").encode())
        """`device` and `country`."""
        is_bot = b"\0\0\0\x01" + bytes([self.is_bot])
        self.fields = is_bot + _text(agent_class.value.encode()) + self.delta_fields
        """`is_bot` to `country`."""


_AUDIENCES: Final[dict[bytes, _Audience]] = {}
"""By those bytes of a record, of which there are few."""
_LINKS_HELD = 20_000
"""More than two batches have."""
_LINK_FIELDS: Final[dict[bytes, bytes]] = {}
"""`link_id` to `channel`, by those bytes of a record and its programme's: of those met lately."""


def _audience(said: bytes) -> _Audience:
    """Raises IndexError, `MalformedClickError`."""
    audience = _AUDIENCES.get(said)
    if audience is None:
        audience = _AUDIENCES[said] = _Audience(said)
    return audience


def _link_fields(said: bytes) -> bytes:
    """Raises IndexError, `MalformedClickError`."""
    fields = _LINK_FIELDS.get(said)
    if fields is None:
        if len(_LINK_FIELDS) >= _LINKS_HELD:
            _LINK_FIELDS.clear()
        fields = _LINK_FIELDS[said] = _made_link_fields(said)
    return fields


def _made_link_fields(said: bytes) -> bytes:
    program, link, influencer, campaign, post = said[:8], said[8:16], said[16:24], said[24:32], said[32:40]
    beyond = said[0] | said[8] | said[16] | said[24] | said[32]
    if beyond >= _BEYOND_IDS or _NO_ID in (program, link):
        raise MalformedClickError("an id that no table has")
    return b"".join((
        _ID_LENGTH,
        link,
        _NULL if influencer == _NO_ID else _ID_LENGTH + influencer,
        _NULL if campaign == _NO_ID else _ID_LENGTH + campaign,
        _NULL if post == _NO_ID else _ID_LENGTH + post,
        _CHANNEL_FIELDS[said[40]],
    ))  # fmt: skip


def _sub_fields(subs: bytes) -> bytes:
    first, second, third, fourth, fifth = subs.split(b"\0")
    return _text(first) + _text(second) + _text(third) + _text(fourth) + _text(fifth)


def copy_row(record: bytes) -> bytes:
    """The row of a record. Rows sort by `clicks`' primary key. Raises `MalformedClickError` with the reason."""
    try:
        if len(record) < HEAD_SIZE or record[0] != RECORD_VERSION:
            raise MalformedClickError("a record of no known version")
        # Slices stand as literals: mypyc takes no others.
        link_fields, audience = _link_fields(record[17:58]), _audience(record[58:62])
        clicked_at_us = int.from_bytes(record[1:9], "big")
        texts = record[62:]
        visitor, ip, referrer, subs = texts.split(b"\0", 3)
        # Bytes that are no UTF-8 would end the whole COPY.
        if not texts.isascii():
            texts.decode()
        if not _FIRST_US <= clicked_at_us <= _LAST_US:
            raise MalformedClickError("a time out of this century")
        return b"".join((
            _ROW_BEGIN,
            record[17:25],
            _ID_LENGTH,
            (clicked_at_us - _FIRST_US).to_bytes(8, "big"),
            _CLICK_ID_LENGTH,
            record[1:17],
            link_fields,
            audience.fields,
            _text(visitor),
            _text(ip),
            _text(referrer),
            _NO_SUB_FIELDS if subs == _NO_SUBS else _sub_fields(subs),
        ))  # fmt: skip
    except (IndexError, ValueError) as cause:
        unpack_click(record)  # knows what is wrong
        raise MalformedClickError(str(cause)) from cause


def delta_rows(records: Sequence[bytes]) -> Iterator[bytes]:
    """What clicks, each of them new, add to the rollups: counted by link, audience and quarter of an hour.

    No time zone has finer offsets, so every local hour, day and month is made of such quarters.
    """
    for quarter, of_quarter in _by_quarter(records).items():
        at = _ID_LENGTH + (quarter * QUARTER_US - _FIRST_US).to_bytes(8, "big")
        # From programme to country, as `copy_row` has them.
        for what, count in Counter([record[17:62] for record in of_quarter]).items():
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
    audience, counted = _audience(what[41:45]), count.to_bytes(4, "big")
    return b"".join((
        _DELTA_BEGIN,
        what[:8],
        at,
        _link_fields(what[:41]),
        audience.delta_fields,
        _COUNT_LENGTH,
        _NO_COUNT if audience.is_bot else counted,
        _COUNT_LENGTH,
        counted if audience.is_bot else _NO_COUNT,
    ))  # fmt: skip


def copy_file(rows: Iterable[bytes]) -> bytes:
    return b"".join((_HEADER, *rows, _TRAILER))
