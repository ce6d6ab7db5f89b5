"""All else in the domain that is pure."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.test_attribution_properties import ENDS
from tests.support import reference

from attribution.domain.codes import code_key
from attribution.domain.durations import DURATION_MAX, format_duration, parse_duration
from attribution.domain.instants import from_us, to_us
from attribution.domain.models import WEEK_US, Ends, Model, Parameters, weights
from attribution.domain.money import MINOR_MAX, from_minor, split, to_minor
from attribution.domain.rfc3339 import parse_instant

CASES = settings(max_examples=200, deadline=None)
CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF"])
SHARES = (
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30)
    .filter(any)
    .map(lambda parts: [Fraction(part, sum(parts)) for part in parts])
)
INSTANTS = st.datetimes(timezones=st.just(UTC))


@CASES
@given(st.integers(0, MINOR_MAX), SHARES)
def test_a_split_is_the_whole_and_fair(total: int, shares: list[Fraction]) -> None:
    """The parts add up, each less than a unit from its exact share, and equal the reference's."""
    parts = split(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share) < 1 for part, share in zip(parts, shares, strict=True))
    assert parts == reference.share(total, shares)


AGES = st.lists(st.integers(0, 10**13), min_size=1, max_size=40).map(lambda ages: sorted(ages, reverse=True))
HALF_LIVES = st.sampled_from([1, 3_600_000_000, WEEK_US]) | st.integers(1, 10**15)


@CASES
@given(st.sampled_from(Model), AGES, HALF_LIVES, ENDS)
def test_models_are_the_references(model: Model, ages_us: list[int], half_life_us: int, ends: Ends) -> None:
    """Fraction by fraction; they sum to exactly 1."""
    given_ = weights(model, ages_us, Parameters(half_life_us, ends))
    rule = reference.Version(0, {}, model, half_life=half_life_us, position_weights=ends)
    assert list(given_) == reference.weights(rule, ages_us)
    assert sum(given_) == 1
    assert min(given_) >= 0


@CASES
@given(st.integers(-MINOR_MAX, MINOR_MAX), CURRENCIES)
def test_money_is_read_back_as_it_was_written(minor: int, currency: str) -> None:
    assert to_minor(Decimal(from_minor(minor, currency)), currency) == minor


@CASES
@given(st.timedeltas(timedelta(0), DURATION_MAX))
def test_a_duration_is_read_back_as_it_was_written(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@CASES
@given(INSTANTS)
def test_an_instant_is_exact_to_the_microsecond(instant: datetime) -> None:
    assert from_us(to_us(instant)) == instant


@CASES
@given(INSTANTS, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_instant_is_the_same_at_any_offset(instant: datetime, offset_minutes: int) -> None:
    """As far as the calendar reaches."""
    margin = timedelta(days=1)
    kept = min(max(instant, datetime.min.replace(tzinfo=UTC) + margin), datetime.max.replace(tzinfo=UTC) - margin)
    sign, (hours, minutes) = "-" if offset_minutes < 0 else "+", divmod(abs(offset_minutes), 60)
    local = (kept + timedelta(minutes=offset_minutes)).replace(tzinfo=None)
    text = f"{local.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}"
    assert parse_instant(text) == kept


@CASES
@given(st.text(max_size=20))
def test_a_codes_key_has_neither_case_nor_space(text: str) -> None:
    assert code_key(f" {text}\t") == code_key(text) == code_key(code_key(text))
