from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from attribution.stats.columns import Number, counts, ratio, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = st.integers(-(10**15), 10**15) | st.decimals(
    min_value=-(10**9), max_value=10**9, places=18, allow_nan=False, allow_infinity=False
)


@given(NUMBERS, NUMBERS.filter(bool))
@example(1, 100)
@example(-1, 3)
@example(5, 10**6)
@example(12345, 10**11)
@example(10**15, 1)
def test_a_ratio_has_twelve_significant_digits_and_at_least_six_that_are_shown(
    numerator: Number, denominator: Number
) -> None:
    quotient = Context(prec=12).divide(numerator, denominator)

    shown = ratio(numerator, denominator) or ""

    assert Decimal(shown) == quotient
    assert "E" not in shown
    digits = shown.replace(".", "").lstrip("-0")
    assert len(digits) >= 6 or shown == "0.00000"


@given(st.lists(NUMBERS))
def test_counts_are_integers_where_they_are_whole(column: list[Number]) -> None:
    for value, shown in zip(column, counts(column), strict=True):
        assert shown == (int(value) if value == int(value) else float(value))
        assert isinstance(shown, int) is float(value).is_integer()


@given(st.integers(0, 4))
def test_rows_have_the_value_of_each_column_in_its_order(size: int) -> None:
    table: dict[str, Sequence[Any]] = {"name": list("abcd"[:size]), "value": list(range(size))}

    assert rows_of(table) == [{"name": "abcd"[place], "value": place} for place in range(size)]
