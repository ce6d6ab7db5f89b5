from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.fuzzing import cases
from tests.support.reference import fold
from tests.support.worlds import order_of

from attribution.domain.conversions import ConversionMessage, ConversionStatus, Item

INSTANTS = st.integers(0, 3).map(lambda us: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
TEXTS = st.none() | st.text(min_size=1, max_size=5).filter(lambda text: text.isprintable())
MESSAGES = st.builds(
    ConversionMessage,
    source=st.just("shop"),
    type=st.just("purchase"),
    external_id=st.sampled_from(["1", "2"]),
    updated_at=INSTANTS,
    occurred_at=INSTANTS,
    status=st.sampled_from(ConversionStatus),
    currency=st.just("EUR"),
    gross_minor=st.integers(0, 10**15),
    discount_minor=st.integers(0, 10**15),
    items=st.lists(st.builds(Item, TEXTS, st.integers(1, 9), st.integers(0, 10**15)), max_size=2).map(tuple),
    click_id=TEXTS,
    visitor_id=TEXTS,
    customer_id=TEXTS,
    new_customer=st.none() | st.booleans(),
    discount_codes=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)


@cases(200)
@given(MESSAGES)
def test_any_message_is_read_back_as_it_was_written(message: ConversionMessage) -> None:
    """With the same hash, so that a journalled message decides ties as the same one sent to the database."""
    decoded = ConversionMessage.decode(message.encode())
    assert decoded == message
    assert decoded.content_hash() == message.content_hash()


@cases(50)
@given(st.lists(MESSAGES, max_size=4))
def test_the_reference_folds_alike_in_any_order(messages: list[ConversionMessage]) -> None:
    """The newest message wins, of equally new ones the greater hash: nothing is left to the order of arrival."""
    orders = [order_of(message) for message in messages]
    assert all(fold(permuted) == fold(orders) for permuted in permutations(orders))
