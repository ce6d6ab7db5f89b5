"""Files of paths, and the command that reads them."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from io import BytesIO, TextIOWrapper
from pathlib import Path as File

import pytest

from attribution import cli
from attribution.models import (
    ChainError,
    ModelError,
    Path,
    PathError,
    WeightsError,
    attribute,
    markov,
    position_based,
    read_paths,
)
from attribution.models.paths import Number
from attribution.models.sharing import Weight

TABLE = "path;conversions;value;null\nC1 > C2 > C3;1;10;0\nC1;0;0;1\nC2 > C3;0;0;1\n"
SHARED = "channel,conversions,value,removal_effect\n"


def test_rows_become_paths() -> None:
    """With or without a header; quoted or not; blank lines are none; numbers are exact."""
    lines = ["a > b;1;2.50;0\n", "\n", '"x; y > z";0.5;0;3\n']
    expected = [Path(("a", "b"), 1, Fraction("2.5"), 0), Path(("x; y", "z"), Fraction("0.5"), 0, 3)]
    assert read_paths(lines) == (expected, [])
    assert read_paths(["path;conversions;value;null\n", *lines]) == (expected, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a;1;2", "has 3 fields instead of 4"),
        ("a;1;2;3;4", "has 5 fields instead of 4"),
        ("a,1,2,3", "has 1 fields instead of 4"),
        ("a>b;1;2;3", "has a > in it"),
        ("a > > b;1;2;3", "touch 2 of the path has a > in it"),
        ("a >  > b;1;2;3", "touch 2 of the path is empty"),
        (";1;2;3", "the path is empty"),
        ("a;;2;3", "conversions '' is not a decimal number"),
        ("a;one;2;3", "conversions 'one' is not a decimal number"),
        ("a;1;NaN;3", "value 'NaN' is not a decimal number"),
        ("a;1;2,5;3", "value '2,5' is not a decimal number"),
        ("a;1;2;-3", "null '-3' is negative"),
        ('"a;1;2;3', "unexpected end of data"),
        ('"a"b;1;2;3', "';' expected after '\"'"),
        ("a\rb;1;2;3", "new-line character seen in unquoted field"),
        ("a" * 200_000 + ";1;2;3", "field larger than field limit"),
        ("\udcff;1;2;3", "is not UTF-8"),
        ("path;conversions;value;null", "conversions 'conversions' is not a decimal number"),
    ],
)
def test_a_malformed_row_is_told_with_its_number(row: str, reason: str) -> None:
    """Lines are counted from 1, the header among them; the other rows stand."""
    paths, [malformed] = read_paths(["path;conversions;value;null\n", "a;1;2;3\n", f"{row}\n", "b;1;2;3\n"])
    assert malformed.number == 3
    assert reason in malformed.reason
    assert [path.touches for path in paths] == [("a",), ("b",)]


@pytest.mark.parametrize("weights", [(0.1, 0.2, 0.7), ["0.1", "0.2", "0.7"], (Fraction(1, 10), Decimal("0.2"), 0.7)])
def test_position_weights_are_any_numbers_that_sum_to_one(weights: Sequence[Weight]) -> None:
    credited = position_based([Path(("a", "b", "c"), 10)], weights)
    assert [credit.conversions for credit in credited.values()] == [1, 2, 7]


@pytest.mark.parametrize(
    "weights",
    [(0.5, 0.5, 0.5), (1, 1), ("0.4", "0.2", "0.4", "0"), (-1, 1, 1), ("a", "b", "c"), (float("nan"), 0, 1)],
)
def test_position_weights_that_cannot_be_are_refused(weights: Sequence[Weight]) -> None:
    with pytest.raises(WeightsError, match="sum to 1"):
        position_based([Path(("a", "b"), 1)], weights)


@pytest.mark.parametrize(
    ("touches", "numbers"),
    [
        ((), {}),
        (("a",), {"conversions": -1}),
        (("a",), {"conversions": float("nan")}),
        (("a",), {"value": Decimal("NaN")}),
        (("a",), {"value": Fraction(-1, 3)}),
        (("a",), {"nulls": -2}),
        (("a",), {"nulls": float("inf")}),
        (("a",), {"nulls": "1"}),
    ],
)
def test_what_is_no_path_is_refused(touches: tuple[str, ...], numbers: dict[str, Number]) -> None:
    with pytest.raises(PathError, match="at least one touch"):
        Path(touches, **numbers)


def test_numbers_of_paths_are_of_any_kind_and_size() -> None:
    assert Path(("a",), Decimal("0.5"), Fraction(1, 3), 10**400).nulls == 10**400


def test_what_paths_do_not_have_is_refused() -> None:
    with pytest.raises(ModelError, match="needs the age of each touch"):
        attribute("time_decay", [])
    with pytest.raises(ModelError, match="'luck' is none of last_touch, "):
        attribute("luck", [])
    with pytest.raises(ChainError, match="1, 2 or 3"):
        markov([], 4)
    with pytest.raises(ChainError, match="60000 channels is too large for order 3"):
        markov([Path((str(channel),)) for channel in range(60_000)], 3)


def run(monkeypatch: pytest.MonkeyPatch, text: bytes, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text)))
    return cli.main(["model", *arguments, "-"])


def test_the_command_writes_what_each_channel_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From standard input; the effect of removal where the model has one."""
    assert run(monkeypatch, TABLE.encode(), "--model", "markov") == 0
    assert capsys.readouterr().out == SHARED + (
        "C1,0.2000000000,2.0000000000,0.500000000000\n"
        "C2,0.4000000000,4.0000000000,1.000000000000\n"
        "C3,0.4000000000,4.0000000000,1.000000000000\n"
    )
    assert run(monkeypatch, TABLE.encode(), "--model", "last_touch") == 0
    assert capsys.readouterr().out == SHARED + (
        "C1,0.0000000000,0.0000000000,\nC2,0.0000000000,0.0000000000,\nC3,1.0000000000,10.0000000000,\n"
    )


def test_position_weights_can_be_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    weighted = ["--model", "position_based", "--position-weights"]
    assert run(monkeypatch, TABLE.encode(), *weighted, "0.1,0.2,0.7") == 0
    assert [line.split(",")[1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "0.1000000000", "0.2000000000", "0.7000000000",
    ]  # fmt: skip
    for wrong in ("0.5,0.5", "0.5,0.5,0.5", "a,b,c", ""):
        assert run(monkeypatch, TABLE.encode(), *weighted, wrong) == 1
        assert "sum to 1" in capsys.readouterr().err


def test_nulls_count_unless_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them all conversions pass all three channels."""
    assert run(monkeypatch, TABLE.encode(), "--model", "markov", "--order", "2", "--no-nulls") == 0
    assert [line.split(",")[3] for line in capsys.readouterr().out.splitlines()[1:]] == ["1.000000000000"] * 3


def test_malformed_rows_stop_the_command_unless_told(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    """Row number and reason on standard error, and no result."""
    file = tmp_path / "paths.csv"
    file.write_bytes(b"a;1;2;0\nb;x;1;1\n\xff;1;1;1\n")
    assert cli.main(["model", "--model", "linear", str(file)]) == 1
    told = "row 2: conversions 'x' is not a decimal number\nrow 3: is not UTF-8\n"
    assert capsys.readouterr() == ("", told)
    assert cli.main(["model", "--model", "linear", "--skip-malformed", str(file)]) == 0
    assert capsys.readouterr() == (SHARED + "a,1.0000000000,2.0000000000,\n", told)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "time_decay"], "needs the age"),
        (["--model", "luck"], "is none of"),
        (["--model", "markov", "--order", "4"], "1, 2 or 3"),
    ],
)
def test_what_cannot_be_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert run(monkeypatch, TABLE.encode(), *arguments) == 1
    assert reason in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "--model", "linear", "/nowhere.csv"]) == 1
    assert capsys.readouterr().err == "/nowhere.csv: No such file or directory\n"
