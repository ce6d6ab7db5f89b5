"""Rows of paths, whatever is in them."""

from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from attribution.models import MalformedRow, read_paths

CASES = settings(max_examples=500, deadline=None)
NAMES = st.sampled_from(["a", "b", " b", "c d", "é"])
ODD_NAMES = NAMES | st.sampled_from(["", ">", '"a"', '"a;b"', '"a""b"', 'a"b', '"a', "\udcff", "\x00"])
NUMBERS = st.sampled_from(["0", "1", "12", "2.50"])
ODD_NUMBERS = NUMBERS | st.sampled_from([" 3", "-1", "", "one", "1e3", "٣", '"4"', "9" * 40, "1\r", "\n1"])
ENDS = st.sampled_from(["", "\n", "\r\n", "\r", "\n\n", " \n", "\x1c\n", ";\n"])


def rows(names: st.SearchStrategy[str], numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda touches, cells, end: ";".join([" > ".join(touches), *cells]) + end,
        st.lists(names, min_size=1, max_size=4),
        st.lists(numbers, min_size=3, max_size=3),
        ENDS,
    )


ANYTHING = st.text(st.sampled_from('ab1.-;> "\r\n\t\x00\x1c\x85\u2028é\udcff'), max_size=12)
LINES = rows(NAMES, NUMBERS) | rows(ODD_NAMES, ODD_NUMBERS) | ANYTHING


@CASES
@given(LINES)
@example("a" * 131_072 + ";1;2;3\n")
@example("a" * 131_073 + ";1;2;3\n")
def test_a_plain_row_is_what_the_csv_reader_makes_of_it(line: str) -> None:
    """Its path, or the reason why it has none."""
    with patch("attribution.models.paths.csv.field_size_limit", return_value=-1):
        by_reader = read_paths([line])
    assert read_paths([line]) == by_reader


@CASES
@given(st.lists(LINES, max_size=8))
def test_a_row_is_read_as_if_it_were_alone(lines: list[str]) -> None:
    """Whatever was read before it: only the first may be a header."""
    paths, malformed = read_paths(["path;conversions;value;null\n", *lines])
    alone = [read_paths([line]) for line in lines]
    assert paths == [path for read, _ in alone for path in read]
    assert malformed == [
        MalformedRow(number, row.reason) for number, (_, rows) in enumerate(alone, 2) for row in rows
    ]
