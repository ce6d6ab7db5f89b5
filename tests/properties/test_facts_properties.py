"""Costs by the day, growth of totals, commissions: they add up, whatever comes in."""

from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.domain.commission import CommissionPlan, Part, Scope, commissions
from attribution.domain.costs import spread
from attribution.domain.ids import CommissionPlanId, InfluencerId
from attribution.domain.insights import Total, growth, series
from attribution.domain.money import MINOR_MAX, half_up, split

CASES = settings(max_examples=200, deadline=None)
MOMENTS = st.integers(0, 50)
TOTALS = st.lists(st.builds(Total, MOMENTS, st.integers(0, 1000)), max_size=20)
PLANS = [
    None,
    *(CommissionPlan(CommissionPlanId(n), Scope(), 0, 0, rate=Fraction(n, 100)) for n in (0, 3, 29, 100)),
    *(CommissionPlan(CommissionPlanId(n), Scope(), 0, 0, flat_minor=n) for n in (101, 1000)),
]


@CASES
@given(st.integers(0, MINOR_MAX), st.dates(max_value=date(9000, 1, 1)), st.integers(1, 400))
def test_a_period_cost_is_the_same_every_day_and_adds_up(amount: int, first: date, days: int) -> None:
    parts = spread(amount, first, first + timedelta(days))
    assert list(parts) == [first + timedelta(number) for number in range(days)]
    assert sum(parts.values()) == amount
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
    assert max(parts.values()) - min(parts.values()) <= 1


@CASES
@given(TOTALS, st.lists(MOMENTS, min_size=2, max_size=8).map(sorted))
def test_growth_of_the_buckets_is_growth_of_the_whole(totals: list[Total], edges: list[int]) -> None:
    assert sum(series(totals, edges)) == growth(totals, edges[0], edges[-1])


@CASES
@given(TOTALS, MOMENTS)
def test_growth_since_ever_is_the_last_total_known(totals: list[Total], to_us: int) -> None:
    before = [total for total in totals if total.at_us < to_us]
    last = max(enumerate(before), key=lambda item: (item[1].at_us, item[0]), default=(0, Total(0, 0)))[1].value
    assert growth(totals, 0, to_us) == last


@CASES
@given(
    st.integers(0, 10**7),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 100), st.sampled_from(PLANS)), min_size=1, max_size=8),
)
def test_an_influencer_gets_the_rate_of_their_net(
    net: int, drawn: list[tuple[int, int, CommissionPlan | None]]
) -> None:
    whole = sum(weight for _, weight, _ in drawn)
    weights = [Fraction(weight, whole) for _, weight, _ in drawn]
    parts = [
        Part(InfluencerId(who), weight, minor, plan)
        for (who, _, plan), weight, minor in zip(drawn, weights, split(net, weights), strict=True)
    ]
    paid = commissions(parts)
    for key in {(part.influencer_id, part.plan) for part in parts}:
        own = [
            (part, amount) for part, amount in zip(parts, paid, strict=True) if (part.influencer_id, part.plan) == key
        ]
        total, plan = sum(amount for _, amount in own), key[1]
        if plan is None:
            assert total == 0
        elif plan.rate is not None:
            assert total == half_up(sum(part.net_minor for part, _ in own) * plan.rate)
        else:
            assert plan.flat_minor is not None
            assert abs(total - sum((plan.flat_minor * part.weight for part, _ in own), Fraction(0))) < len(own)


@CASES
@given(st.integers(0, 10**6), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_one_flat_plan_for_all_is_paid_exactly_once(amount: int, drawn: list[int]) -> None:
    plan = CommissionPlan(CommissionPlanId(1), Scope(), 0, 0, flat_minor=amount)
    parts = [Part(InfluencerId(n), Fraction(w, sum(drawn)), 0, plan) for n, w in enumerate(drawn)]
    assert sum(commissions(parts)) == amount
