import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.domain.click_id import TOKEN_LENGTH, ClickTokens, SignedClick, clicked_at_us, make_click_id
from attribution.domain.ids import ClickId, LinkId

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
OLD, NEW = b"o" * 32, b"n" * 16
TOKENS = ClickTokens({1: OLD})
CLICK_IDS = st.binary(min_size=16, max_size=16)
LINK_IDS = st.integers(0, 2**64 - 1)
TIMES_US = st.integers(0, 2**64 - 1)


@given(CLICK_IDS, LINK_IDS)
def test_round_trip(click_id: bytes, link_id: int) -> None:
    """What is signed is read back; a token has 56 characters that need no encoding anywhere."""
    token = TOKENS.sign(click_id, link_id).decode()
    assert len(token) == TOKEN_LENGTH
    assert set(token) <= set(ALPHABET)
    assert TOKENS.parse(token) == SignedClick(ClickId(click_id), LinkId(link_id))


@given(CLICK_IDS, LINK_IDS, st.integers(0, TOKEN_LENGTH - 1), st.sampled_from(ALPHABET))
def test_any_changed_character_is_a_forgery(click_id: bytes, link_id: int, at: int, character: str) -> None:
    """A token with another character anywhere is forged, never accepted."""
    token = TOKENS.sign(click_id, link_id).decode()
    changed = token[:at] + character + token[at + 1 :]
    assert changed == token or TOKENS.parse(changed) == "forged_click_id"


@given(st.text() | st.text(ALPHABET, min_size=56, max_size=56) | st.text(ALPHABET + "\n=é", min_size=55, max_size=58))
def test_any_text_has_an_answer(text: str) -> None:
    """A text of our format is forged, any other unknown; nothing raises."""
    ours = len(text) == TOKEN_LENGTH and set(text) <= set(ALPHABET)
    assert TOKENS.parse(text) == ("forged_click_id" if ours else "unknown_click_id")


@given(CLICK_IDS, LINK_IDS)
def test_keys_rotate(click_id: bytes, link_id: int) -> None:
    """The highest key signs, all verify, a dropped or changed one does not."""
    both, new = ClickTokens({1: OLD, 2: NEW}), ClickTokens({2: NEW})
    old_token, new_token = TOKENS.sign(click_id, link_id).decode(), both.sign(click_id, link_id).decode()
    assert (
        both.parse(old_token)
        == both.parse(new_token)
        == new.parse(new_token)
        == SignedClick(ClickId(click_id), LinkId(link_id))
    )
    assert (
        new.parse(old_token) == TOKENS.parse(new_token) == ClickTokens({1: NEW}).parse(old_token) == "forged_click_id"
    )


@given(TIMES_US, TIMES_US, st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_click_ids_sort_by_time(first_us: int, second_us: int, first: bytes, second: bytes) -> None:
    """The order of click ids as bytes is the order of their times."""
    ids = make_click_id(first_us, first), make_click_id(second_us, second)
    assert [clicked_at_us(click_id) for click_id in ids] == [first_us, second_us]
    assert first_us == second_us or (ids[0] < ids[1]) == (first_us < second_us)


@pytest.mark.parametrize("keys", [{}, {1: b"short"}, {1: b"x" * 65}, {256: OLD}, {-1: OLD}])
def test_bad_keys(keys: dict[int, bytes]) -> None:
    """Keys that can't sign are refused when they are set."""
    with pytest.raises(ValueError, match="click-id keys"):
        ClickTokens(keys)
