from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attribution.domain.click_id import clicked_at, make_click_id
from attribution.domain.clicks import (
    AgentClass,
    Channel,
    Click,
    Device,
    MalformedClickError,
    pack_click,
    renewed,
    unpack_click,
)
from attribution.domain.ids import CampaignId, InfluencerId, LinkId, PostId, ProgramId

IDS = st.integers(1, 2**63 - 1)
TEXTS = st.none() | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=128
)
CLICKS = st.builds(
    Click,
    click_id=st.builds(make_click_id, st.integers(0, 253402300799999999), st.binary(min_size=8, max_size=8)),
    program_id=IDS.map(ProgramId),
    link_id=IDS.map(LinkId),
    influencer_id=st.none() | IDS.map(InfluencerId),
    campaign_id=st.none() | IDS.map(CampaignId),
    post_id=st.none() | IDS.map(PostId),
    channel=st.none() | st.sampled_from(Channel),
    agent_class=st.sampled_from(AgentClass),
    device=st.none() | st.sampled_from(Device),
    country=st.none() | st.from_regex("[A-Z]{2}", fullmatch=True),
    visitor_id=TEXTS,
    ip=TEXTS,
    referrer_host=TEXTS,
    subs=st.tuples(*[TEXTS] * 5),
)
CLICK = Click(
    make_click_id(1, b"\0" * 8),
    ProgramId(1),
    LinkId(2),
    None,
    None,
    None,
    None,
    AgentClass.BROWSER,
    Device.MOBILE,
    "DE",
    "visitor",
)


def version_1(record: bytes) -> bytes:
    """What the release before countries and devices wrote of it."""
    return b"\x01" + record[1:59] + record[62:]


def click_or_none(record: bytes) -> Click | None:
    try:
        return unpack_click(record)
    except MalformedClickError:
        return None


@given(CLICKS)
def test_round_trip(click: Click) -> None:
    """A click comes out of its record as it went in."""
    assert unpack_click(pack_click(click)) == click


@given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda rest: b"\x02" + rest))
@example(b"\x02" + b"\xff" * 16 + b"\0" * 45 + b"\0" * 7)
def test_any_bytes_are_a_click_or_malformed(record: bytes) -> None:
    """Bytes that are no record raise `MalformedClickError` only; what passes has a time and can be packed."""
    click = click_or_none(record)
    if click is not None:
        assert clicked_at(click.click_id).year <= 9999
        assert unpack_click(pack_click(click)) == click


@given(CLICKS, st.integers(0, 61), st.integers(0, 255))
def test_a_changed_head_is_a_click_or_malformed(click: Click, at: int, byte: int) -> None:
    """A flipped byte gives another click or an error with its reason, nothing else."""
    record = bytearray(pack_click(click))
    record[at] = byte
    click_or_none(bytes(record))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "62 bytes"),
        (pack_click(CLICK)[:61], "62 bytes"),
        (b"\x01" + pack_click(CLICK)[1:], "record version 1"),
        (pack_click(CLICK) + b"\0", "9 texts"),
        (pack_click(CLICK).removesuffix(b"\0"), "7 texts"),
        (pack_click(CLICK).replace(b"visitor", b"\xff"), "utf-8"),
        (pack_click(replace(CLICK, click_id=make_click_id(2**63, b"\0" * 8))), "calendar"),
        (pack_click(replace(CLICK, link_id=LinkId(2**63))), "no table"),
        (pack_click(replace(CLICK, program_id=ProgramId(0))), "no table"),
        (pack_click(CLICK)[:57] + b"\x63" + pack_click(CLICK)[58:], "out of range"),
        (pack_click(CLICK)[:58] + b"\x63" + pack_click(CLICK)[59:], "out of range"),
        (pack_click(CLICK)[:59] + b"\x63" + pack_click(CLICK)[60:], "out of range"),
        (pack_click(replace(CLICK, country="de")), "country"),
        (pack_click(CLICK).replace(b"DE", b"\0E"), "country"),
    ],
)
def test_malformed_records_say_why(record: bytes, reason: str) -> None:
    """A record that can't be stored is refused with its reason, for the dead letters."""
    with pytest.raises(MalformedClickError, match=reason):
        unpack_click(record)


@given(CLICKS)
def test_a_record_of_the_last_release_is_the_same_click(click: Click) -> None:
    """Version 1 had no device and no country; a record of today's is left as it is."""
    now = pack_click(replace(click, device=None, country=None))
    assert renewed(version_1(now)) == renewed(now) == now


@given(CLICKS, st.integers(0, 70))
def test_a_piece_of_an_old_record_is_refused_or_a_click(click: Click, size: int) -> None:
    click_or_none(renewed(version_1(pack_click(click))[:size]))


def test_only_browsers_and_unknown_agents_are_people() -> None:
    """Every other class is a bot's."""
    people = [agent_class for agent_class in AgentClass if not agent_class.is_bot]
    assert people == [AgentClass.BROWSER, AgentClass.UNKNOWN]
