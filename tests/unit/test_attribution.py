"""The rule book on one conversion; the moment of the conversion is 0 and ages count back from it."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from attribution.domain.attribution import (
    WEIGHT_UNITS,
    Attribution,
    ClickState,
    CodeVerdict,
    ConversionFacts,
    Reason,
    Status,
    Touch,
    Verdict,
    Via,
    attribute,
)
from attribution.domain.clicks import Channel
from attribution.domain.codes import Code, CodePolicy, code_key
from attribution.domain.ids import CampaignId, ClickId, CodeId, InfluencerId, LinkId, PostId
from attribution.domain.models import Model
from attribution.domain.rules import DEFAULT_WINDOW_US, Judgement, Rule

NOW = 10**15
WINDOW = 1_000
ANNA, BELLA, CLARA = InfluencerId(1), InfluencerId(2), InfluencerId(3)
CAMPAIGN = CampaignId(5)
RULE = Rule(model=Model.LINEAR, windows_us={"default": WINDOW})
LAST = replace(RULE, model=Model.LAST_TOUCH)


def touch(age: int, influencer: InfluencerId | None = ANNA, unique: int = 0, **fields: Any) -> Touch:
    click_id = ClickId((NOW - age).to_bytes(8, "big") + unique.to_bytes(8, "big"))
    return Touch(NOW - age, click_id, LinkId(9), influencer, **fields)


def sale(net: int = 100, **fields: Any) -> ConversionFacts:
    return ConversionFacts(NOW, net, net, **fields)


def code(text: str, influencer: InfluencerId, policy: CodePolicy, **fields: Any) -> Code:
    return Code(CodeId(1), text, influencer, fields.pop("campaign_id", None), policy, **fields)


def judge(
    *touches: Touch,
    rule: Rule = RULE,
    facts: ConversionFacts | None = None,
    codes: tuple[Code, ...] = (),
    campaign_windows: dict[CampaignId, int] | None = None,
) -> Attribution:
    book: dict[str, list[Code]] = {}
    for one in codes:
        book.setdefault(code_key(one.text), []).append(one)
    return attribute(facts or sale(), touches, Judgement(rule, "purchase", campaign_windows or {}), book)


def verdicts(attribution: Attribution) -> list[Verdict]:
    return [judged.verdict for judged in attribution.touches]


def code_verdicts(attribution: Attribution) -> list[CodeVerdict]:
    return [judged.verdict for judged in attribution.codes]


def paid(attribution: Attribution) -> list[tuple[int | None, int]]:
    return [(credit.influencer_id, credit.net_minor) for credit in attribution.credits]


# Windows


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (WINDOW - 1, Verdict.CREDITED),
        (WINDOW, Verdict.CREDITED),
        (WINDOW + 1, Verdict.OUTSIDE_WINDOW),
        (0, Verdict.CREDITED),
        (-1, Verdict.AFTER_CONVERSION),
    ],
)
def test_the_window_is_a_closed_interval(age: int, verdict: Verdict) -> None:
    """A click exactly `window` before counts, one microsecond more does not; nor does one after the order."""
    assert verdicts(judge(touch(age))) == [verdict]


@pytest.mark.parametrize(
    ("age", "verdict"), [(0, Verdict.OUTSIDE_WINDOW), (1, Verdict.OUTSIDE_WINDOW), (-1, Verdict.AFTER_CONVERSION)]
)
def test_a_window_of_zero_means_never(age: int, verdict: Verdict) -> None:
    """Not even a click of that very microsecond counts."""
    assert verdicts(judge(touch(age), rule=replace(RULE, windows_us={"purchase": 0}))) == [verdict]


@pytest.mark.parametrize(
    ("age", "verdict"), [(DEFAULT_WINDOW_US, Verdict.CREDITED), (DEFAULT_WINDOW_US + 1, Verdict.OUTSIDE_WINDOW)]
)
def test_without_a_window_it_is_thirty_days(age: int, verdict: Verdict) -> None:
    """Of 24 hours each, whatever calendars and clocks do in them."""
    assert verdicts(judge(touch(age), rule=Rule())) == [verdict]


def test_a_campaigns_window_is_for_touches_of_its_links() -> None:
    """It may be shorter or longer than the rule's, side by side with touches that have the rule's."""
    long = judge(
        touch(WINDOW + 2, campaign_id=CAMPAIGN),
        touch(WINDOW + 1),
        campaign_windows={CAMPAIGN: WINDOW + 2},
    )
    assert verdicts(long) == [Verdict.CREDITED, Verdict.OUTSIDE_WINDOW]
    short = judge(touch(2, campaign_id=CAMPAIGN), touch(1), campaign_windows={CAMPAIGN: 1})
    assert verdicts(short) == [Verdict.OUTSIDE_WINDOW, Verdict.CREDITED]


@pytest.mark.parametrize(("age", "verdict"), [(9, Verdict.TOO_CLOSE), (10, Verdict.CREDITED), (0, Verdict.TOO_CLOSE)])
def test_a_touch_nearer_than_the_minimum_is_too_close(age: int, verdict: Verdict) -> None:
    """At exactly the minimum it counts."""
    assert verdicts(judge(touch(age), rule=replace(RULE, min_click_to_conversion_us=10))) == [verdict]


def test_credit_falls_back_to_the_touch_before_the_one_too_close() -> None:
    """A hijack at the checkout takes nothing from who brought the buyer."""
    judged = judge(touch(500, ANNA), touch(1, BELLA), rule=replace(LAST, min_click_to_conversion_us=10))
    assert paid(judged) == [(ANNA, 100)]


def test_a_click_after_the_order_is_never_too_close() -> None:
    judged = judge(touch(-1), rule=replace(RULE, min_click_to_conversion_us=10))
    assert verdicts(judged) == [Verdict.AFTER_CONVERSION]


def test_a_bot_is_a_bot_wherever_it_stands() -> None:
    """The first verdict that fits: not after the order, nor outside the window."""
    judged = judge(*(touch(age, is_bot=True) for age in (WINDOW + 1, 5, -1)))
    assert verdicts(judged) == [Verdict.BOT] * 3
    assert paid(judged) == [(None, 100)]


# The path


def test_touches_are_ordered_by_time_whatever_order_they_come_in() -> None:
    first, second, third = touch(30), touch(20), touch(10)
    judged = judge(second, third, first, rule=LAST)
    assert [t.touch for t in judged.touches] == [first, second, third]
    assert verdicts(judged) == [Verdict.NOT_CREDITED, Verdict.NOT_CREDITED, Verdict.CREDITED]


def test_touches_of_one_instant_are_ordered_by_their_ids_as_bytes() -> None:
    """So that last and first never depend on what came first to us."""
    low, high = touch(10, ANNA, 0x7F), touch(10, BELLA, 0x80)
    assert paid(judge(high, low, rule=LAST)) == paid(judge(low, high, rule=LAST)) == [(BELLA, 100)]
    assert paid(judge(high, low, rule=replace(RULE, model=Model.FIRST_TOUCH))) == [(ANNA, 100)]


def test_what_is_set_aside_is_not_in_the_path() -> None:
    """First and last are the first and the last of what counts."""
    touches = (touch(WINDOW + 1), touch(90, BELLA), touch(50, is_bot=True), touch(20, CLARA), touch(-1))
    assert paid(judge(*touches, rule=replace(RULE, model=Model.FIRST_TOUCH))) == [(BELLA, 100)]
    assert paid(judge(*touches, rule=LAST)) == [(CLARA, 100)]
    assert paid(judge(*touches)) == [(BELLA, 50), (CLARA, 50)]


def test_a_link_without_influencer_makes_touches() -> None:
    """Its credit has no influencer, and takes its part from the others."""
    judged = judge(touch(20, None), touch(10, ANNA))
    assert paid(judged) == [(None, 50), (ANNA, 50)]
    assert judged.status is Status.ATTRIBUTED
    assert judged.credits[0].via is Via.CLICK


def test_a_credit_says_where_it_came_from() -> None:
    given = touch(5, BELLA, campaign_id=CAMPAIGN, post_id=PostId(6), channel=Channel.TIKTOK)
    [credit] = judge(given).credits
    assert (credit.via, credit.influencer_id, credit.campaign_id) == (Via.CLICK, BELLA, CAMPAIGN)
    assert (credit.post_id, credit.channel, credit.link_id) == (6, Channel.TIKTOK, 9)
    assert (credit.click_id, credit.code) == (given.click_id, None)


# Money


def test_one_cent_over_seven_touches_goes_to_the_first() -> None:
    judged = judge(*(touch(age) for age in range(1, 8)), facts=sale(1))
    assert [credit.net_minor for credit in judged.credits] == [1, 0, 0, 0, 0, 0, 0]
    assert sum(credit.weight_units for credit in judged.credits) == WEIGHT_UNITS


def test_a_thousand_touches_share_one_conversion() -> None:
    """Weights sum to exactly 1, and every sum of money to the whole."""
    judged = judge(*(touch(age) for age in range(1_000)), facts=ConversionFacts(NOW, 99_999, 88_888, 777))
    assert len(judged.credits) == 1_000
    assert sum(credit.weight_units for credit in judged.credits) == WEIGHT_UNITS
    assert sum(credit.gross_minor for credit in judged.credits) == 99_999
    assert sum(credit.net_minor for credit in judged.credits) == 88_888
    assert sum(credit.discount_minor for credit in judged.credits) == 777


def test_an_order_of_nothing_still_has_its_weights() -> None:
    judged = judge(touch(2, ANNA), touch(1, BELLA), facts=sale(0))
    assert paid(judged) == [(ANNA, 0), (BELLA, 0)]
    assert [credit.weight_units for credit in judged.credits] == [WEIGHT_UNITS // 2] * 2


def test_a_cancelled_order_keeps_its_weights_and_pays_nothing() -> None:
    judged = judge(touch(2, ANNA), touch(1, BELLA), facts=ConversionFacts(NOW, 100, 0))
    assert paid(judged) == [(ANNA, 0), (BELLA, 0)]
    assert [credit.gross_minor for credit in judged.credits] == [50, 50]
    assert [touch.weight for touch in judged.touches] == [Fraction(1, 2)] * 2


def test_weights_that_no_decimal_holds_still_sum_to_one() -> None:
    judged = judge(touch(3), touch(2), touch(1))
    assert [credit.weight_units for credit in judged.credits] == [333333333333333334, *[333333333333333333] * 2]
    assert [touch.weight for touch in judged.touches] == [Fraction(1, 3)] * 3


# Codes

ALWAYS = code("ANNA15", ANNA, CodePolicy.ALWAYS)
INVOLVED = code("ANNA15", ANNA, CodePolicy.IF_INVOLVED)
WINNER = code("ANNA15", ANNA, CodePolicy.IF_WINNER)


def test_a_code_takes_all_without_any_click() -> None:
    [credit] = judge(facts=sale(discount_codes=("ANNA15",)), codes=(replace(ALWAYS, campaign_id=CAMPAIGN),)).credits
    assert (credit.via, credit.influencer_id, credit.net_minor) == (Via.CODE, ANNA, 100)
    assert (credit.code, credit.campaign_id, credit.click_id) == ("ANNA15", CAMPAIGN, None)


def test_a_code_takes_all_from_the_clicks() -> None:
    """One conversion is never paid twice; the touches say that they were not credited."""
    judged = judge(touch(2, BELLA), touch(1, ANNA), facts=sale(discount_codes=("ANNA15",)), codes=(ALWAYS,))
    assert paid(judged) == [(ANNA, 100)]
    assert verdicts(judged) == [Verdict.NOT_CREDITED] * 2
    assert {touch.weight for touch in judged.touches} == {Fraction(0)}


@pytest.mark.parametrize(
    ("touches", "verdict", "payments"),
    [
        ([touch(2, ANNA), touch(1, BELLA)], CodeVerdict.CREDITED, [(ANNA, 100)]),
        ([touch(2, BELLA)], CodeVerdict.NOT_INVOLVED, [(BELLA, 100)]),
        ([touch(WINDOW + 1, ANNA), touch(1, BELLA)], CodeVerdict.NOT_INVOLVED, [(BELLA, 100)]),
        ([touch(5, ANNA, is_bot=True), touch(1, BELLA)], CodeVerdict.NOT_INVOLVED, [(BELLA, 100)]),
        ([], CodeVerdict.NOT_INVOLVED, [(None, 100)]),
    ],
)
def test_a_code_if_involved_takes_all_with_a_touch_in_the_path(
    touches: list[Touch], verdict: CodeVerdict, payments: list[tuple[int | None, int]]
) -> None:
    """Credited by the model or not; a touch outside the path does not involve anybody."""
    judged = judge(*touches, rule=LAST, facts=sale(discount_codes=("ANNA15",)), codes=(INVOLVED,))
    assert code_verdicts(judged) == [verdict]
    assert paid(judged) == payments


@pytest.mark.parametrize(
    ("touches", "verdict"),
    [
        ([touch(2, BELLA), touch(1, ANNA)], CodeVerdict.AGREES),
        ([touch(2, ANNA), touch(1, BELLA)], CodeVerdict.DISAGREES),
        ([], CodeVerdict.DISAGREES),
    ],
)
def test_a_code_if_winner_only_says_whether_it_agrees(touches: list[Touch], verdict: CodeVerdict) -> None:
    judged = judge(*touches, rule=LAST, facts=sale(discount_codes=("ANNA15",)), codes=(WINNER,))
    assert code_verdicts(judged) == [verdict]
    assert Via.CODE not in {credit.via for credit in judged.credits}


def test_the_first_code_that_takes_the_credit_wins() -> None:
    """In the order sent; one that would have taken it later is superseded, one that could not says why."""
    codes = (
        code("OLD", ANNA, CodePolicy.ALWAYS, ends_at_us=NOW),
        code("BELLA", BELLA, CodePolicy.IF_INVOLVED),
        code("CLARA", CLARA, CodePolicy.ALWAYS),
        code("ANNA", ANNA, CodePolicy.ALWAYS),
        code("CLARAS", CLARA, CodePolicy.IF_WINNER),
        code("ANNAS", ANNA, CodePolicy.IF_WINNER),
    )
    sent = ("what", "old", "bella", "claras", "annas", "clara", "anna", "CLARA ")
    judged = judge(touch(1, ANNA), facts=sale(discount_codes=sent), codes=codes)
    assert code_verdicts(judged) == [
        CodeVerdict.UNKNOWN,
        CodeVerdict.INACTIVE,
        CodeVerdict.NOT_INVOLVED,
        CodeVerdict.AGREES,
        CodeVerdict.DISAGREES,
        CodeVerdict.CREDITED,
        CodeVerdict.SUPERSEDED,
        CodeVerdict.SUPERSEDED,
    ]
    assert [judged_code.text for judged_code in judged.codes] == list(sent)
    assert paid(judged) == [(CLARA, 100)]


@pytest.mark.parametrize("text", ["ANNA15", " anna15 ", "Anna15"])
def test_a_code_is_matched_whatever_its_case_and_space(text: str) -> None:
    assert paid(judge(facts=sale(discount_codes=(text,)), codes=(ALWAYS,))) == [(ANNA, 100)]


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "verdict"),
    [
        (NOW, None, CodeVerdict.CREDITED),
        (NOW + 1, None, CodeVerdict.INACTIVE),
        (None, NOW, CodeVerdict.INACTIVE),
        (None, NOW + 1, CodeVerdict.CREDITED),
    ],
)
def test_a_code_must_be_active_at_the_order(starts_at: int | None, ends_at: int | None, verdict: CodeVerdict) -> None:
    """Start inclusive, end exclusive; an inactive one is reported, and the model decides."""
    dated = replace(ALWAYS, starts_at_us=starts_at, ends_at_us=ends_at)
    judged = judge(touch(1, BELLA), facts=sale(discount_codes=("ANNA15",)), codes=(dated,))
    assert code_verdicts(judged) == [verdict]
    assert paid(judged) == [(ANNA if verdict is CodeVerdict.CREDITED else BELLA, 100)]


@pytest.mark.parametrize(("handed_on_at", "owner"), [(NOW, BELLA), (NOW + 1, ANNA)])
def test_a_code_belongs_to_whoever_had_it_then(handed_on_at: int, owner: InfluencerId) -> None:
    codes = (
        replace(ALWAYS, ends_at_us=handed_on_at),
        code("anna15", BELLA, CodePolicy.ALWAYS, starts_at_us=handed_on_at),
    )
    assert paid(judge(facts=sale(discount_codes=("ANNA15",)), codes=codes)) == [(owner, 100)]


def test_a_disabled_code_is_inactive() -> None:
    judged = judge(facts=sale(discount_codes=("ANNA15",)), codes=(replace(ALWAYS, enabled=False),))
    assert code_verdicts(judged) == [CodeVerdict.INACTIVE]


# Status and reason

REASONS = [
    (ClickState.FORGED, [touch(5, is_bot=True)], Reason.FORGED_CLICK_ID),
    (ClickState.UNKNOWN, [touch(1)], Reason.UNKNOWN_CLICK_ID),
    (None, [touch(1), touch(WINDOW + 1), touch(5, is_bot=True)], Reason.TOO_CLOSE),
    (None, [touch(WINDOW + 1), touch(5, is_bot=True)], Reason.OUTSIDE_WINDOW),
    (None, [touch(5, is_bot=True), touch(-1)], Reason.ONLY_BOTS),
    (None, [touch(-1), touch(-2, is_bot=True)], Reason.NO_TOUCH),
    (None, [], Reason.NO_TOUCH),
]


@pytest.mark.parametrize(("state", "touches", "reason"), REASONS)
def test_the_first_reason_that_fits(state: ClickState | None, touches: list[Touch], reason: Reason) -> None:
    """What happened after the order is no reason: the future never changes the past."""
    judged = judge(*touches, rule=replace(RULE, min_click_to_conversion_us=2), facts=sale(click_state=state))
    assert (judged.status, judged.reason) == (Status.UNATTRIBUTED, reason)
    assert not judged.credited
    assert [credit.via for credit in judged.credits] == [Via.NONE]
    assert paid(judged) == [(None, 100)]


@pytest.mark.parametrize("state", [ClickState.FORGED, ClickState.UNKNOWN])
def test_a_bad_click_id_is_ignored_when_another_touch_counts(state: ClickState) -> None:
    judged = judge(touch(1), facts=sale(click_state=state))
    assert (judged.status, judged.reason) == (Status.ATTRIBUTED, None)


def test_a_click_known_only_by_its_id_is_credited_and_pending() -> None:
    judged = judge(touch(1, stored=False), facts=sale(click_state=ClickState.VALID))
    assert (judged.status, judged.reason) == (Status.PENDING, None)
    assert judged.credited
    assert paid(judged) == [(ANNA, 100)]


@pytest.mark.parametrize("age", [WINDOW + 1, -1])
def test_a_click_that_cannot_count_is_still_pending(age: int) -> None:
    """Its row may name a visitor, whose other clicks count."""
    judged = judge(touch(age, stored=False), facts=sale(click_state=ClickState.VALID))
    assert (judged.status, judged.reason, judged.credited) == (Status.PENDING, None, False)


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (CodePolicy.ALWAYS, Status.ATTRIBUTED),
        (CodePolicy.IF_INVOLVED, Status.PENDING),
        (CodePolicy.IF_WINNER, Status.PENDING),
    ],
)
def test_only_a_code_that_always_takes_the_credit_settles_a_pending_order(policy: CodePolicy, status: Status) -> None:
    """The missing row can show a bot, and then nobody was involved."""
    judged = judge(
        touch(1, stored=False), facts=sale(discount_codes=("ANNA15",)), codes=(replace(ALWAYS, policy=policy),)
    )
    assert judged.status is status
