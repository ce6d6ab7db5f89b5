import pytest

from attribution.domain.codes import Code, CodePolicy, code_key
from attribution.domain.ids import CodeId, InfluencerId


def code(starts_at_us: int | None = None, ends_at_us: int | None = None, *, enabled: bool = True) -> Code:
    return Code(CodeId(1), "ANNA15", InfluencerId(7), None, CodePolicy.ALWAYS, starts_at_us, ends_at_us, enabled)


@pytest.mark.parametrize("text", ["ANNA15", "anna15", "  Anna15\t", "anna15\n"])
def test_case_and_surrounding_space_do_not_matter(text: str) -> None:
    assert code_key(text) == code_key("ANNA15")


@pytest.mark.parametrize("text", ["ANNA 15", "ANNA1", "ANNA15!"])
def test_all_else_of_a_code_matters(text: str) -> None:
    assert code_key(text) != code_key("ANNA15")


@pytest.mark.parametrize(
    ("at_us", "active"), [(99, False), (100, True), (101, True), (199, True), (200, False), (201, False)]
)
def test_a_code_is_active_from_its_start_until_before_its_end(at_us: int, active: bool) -> None:  # noqa: FBT001
    """The start is inclusive, the end exclusive, to the microsecond."""
    assert code(100, 200).active_at(at_us) is active


def test_a_code_without_dates_is_always_active() -> None:
    assert code().active_at(0)
    assert code().active_at(10**18)


def test_a_disabled_code_is_never_active() -> None:
    assert not code(enabled=False).active_at(0)
