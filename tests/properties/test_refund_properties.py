"""What refunds come to, beside the reference, in any order and repetition of their messages."""

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from tests.support import reference
from tests.support.fuzzing import cases
from tests.support.reference import Order, World
from tests.support.worlds import refund_of

from attribution.domain.conversions import Acceptance, ConversionStatus, acceptances, net_minor
from attribution.domain.refunds import RefundFlag, RefundItem, RefundMessage, judge_refunds, refunded_minor

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AMOUNTS = st.integers(0, 10**7).map(lambda tenths: f"{tenths // 10_000}.{tenths % 10_000:04}")
REFUNDS = st.builds(
    RefundMessage,
    source=st.just("shop"),
    external_id=st.just("1"),
    refund_id=st.sampled_from(["r1", "r2", "r3"]),
    refunded_at=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
    amount=AMOUNTS,
    items=st.lists(st.builds(RefundItem, st.sampled_from(["A", None]), st.integers(1, 3), AMOUNTS), max_size=2).map(
        tuple
    ),
)
CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])


def folded(refunds: list[RefundMessage]) -> tuple[list[RefundMessage], list[Acceptance]]:
    """As the intake holds them: what was last `stored` of each id."""
    answers = acceptances([((r.refund_id,), (r.content_hash(),)) for r in refunds], {}, set())
    counting = {r.refund_id: r for r, answer in zip(refunds, answers, strict=True) if answer is Acceptance.STORED}
    return list(counting.values()), answers


@cases(1000)
@given(st.lists(REFUNDS, max_size=6), CURRENCIES, st.integers(0, 10**6), st.sampled_from(ConversionStatus))
def test_refunds_leave_what_the_reference_leaves(
    refunds: list[RefundMessage], currency: str, gross: int, status: ConversionStatus
) -> None:
    cancelled = status is ConversionStatus.CANCELLED
    order = Order(("shop", "purchase", "1"), 0, b"", 0, cancelled, gross, 0, currency)
    world = World({}, orders=[order], refunds=[refund_of(refund) for refund in refunds])
    counting, _ = folded(refunds)
    asked = refunded_minor(counting, currency)
    assert asked == reference.refunded(world, order)
    assert net_minor(status, gross, asked) == reference.net(world, order)
    judged = judge_refunds(counting, (), gross, currency)
    assert sum(refund.amount_minor for refund in judged) == asked
    assert any(RefundFlag.OVER_REFUND in refund.flags for refund in judged) == (asked > gross)


@cases(100)
@given(st.lists(REFUNDS, max_size=4), st.randoms(use_true_random=False))
def test_refunds_fold_alike_in_any_order_and_repetition(refunds: list[RefundMessage], rng: random.Random) -> None:
    def counted(sent: list[RefundMessage]) -> set[RefundMessage]:
        return set(folded(sent)[0])

    for sent in permutations(refunds):
        repeated = [*sent, *rng.choices(refunds, k=3)] if refunds else []
        assert counted(list(sent)) == counted(repeated) == counted(refunds)
        assert all(answer is Acceptance.DUPLICATE for answer in folded(repeated)[1][len(sent) :])
