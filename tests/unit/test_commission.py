"""Who is paid what for a conversion, worked by hand."""

from fractions import Fraction

import pytest

from attribution.domain.commission import CommissionPlan, Part, PlanBook, Scope, commissions, flat_due
from attribution.domain.ids import CampaignId, CommissionPlanId, InfluencerId

ANNA, BEN = InfluencerId(1), InfluencerId(2)
WINTER = CampaignId(5)
HALF = Fraction(1, 2)
THIRD = Fraction(1, 3)


def percent(
    plan_id: int, percent: str, scope: Scope | None = None, *, since: int = 0, made: int = 0
) -> CommissionPlan:
    return CommissionPlan(CommissionPlanId(plan_id), scope or Scope(), since, made, rate=Fraction(percent) / 100)


def flat(plan_id: int, minor: int) -> CommissionPlan:
    return CommissionPlan(CommissionPlanId(plan_id), Scope(), 0, 0, flat_minor=minor, currency="EUR")


def chosen(
    plans: list[CommissionPlan], credit: Scope, at_us: int = 100, bound_at_us: int | None = None
) -> int | None:
    plan = PlanBook(plans).choose(credit, at_us, bound_at_us)
    return plan.plan_id if plan else None


@pytest.mark.parametrize(
    ("net_minor", "rate", "minor"), [(15, "10", 2), (500, "2.9", 15), (2, "20", 0), (0, "10", 0)]
)
def test_a_percentage_is_rounded_half_up(net_minor: int, rate: str, minor: int) -> None:
    assert commissions([Part(ANNA, Fraction(1), net_minor, percent(1, rate))]) == [minor]


def test_the_influencers_part_is_rounded_not_each_touch() -> None:
    """Two touches of 5 at 10 %: together 1, where 0.5 each would be rounded up to 2."""
    plan = percent(1, "10")
    assert commissions([Part(ANNA, HALF, 5, plan), Part(ANNA, HALF, 5, plan)]) == [1, 0]
    assert commissions([Part(ANNA, HALF, 5, plan), Part(BEN, HALF, 5, plan)]) == [1, 1]


def test_a_flat_amount_is_split_by_weight() -> None:
    plan = flat(1, 100)
    assert commissions([Part(ANNA, THIRD, 0, plan), Part(BEN, THIRD, 0, plan), Part(ANNA, THIRD, 0, plan)]) == [
        34,
        33,
        33,
    ]


def test_a_part_takes_its_share_of_its_own_plans_amount() -> None:
    """Anna's plan gives 10.00 a conversion, Ben's 10 % of his half; what belongs to nobody is paid to nobody."""
    parts = [Part(ANNA, HALF, 2000, flat(1, 1000)), Part(BEN, Fraction(1, 4), 1000, percent(2, "10"))]
    assert commissions([*parts, Part(None, Fraction(1, 4), 1000, None)]) == [500, 100, 0]


def test_parts_of_one_influencer_under_two_plans_are_rounded_apart() -> None:
    assert commissions([Part(ANNA, HALF, 5, percent(1, "10")), Part(ANNA, HALF, 5, percent(2, "30"))]) == [1, 2]


def test_a_refund_takes_back_at_the_same_rate() -> None:
    """7.5 % of 40.00 is 3.00; after 10.00 came back, of 30.00 it is 2.25."""
    plan = percent(1, "7.5")
    assert commissions([Part(ANNA, Fraction(1), 4000, plan)]) == [300]
    assert commissions([Part(ANNA, Fraction(1), 3000, plan)]) == [225]


def test_a_flat_amount_stands_until_nothing_is_left() -> None:
    assert flat_due(4000, 1, cancelled=False)
    assert not flat_due(4000, 0, cancelled=False)
    assert not flat_due(4000, 0, cancelled=True)
    assert flat_due(0, 0, cancelled=False), "a lead without value"
    assert commissions([Part(ANNA, Fraction(1), 0, flat(1, 100))], due=False) == [0]


def test_the_most_specific_plan_wins() -> None:
    """Influencer before campaign before conversion type before customers, whatever the less specific ones say."""
    credit = Scope(ANNA, WINTER, "purchase", new_customer=True)
    plans = [
        percent(1, "1"),
        percent(2, "2", Scope(new_customer=True)),
        percent(3, "3", Scope(conversion_type="purchase")),
        percent(4, "4", Scope(conversion_type="purchase", new_customer=True)),
        percent(5, "5", Scope(campaign_id=WINTER)),
        percent(6, "6", Scope(campaign_id=WINTER, conversion_type="purchase", new_customer=True)),
        percent(7, "7", Scope(ANNA)),
        percent(8, "8", Scope(ANNA, new_customer=True)),
        percent(9, "9", Scope(ANNA, WINTER)),
    ]
    while plans:
        assert chosen(plans, credit) == len(plans)
        plans.pop()
    assert chosen(plans, credit) is None


@pytest.mark.parametrize(
    "scope",
    [Scope(BEN), Scope(campaign_id=WINTER), Scope(conversion_type="lead"), Scope(new_customer=True)],
)
def test_a_plan_for_others_does_not_fit(scope: Scope) -> None:
    """Also where the credit has no campaign, and nobody knows whether the customer is new."""
    assert chosen([percent(1, "1", scope)], Scope(ANNA, None, "purchase", None)) is None


def test_a_credit_without_influencer_earns_nothing() -> None:
    assert chosen([percent(1, "1")], Scope(None, WINTER, "purchase")) is None


def test_within_a_scope_the_latest_in_force_counts() -> None:
    plans = [
        percent(1, "1", since=0),
        percent(2, "2", since=100),
        percent(3, "3", since=100),
        percent(4, "4", since=101),
    ]
    assert chosen(plans, Scope(ANNA)) == 3
    assert chosen(plans, Scope(ANNA), at_us=99) == 1


def test_a_special_plan_that_is_not_yet_in_force_leaves_the_general_one() -> None:
    plans = [percent(1, "1"), percent(2, "2", Scope(ANNA), since=200)]
    assert chosen(plans, Scope(ANNA), at_us=199) == 1
    assert chosen(plans, Scope(ANNA), at_us=200) == 2


def test_a_bound_conversion_knows_no_later_plan() -> None:
    plans = [percent(1, "1", made=10), percent(2, "2", made=50)]
    assert chosen(plans, Scope(ANNA), bound_at_us=49) == 1
    assert chosen(plans, Scope(ANNA), bound_at_us=50) == 2
    assert chosen(plans, Scope(ANNA), bound_at_us=9) is None
