import pytest

from attribution.domain.ids import CampaignId, RecomputationId, RuleId
from attribution.domain.models import Model, Parameters
from attribution.domain.rules import DEFAULT_WINDOW_US, MARKET_DEFAULT, CampaignWindows, Rule, RuleBook, Terms

CAMPAIGN = CampaignId(5)
THIRTY_DAYS_US = 30 * 24 * 3600 * 1_000_000


def rule(rule_id: int, effective_from_us: int, created_at_us: int = 0, **windows_us: int) -> Rule:
    return Rule(
        RuleId(rule_id), windows_us=windows_us, effective_from_us=effective_from_us, created_at_us=created_at_us
    )


def book(*versions: tuple[int, int, dict[str, int]], rules: tuple[Rule, ...] = ()) -> RuleBook:
    """`versions`: effective from, created at, windows of the campaign."""
    windows = tuple(CampaignWindows(windows, since, created) for since, created, windows in versions)
    return RuleBook(rules, {CAMPAIGN: windows})


@pytest.mark.parametrize(("at_us", "rule_id"), [(99, None), (100, 1), (199, 1), (200, 2), (10**18, 2)])
def test_the_rule_in_force_at_the_conversion_applies(at_us: int, rule_id: int | None) -> None:
    """From its effective date on, that instant included, until the next one's."""
    judgement = RuleBook((rule(2, 200), rule(1, 100))).judgement("purchase", at_us, None)
    assert judgement.rule.rule_id == rule_id


def test_without_a_rule_it_is_last_touch_within_thirty_days() -> None:
    judgement = RuleBook().judgement("purchase", 0, None)
    assert judgement.rule is MARKET_DEFAULT
    assert judgement.rule.rule_id is None
    assert judgement.rule.model is Model.LAST_TOUCH
    assert judgement.window_us(None) == DEFAULT_WINDOW_US == THIRTY_DAYS_US


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_rules_with_one_effective_date_the_later_created_applies(order: tuple[int, int]) -> None:
    rules = (rule(1, 100, created_at_us=1), rule(2, 100, created_at_us=2))
    judgement = RuleBook(tuple(rules[i] for i in order)).judgement("purchase", 100, None)
    assert judgement.rule.rule_id == 2


def test_of_rules_made_in_one_instant_the_later_in_the_book_applies() -> None:
    """The book has them in the order of their ids."""
    judgement = RuleBook((rule(1, 100, 7), rule(2, 100, 7))).judgement("purchase", 100, None)
    assert judgement.rule.rule_id == 2


@pytest.mark.parametrize(("bound_at_us", "rule_id"), [(None, 2), (49, 1), (50, 2), (51, 2)])
def test_a_bound_conversion_knows_no_rule_made_later(bound_at_us: int | None, rule_id: int) -> None:
    """Even one that is effective in the past."""
    rules = (rule(1, 100, created_at_us=1), rule(2, 150, created_at_us=50))
    assert RuleBook(rules).judgement("purchase", 200, bound_at_us).rule.rule_id == rule_id


def test_a_bound_conversion_knows_no_campaign_window_made_later() -> None:
    judgement = book((0, 1, {"purchase": 10}), (0, 50, {"purchase": 20})).judgement("purchase", 100, 49)
    assert judgement.window_us(CAMPAIGN) == 10


@pytest.mark.parametrize(
    ("campaign", "rule_windows", "expected"),
    [
        ({"purchase": 1}, {"purchase": 2, "default": 3}, 1),
        ({"lead": 1}, {"purchase": 2, "default": 3}, 2),
        ({"lead": 1}, {"lead": 2, "default": 3}, 3),
        ({"lead": 1}, {"lead": 2}, THIRTY_DAYS_US),
        ({}, {}, THIRTY_DAYS_US),
        ({"purchase": 0}, {"purchase": 2}, 0),
    ],
)
def test_campaign_before_rule_before_default_before_thirty_days(
    campaign: dict[str, int], rule_windows: dict[str, int], expected: int
) -> None:
    """Each only for the conversion's own type; a window of zero is a window."""
    judgement = book((0, 0, campaign), rules=(rule(1, 0, **rule_windows),)).judgement("purchase", 100, None)
    assert judgement.window_us(CAMPAIGN) == expected


def test_a_campaigns_window_is_for_its_own_touches() -> None:
    judgement = book((0, 0, {"purchase": 1}), rules=(rule(1, 0, default=9),)).judgement("purchase", 100, None)
    assert judgement.window_us(CampaignId(6)) == 9
    assert judgement.window_us(None) == 9


@pytest.mark.parametrize(("at_us", "expected"), [(99, 9), (100, 1), (199, 1), (200, 2)])
def test_campaign_windows_are_versioned_as_rules_are(at_us: int, expected: int) -> None:
    versions = book((200, 0, {"purchase": 2}), (100, 0, {"purchase": 1}), rules=(rule(1, 0, default=9),))
    assert versions.judgement("purchase", at_us, None).window_us(CAMPAIGN) == expected


def test_a_version_replaces_all_windows_of_the_one_before() -> None:
    """What it leaves out is the rule's again."""
    versions = book((0, 0, {"purchase": 1}), (50, 0, {"lead": 2}), rules=(rule(1, 0, default=9),))
    assert versions.judgement("purchase", 100, None).window_us(CAMPAIGN) == 9


def test_the_widest_window_holds_every_touch_that_can_count() -> None:
    judgement = book((0, 0, {"purchase": 40}), rules=(rule(1, 0, purchase=30),)).judgement("purchase", 1, None)
    assert judgement.widest_window_us == 40
    assert RuleBook((rule(1, 0, purchase=0),)).judgement("purchase", 1, None).widest_window_us == 0


def test_terms_stand_in_place_of_what_they_name() -> None:
    """Windows by type; all else as the rule has it."""
    kept = Rule(RuleId(1), Model.LINEAR, {"purchase": 3, "lead": 5}, 7)
    assert Terms(windows_us={"purchase": 0}, min_click_to_conversion_us=0).over(kept) == Rule(
        RuleId(1), Model.LINEAR, {"purchase": 0, "lead": 5}, 0
    )
    assert Terms(model=Model.TIME_DECAY, half_life_us=9).over(kept) == Rule(
        RuleId(1), Model.TIME_DECAY, {"purchase": 3, "lead": 5}, 7, parameters=Parameters(9)
    )
    assert Terms().over(kept) == kept


def test_a_recomputation_binds_to_its_rule_whenever_that_is_in_force() -> None:
    """Its terms stand over the market's default too, where no rule is in force."""
    number = RecomputationId(1)
    known = RuleBook((rule(1, 0), rule(2, 500)), terms={number: Terms(RuleId(2))})
    assert known.judgement("purchase", 100, 50, number).rule.rule_id == 2
    assert known.judgement("purchase", 100, 50).rule.rule_id == 1
    bare = RuleBook(terms={number: Terms(model=Model.FIRST_TOUCH)})
    assert bare.judgement("purchase", 100, 50, number).rule == Rule(model=Model.FIRST_TOUCH)
