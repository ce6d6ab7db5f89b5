"""A record becomes the row that its click says, or is refused as the click is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.properties.test_click_records import CLICK, CLICKS, version_1

from attribution.adapters import click_rows
from attribution.adapters.click_batch import ClickBatch
from attribution.adapters.click_rows import COLUMNS, copy_row
from attribution.domain.click_id import make_click_id
from attribution.domain.clicks import Click, MalformedClickError, pack_click, unpack_click
from attribution.domain.ids import LinkId
from attribution.domain.instants import to_us

FROM_US, UNTIL_US = (to_us(datetime(year, 1, 1, tzinfo=UTC)) for year in (2000, 2100))
IDS_OF_NOW = st.builds(make_click_id, st.integers(FROM_US, UNTIL_US - 1), st.binary(min_size=8, max_size=8))
CLICKS_OF_NOW = st.builds(lambda click, click_id: replace(click, click_id=click_id), CLICKS, IDS_OF_NOW)
NOW = replace(CLICK, click_id=make_click_id(FROM_US, b"\xff" * 8))


def number(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(8, "big")


def text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def fields_said_by(click: Click) -> list[bytes | None]:
    """As PostgreSQL's binary format has each type, in the order of `COLUMNS`."""
    return [
        number(click.program_id),
        number(click.clicked_at_us - FROM_US),
        click.click_id,
        number(click.link_id),
        number(click.influencer_id),
        number(click.campaign_id),
        number(click.post_id),
        text(click.channel and click.channel.value),
        bytes([click.agent_class.is_bot]),
        text(click.agent_class.value),
        text(click.device and click.device.value),
        text(click.country),
        *(text(value) for value in (click.visitor_id, click.ip, click.referrer_host, *click.subs)),
    ]


def fields_in(row: bytes) -> Iterator[bytes | None]:
    assert int.from_bytes(row[:2], "big") == len(COLUMNS)
    offset = 2
    while offset < len(row):
        length = int.from_bytes(row[offset : offset + 4], "big", signed=True)
        offset += 4
        yield None if length == -1 else row[offset : offset + length]
        offset += max(length, 0)


def refusal(record: bytes) -> str | None:
    """Why there is no row; None if there is one."""
    try:
        copy_row(record)
    except MalformedClickError as error:
        return str(error)
    return None


def refusal_of_click(record: bytes) -> str | None:
    try:
        click = unpack_click(record)
    except MalformedClickError as error:
        return str(error)
    return None if FROM_US <= click.clicked_at_us < UNTIL_US else "a time out of this century"


@given(CLICKS_OF_NOW)
@example(replace(NOW, visitor_id="é" * 200, referrer_host="x" * 100_000, subs=(None, "ü", None, None, "z")))
def test_a_row_says_what_the_click_says(click: Click) -> None:
    assert list(fields_in(copy_row(pack_click(click)))) == fields_said_by(click)


@given(CLICKS)
@example(NOW)
@example(replace(NOW, click_id=make_click_id(FROM_US - 1, b"\xff" * 8)))
@example(replace(NOW, click_id=make_click_id(UNTIL_US - 1, b"\xff" * 8)))
@example(replace(NOW, click_id=make_click_id(UNTIL_US, b"\0" * 8)))
def test_a_click_out_of_this_century_is_refused(click: Click) -> None:
    assert refusal(pack_click(click)) == refusal_of_click(pack_click(click))


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda rest: b"\x02" + rest))
def test_any_bytes_are_a_row_or_refused_for_the_reason_that_no_click_is_in_them(record: bytes) -> None:
    assert refusal(record) == refusal_of_click(record)


@given(CLICKS_OF_NOW, st.data(), st.integers(0, 255))
def test_a_changed_byte_is_a_row_or_refused_for_its_reason(click: Click, data: st.DataObject, byte: int) -> None:
    record = bytearray(pack_click(click))
    record[data.draw(st.integers(0, len(record) - 1))] = byte
    assert refusal(bytes(record)) == refusal_of_click(bytes(record))


@pytest.mark.parametrize("size", [0, 1, 61, 62, 63, 69])
def test_a_record_cut_short_is_refused_for_its_reason(size: int) -> None:
    record = pack_click(NOW)[:size]
    assert refusal(record) is not None
    assert refusal(record) == refusal_of_click(record)


@given(st.lists(CLICKS_OF_NOW, max_size=8))
def test_rows_sort_as_the_primary_key(clicks: list[Click]) -> None:
    """By programme, then by the click id, which begins with its time."""
    rows = sorted(copy_row(pack_click(click)) for click in clicks)
    assert [row[6:14] + row[30:46] for row in rows] == sorted(
        click.program_id.to_bytes(8, "big") + click.click_id for click in clicks
    )


def test_a_batch_takes_nothing_when_it_refuses_one() -> None:
    batch = ClickBatch.of([pack_click(NOW)])
    with pytest.raises(MalformedClickError):
        batch.extend([pack_click(NOW), b"\x09"])
    assert len(batch.records) == len(batch.rows) == 1


@given(st.lists(CLICKS_OF_NOW, max_size=4), st.lists(CLICKS_OF_NOW, max_size=4))
def test_a_batch_takes_the_last_releases_records_as_todays(old: list[Click], new: list[Click]) -> None:
    plain = [pack_click(replace(click, device=None, country=None)) for click in old]
    rest = [pack_click(click) for click in new]
    assert ClickBatch.of([*map(version_1, plain), *rest]) == ClickBatch.of([*plain, *rest])


def test_rows_of_many_links_are_right_and_few_of_the_links_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click_rows, "_LINKS_HELD", 2)
    click_rows._LINK_FIELDS.clear()
    clicks = [replace(NOW, link_id=LinkId(link_id)) for link_id in (1, 2, 3, 1, 4, 4, 1)]
    for click in clicks:
        assert list(fields_in(copy_row(pack_click(click)))) == fields_said_by(click)
        assert len(click_rows._LINK_FIELDS) <= 2
