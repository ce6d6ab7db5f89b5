import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from attribution.api.json_body import parse_json, refuse_unstorable
from attribution.errors import InvalidInputError


def test_fractions_are_exact() -> None:
    assert parse_json(b'{"a": 0.1, "b": 1e2, "c": 39.80}') == {
        "a": Decimal("0.1"),
        "b": Decimal("1e2"),
        "c": Decimal("39.80"),
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[01]",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'"\x00"',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"9" * 5_000 + b"]",
        b"[1e99999999999999999999]",
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(HTTPException) as raised:
        parse_json(raw)
    assert raised.value.status_code == 400


@pytest.mark.parametrize(
    ("raw", "loc"),
    [
        (rb'{"a": "x\u0000"}', ("body", "a")),
        (rb'{"a": [{"b": "\ud800"}]}', ("body", "a", 0, "b")),
        (rb'{"a": "\udfff\ud800"}', ("body", "a")),
        (rb'{"\u0000": 1}', ("body", "\0")),
        (rb'{"\ud800": 1}', ("body", "?")),
    ],
)
def test_texts_that_cannot_be_stored_are_named(raw: bytes, loc: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidInputError) as raised:
        refuse_unstorable(parse_json(raw))
    assert [error.loc for error in raised.value.errors] == [loc]


def test_escapes_that_stand_for_characters_pass() -> None:
    value = parse_json(rb'{"a": "\u00e9 \ud83d\ude00 \\u0000", "b": 123456789012345678901234567890}')
    refuse_unstorable(value)
    assert value["a"] == "é \U0001f600 \\u0000"


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        refuse_unstorable(parse_json(raw))
    except (HTTPException, InvalidInputError):
        return


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
