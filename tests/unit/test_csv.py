"""CSV as people and platforms write it."""

import io
from typing import Any

import pytest

from attribution.api.csv_cells import boolean, cells_of, count, day, moment, number
from attribution.api.csv_table import CSV_TEXT, LINE_MAX, BadRow, CsvRow, CsvTable
from attribution.api.links import NewLink
from attribution.errors import InvalidInputError


def table(content: str | bytes) -> CsvTable:
    raw = content if isinstance(content, bytes) else content.encode()
    return CsvTable(io.TextIOWrapper(io.BytesIO(raw), **CSV_TEXT))


def rows(content: str | bytes) -> list[CsvRow | BadRow]:
    return list(table(content))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiter_newline_and_byte_order_mark_are_the_files_own(delimiter: str, newline: str, mark: str) -> None:
    lines = [["Post ID", '"Reactions, Comments; Shares"', "Views"], ["18011", '"a\n""b"" , ;"', '"12,400"'], ["2"]]
    content = mark + newline.join(delimiter.join(line) for line in lines)
    assert table(content).columns == ["post id", "reactions, comments; shares", "views"]
    assert rows(content) == [
        CsvRow(2, {"post id": "18011", "reactions, comments; shares": 'a\n"b" , ;', "views": "12,400"}),
        CsvRow(3, {"post id": "2"}),
    ]


def test_rows_are_counted_as_spreadsheets_do_and_empty_ones_left_out() -> None:
    assert rows("a,b\n\n,\n 1 ,\n") == [CsvRow(4, {"a": "1"})]


def test_a_row_that_cannot_be_is_told_and_the_next_one_stands() -> None:
    assert rows(b"a,b\n1,2,3\n\xff,1\n\x00,1\n4,5\n") == [
        BadRow(2, "has more cells than the header's 2"),
        BadRow(3, "is not UTF-8, or has a NUL"),
        BadRow(4, "is not UTF-8, or has a NUL"),
        CsvRow(5, {"a": "4", "b": "5"}),
    ]


def test_what_follows_an_open_quote_or_an_endless_line_is_not_guessed() -> None:
    assert [type(row) for row in rows('a\n1\n"2\n3\n')] == [CsvRow, BadRow]
    assert [type(row) for row in rows("a\n1\n" + "2" * LINE_MAX + "\n3\n")] == [CsvRow, BadRow]


@pytest.mark.parametrize("content", ["", "\n", ",,\n", "a,A\n", "\ufeff".encode("utf-16"), "a;b\n".encode("utf-16")])
def test_a_header_that_is_none_is_refused(content: str | bytes) -> None:
    with pytest.raises(InvalidInputError):
        table(content)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12400", 12400),
        ("12,400", 12400),
        ("12.400", 12400),
        ("12 400", 12400),
        ("12\u00a0400", 12400),
        ("1'234'567", 1234567),
        ("-3", -3),
        ("0", 0),
    ],
)
def test_a_count_may_have_thousands_separators(text: str, value: int) -> None:
    assert count(text) == value


@pytest.mark.parametrize("text", ["12.4K", "1,5", "1.5", "12,40", "1,234.5", "", "-", "1e3", "٣"])
def test_what_is_no_whole_number_is_no_count(text: str) -> None:
    with pytest.raises(ValueError):
        count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("39.80", "39.80"), ("39,80", "39.80"), ("1,234.50", "1234.50"), ("1.234,50", "1234.50"), ("1 234,5", "1234.5"),
     ("1,234,567", "1234567"), ("1.0845", "1.0845"), ("1,0845", "1.0845"), ("1.084", "1.084"),
     ("7,5 %", "7.5"), ("x", "x")],
)  # fmt: skip
def test_a_number_may_have_a_decimal_comma_or_thousands(text: str, value: str) -> None:
    """What is none stays as it is, for the field to refuse."""
    assert number(text) == value


def test_a_number_that_may_be_two_things_is_refused() -> None:
    with pytest.raises(ValueError, match="thousands or decimals"):
        number("1,234")


def test_a_day_is_written_in_an_order_that_nobody_can_mistake() -> None:
    assert (day("2026-11-20"), day("20.11.2026"), day("1.2.2026")) == ("2026-11-20", "2026-11-20", "2026-02-01")
    with pytest.raises(ValueError, match="day or the month first"):
        day("11/20/2026")


@pytest.mark.parametrize(
    ("text", "end_of_day", "instant"),
    [
        ("2026-11-20T10:00:00Z", True, "2026-11-20T10:00:00Z"),
        ("2026-11-20", False, "2026-11-20T00:00:00+01:00"),
        ("20.11.2026 18:30", True, "2026-11-20T18:30:00+01:00"),
        ("2026-11-20", True, "2026-11-20T23:59:59.999999+01:00"),
        ("2026-10-25", True, "2026-10-25T23:59:59.999999+01:00"),  # a day of 25 hours
    ],
)
def test_a_moment_without_offset_is_of_the_programmes_zone(text: str, end_of_day: bool, instant: str) -> None:  # noqa: FBT001
    assert moment(text, "Europe/Berlin", end_of_day=end_of_day) == instant


def test_truth_is_written_in_words_or_digits() -> None:
    assert [boolean(text) for text in ("true", "YES", "1", "False", "no", "0")] == [True] * 3 + [False] * 3
    with pytest.raises(ValueError):
        boolean("perhaps")


def test_the_columns_of_a_kind_are_its_fields() -> None:
    columns: Any = cells_of(NewLink, "UTC")
    assert {"slug", "destination", "influencer_id", "starts_at", "external_id"} <= columns.keys()
    assert "program" not in columns
