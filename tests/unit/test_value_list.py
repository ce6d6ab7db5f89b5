"""Values of a filter: a comma divides them, but for one in quotes."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.api.value_list import value_list

ANY = st.text(st.sampled_from('ab," '), max_size=8).map(str.strip)


def named(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if "," in value else value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", [""]),
        ("a", ["a"]),
        (" a , b,", ["a", "b", ""]),
        ('"a,b"', ["a,b"]),
        (' "a,b" ,c, "d, e"', ["a,b", "c", "d, e"]),
        ('c,"a,""b"""', ["c", 'a,"b"']),
        ('"""a,b"""', ['"a,b"']),
        ('","', [","]),
        ('"a"', ['"a"']),
        ('"a","b"', ['"a"', '"b"']),
        ('"a,b', ['"a', "b"]),
        ('"a,b"c,d', ['"a', 'b"c', "d"]),
        ('5",7"', ['5"', '7"']),
    ],
)
def test_quotes_hold_a_value_with_a_comma_together(text: str, values: list[str]) -> None:
    """Others stay as they are: so did a filter before there were quotes."""
    assert value_list(text) == values


@given(ANY)
def test_every_value_can_be_named(value: str) -> None:
    assert value_list(named(value)) == [value]


@given(st.lists(ANY.filter(lambda value: "," in value or not value.startswith('"')), min_size=1))
def test_values_beside_each_other_are_told_apart(values: list[str]) -> None:
    """But for one that begins with a quote and has no comma: with a later quote it would seem to be quoted."""
    assert value_list(",".join(map(named, values))) == values


@given(st.text(st.sampled_from("ab, ;\\'")))
def test_without_quotes_it_is_a_comma_list(text: str) -> None:
    assert value_list(text) == [part.strip() for part in text.split(",")]


@pytest.mark.parametrize("piece", ['"', ",", '",', '"",', '"a,', '"""x,', '"a,""', "  "])
def test_a_long_text_takes_no_longer_than_its_length_asks_for(piece: str) -> None:
    start = process_time()
    value_list('"a,' + piece * (20_000 // len(piece)))
    assert process_time() - start < 1
