"""The page that an influencer reads who asks "why was I not paid?"."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from attribution.adapters.explanation_facts import CreditRecord
from attribution.adapters.stored_conversions import StoredConversion
from attribution.conversions.explanation import Explanation
from attribution.conversions.explanation_page import duration, page
from attribution.domain.attribution import ClickState, ConversionFacts, Touch, attribute
from attribution.domain.candidates import NamedBy, Naming, TouchDetail
from attribution.domain.codes import Code, CodePolicy, code_key
from attribution.domain.conversions import ConversionStatus
from attribution.domain.ids import CampaignId, ClickId, CodeId, ConversionId, InfluencerId, LinkId, ProgramId, RuleId
from attribution.domain.instants import to_us
from attribution.domain.models import Model
from attribution.domain.programs import Program
from attribution.domain.rules import Judgement, Rule
from attribution.domain.valuation import Valuation

ORDERED = datetime(2026, 11, 20, 10, tzinfo=UTC)
NOW = to_us(ORDERED)
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
ANNA, BELLA = InfluencerId(1), InfluencerId(2)
BERLIN = Program(ProgramId(1), "acme", "EUR", "Europe/Berlin", "click_id")
RULE = Rule(
    RuleId(5), Model.LINEAR, {"purchase": 30 * DAY}, min_click_to_conversion_us=10 * SECOND,
    effective_from_us=to_us(datetime(2026, 1, 1, tzinfo=UTC)),
)  # fmt: skip
JUDGEMENT = Judgement(RULE, "purchase", {CampaignId(3): 7 * DAY, CampaignId(4): 0})
JUDGED = CreditRecord(judged_at=ORDERED + timedelta(seconds=6), bound_at=ORDERED + timedelta(seconds=6))


def touch(age_us: int, influencer: InfluencerId | None, number: int, **fields: Any) -> Touch:
    click_id = ClickId((NOW - age_us).to_bytes(8, "big") + number.to_bytes(8, "big"))
    return Touch(NOW - age_us, click_id, LinkId(number), influencer, **fields)


def code(text: str, influencer: InfluencerId, policy: CodePolicy, **fields: Any) -> Code:
    return Code(CodeId(1), text, influencer, None, policy, **fields)


def order(**fields: Any) -> StoredConversion:
    facts = ConversionFacts(NOW, fields.pop("gross", 4000), fields.pop("net", 4000), 0, None, fields.pop("codes", ()))
    values: dict[str, Any] = {
        "program_id": ProgramId(1), "conversion_id": ConversionId(1), "source": "shop-eu", "type": "purchase",
        "external_id": "1001", "status": ConversionStatus.CONFIRMED, "currency": "EUR", "customer_id": None,
        "new_customer": None, "refunded_minor": 0,
        "click_id": None, "click_link_id": None, "facts": facts, "bound_at_us": None,
    }  # fmt: skip
    return StoredConversion(**(values | fields))


def explain(
    conversion: StoredConversion, *touches: Touch, codes: tuple[Code, ...] = (), judgement: Judgement = JUDGEMENT,
    **fields: Any,
) -> Explanation:  # fmt: skip
    book = {
        code_key(text): [c for c in codes if code_key(c.text) == code_key(text)]
        for text in conversion.facts.discount_codes
    }
    attribution = attribute(conversion.facts, touches, judgement, book)
    values: dict[str, Any] = {"record": JUDGED, "codes": book, "names": {ANNA: "Anna", BELLA: "Bella"}}
    valuation = Valuation(attribution.credits, (None,) * len(attribution.credits))
    return Explanation(conversion, attribution, valuation, **(values | fields))


TOUCHES = (
    touch(31 * DAY + 2 * HOUR, BELLA, 1),
    touch(9 * DAY, BELLA, 2, campaign_id=CampaignId(3)),
    touch(DAY, BELLA, 8, campaign_id=CampaignId(4)),
    touch(2 * DAY, ANNA, 3),
    touch(HOUR + 1, None, 4),
    touch(9 * SECOND, ANNA, 5),
    touch(2 * HOUR, ANNA, 6, is_bot=True),
    touch(-5, BELLA, 7),
)
DETAILS = {
    TOUCHES[0].click_id: TouchDetail("bella-ig", "browser", "v1"),
    TOUCHES[3].click_id: TouchDetail("anna-ig", "browser", "v2"),
    TOUCHES[6].click_id: TouchDetail("anna-ig", "search-engine", None),
}
NAMINGS = {
    "v1": Naming(NamedBy.VISITOR),
    "v2": Naming(NamedBy.CUSTOMER, ("shop-us", "signup", "77")),
}

WHOLE_PAGE = """\
Order 1001 of source shop-eu
Programme: acme
Moment:    2026-11-20 10:00:00 UTC (2026-11-20 11:00:00 Europe/Berlin)
Amount:    39.99 EUR
Status:    attributed
Rule:      5, in force since 2026-01-01 00:00:00 UTC: linear, window 30 days, at least 10 seconds from click to order
Record:    judged 2026-11-20 10:00:06 UTC; bound to the rules, windows and codes known 2026-11-20 10:00:06 UTC

Bella (influencer 2) has no credit for this order
  Click of 2026-10-20 08:00:00 UTC (2026-10-20 10:00:00 Europe/Berlin) on link bella-ig of Bella (influencer 2), \
by the order's own visitor: 31 days 2 hours before the order; the window is 30 days (rule 5, for purchase): too early.
  Click of 2026-11-11 10:00:00 UTC (2026-11-11 11:00:00 Europe/Berlin) on link 2 of Bella (influencer 2): \
9 days before the order; the window is 7 days (campaign 3, for purchase): too early.
  Click of 2026-11-19 10:00:00 UTC (2026-11-19 11:00:00 Europe/Berlin) on link 8 of Bella (influencer 2): \
1 day before the order; the window is zero (campaign 4, for purchase): such clicks never count.
  Click of 2026-11-20 10:00:00.000005 UTC (2026-11-20 11:00:00.000005 Europe/Berlin) on link 7 of \
Bella (influencer 2): 0.000005 seconds after the order; only clicks before the order count.
  Code BELLA of Bella (influencer 2), policy if_involved: its influencer has no click that counts, \
so the code takes nothing.

Credit:
  Anna (influencer 1) through click: weight 0.5, 20.00 EUR
  nobody through click: weight 0.5, 19.99 EUR
  The money is split into whole units of 0.01 EUR by largest remainder, ties to the earlier click; \
the parts add up to the whole.
  Commission: no plan holds for this credit.

Other touches, the oldest first:
  Click of 2026-11-18 10:00:00 UTC (2026-11-18 11:00:00 Europe/Berlin) on link anna-ig of Anna (influencer 1), \
by a visitor of the customer's signup 77 of shop-us: 2 days before the order; \
the window is 30 days (rule 5, for purchase): credited, weight 0.5, 20.00 EUR.
  Click of 2026-11-20 08:00:00 UTC (2026-11-20 09:00:00 Europe/Berlin) on link anna-ig of Anna (influencer 1): \
2 hours before the order; made by a bot (search-engine), and bots never count.
  Click of 2026-11-20 08:59:59.999999 UTC (2026-11-20 09:59:59.999999 Europe/Berlin) on link 4 of nobody: \
1 hour 0.000001 seconds before the order; the window is 30 days (rule 5, for purchase): credited, \
weight 0.5, 19.99 EUR.
  Click of 2026-11-20 09:59:51 UTC (2026-11-20 10:59:51 Europe/Berlin) on link 5 of Anna (influencer 1): \
9 seconds before the order; rule 5 sets aside what is nearer than 10 seconds: too close.

Other codes, in the order sent:
  Code nobody: no such code was known 2026-11-20 10:00:06 UTC, when the order was first credited.
  Code OLD: not active then (that of Anna (influencer 1) until 2026-11-20 10:00:00 UTC, disabled).
"""


def test_a_whole_page() -> None:
    """Each candidate and each code with its numbers and its reason; who asks comes first."""
    conversion = order(gross=3999, net=3999, codes=("BELLA", "nobody", "OLD"))
    codes = (
        code("BELLA", BELLA, CodePolicy.IF_INVOLVED),
        code("old", ANNA, CodePolicy.ALWAYS, ends_at_us=NOW, enabled=False),
    )
    explanation = explain(conversion, *TOUCHES, codes=codes, details=DETAILS, namings=NAMINGS)
    assert page(explanation, BERLIN, BELLA) == WHOLE_PAGE


NOBODY = """\
Order 1001 of source shop-eu
Programme: acme
Moment:    2026-11-20 10:00:00 UTC
Amount:    40.00 EUR
Status:    unattributed (no_touch): no click before it is known
Rule:      none is in force, so last_touch, window 30 days
Record:    not yet judged; this page shows what judging it now gives

Bella (influencer 2) has no credit for this order
  No click on a link of this influencer is tied to the order.
  No code of this influencer came with the order.

Credit: none

Other touches, the oldest first: none

Other codes, in the order sent: none
"""


def test_a_page_about_nothing() -> None:
    """Before the first judgement it says so; a programme in UTC has each time once."""
    explanation = explain(order(), judgement=Judgement(Rule(), "purchase"), record=CreditRecord())
    assert page(explanation, replace(BERLIN, timezone="UTC"), BELLA) == NOBODY


def lines(explanation: Explanation) -> list[str]:
    return [line.strip() for line in page(explanation, replace(BERLIN, timezone="UTC")).splitlines()]


def test_a_code_that_takes_all_says_so_and_so_do_the_touches() -> None:
    conversion = order(codes=("ANNA15", "ANNA16"))
    codes = (code("ANNA15", ANNA, CodePolicy.ALWAYS), code("ANNA16", ANNA, CodePolicy.ALWAYS))
    said = lines(explain(conversion, touch(HOUR, BELLA, 1), codes=codes))
    assert "Anna (influencer 1) through code ANNA15: weight 1, 40.00 EUR" in said
    assert "Code ANNA15 of Anna (influencer 1), policy always: takes all the credit, 40.00 EUR." in said
    assert "Code ANNA16 of Anna (influencer 1), policy always: a code that came before it has all the credit." in said
    assert any(line.endswith("in time, but code ANNA15 takes all the credit.") for line in said)


@pytest.mark.parametrize(("owner", "says"), [(ANNA, "agrees with"), (BELLA, "disagrees with")])
def test_a_code_that_only_compares_says_whether_it_agrees(owner: InfluencerId, says: str) -> None:
    conversion = order(codes=("C",))
    said = lines(explain(conversion, touch(HOUR, ANNA, 1), codes=(code("C", owner, CodePolicy.IF_WINNER),)))
    assert any(line.endswith(f"never takes credit; it {says} the winner.") for line in said)


def test_a_code_that_was_handed_on_is_shown_to_whoever_had_it() -> None:
    """Both owners read of it, and from when to when it was whose."""
    before = code("Move", ANNA, CodePolicy.ALWAYS, ends_at_us=NOW - DAY)
    conversion = order(codes=("MOVE",))
    explanation = explain(conversion, codes=(before, code("move", BELLA, CodePolicy.ALWAYS, starts_at_us=NOW - DAY)))
    line = (
        "  Code MOVE of Bella (influencer 2), policy always: takes all the credit, 40.00 EUR "
        "(that of Anna (influencer 1) until 2026-11-19 10:00:00 UTC; "
        "that of Bella (influencer 2) since 2026-11-19 10:00:00 UTC)."
    )
    for owner in (ANNA, BELLA):
        about, _, others = page(explanation, BERLIN, owner).partition("\nCredit:")
        assert line in about
        assert others.endswith("Other codes, in the order sent: none\n")


def test_that_no_code_came_is_said_of_the_codes_that_judge() -> None:
    said = page(explain(order(codes=("BELLA",))), BERLIN, BELLA)
    assert "  No code of this influencer came with the order, by the codes known 2026-11-20 10:00:06 UTC.\n" in said


def test_touches_that_are_not_listed_are_counted_beside_whose_they_are() -> None:
    """A list without any of them does not say that there are none."""
    said = page(explain(order(), touch(HOUR, ANNA, 1), more_touches=7, more_of_influencer=5), BERLIN, ANNA)
    about, _, others = said.partition("\nCredit:")
    assert about.endswith("weight 1, 40.00 EUR.\n  and 5 more, not listed\n" + about[about.rindex("  No code") :])
    assert "Other touches, the oldest first:\n  and 2 more, not listed\n" in others


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({}, "40.00 EUR"),
        ({"net": 2500}, "40.00 EUR, less refunds of 15.00 EUR: 25.00 EUR"),
        (
            {"net": 0, "status": ConversionStatus.CANCELLED},
            "40.00 EUR, cancelled: the credits keep their weights and the money is 0",
        ),
        ({"currency": "JPY"}, "4000 JPY"),
        ({"currency": "KWD"}, "4.000 KWD"),
    ],
)
def test_the_amount_tells_of_refunds_and_cancellation(fields: dict[str, Any], amount: str) -> None:
    assert f"Amount:    {amount}" in page(explain(order(**fields), touch(HOUR, ANNA, 1)), BERLIN)


def test_a_pending_click_is_told_from_one_that_is_here() -> None:
    unseen = touch(HOUR, ANNA, 1, stored=False)
    conversion = order(click_id=UUID(bytes=unseen.click_id))
    conversion = conversion._replace(facts=conversion.facts._replace(click_state=ClickState.VALID))
    said = lines(explain(conversion, unseen))
    assert "Status:    pending: the order names a click whose row is not here yet; it is judged again then" in said
    [line] = [line for line in said if line.startswith("Click of")]
    assert ", named by the order's click id: 1 hour before the order;" in line
    assert line.endswith("credited, weight 1, 40.00 EUR (known by its signed id only, until its row is here).")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (replace(JUDGED, is_waiting=True), "; waits to be judged again"),
        (replace(JUDGED, is_as_computed=False), "; the recorded credits differ from this page"),
    ],
)
def test_the_record_is_told_from_what_judging_now_gives(record: CreditRecord, says: str) -> None:
    assert says in page(explain(order(), record=record), BERLIN)
    assert says not in page(explain(order()), BERLIN)


def test_another_model_is_said_to_be_asked_for() -> None:
    judgement = replace(JUDGEMENT, rule=replace(RULE, model=Model.FIRST_TOUCH))
    said = page(
        explain(
            order(), touch(2 * HOUR, ANNA, 1), touch(HOUR, BELLA, 2), judgement=judgement, is_other_model=True,
            record=replace(JUDGED, is_as_computed=False),
        ),
        BERLIN,
    )  # fmt: skip
    assert "first_touch (asked for, in place of the rule's own)" in said
    assert "in time, but the model first_touch gives it nothing." in said
    assert "differ" not in said


def test_another_kind_of_conversion_is_called_by_its_name() -> None:
    lead = order(type="lead", gross=0, net=0)
    said = page(explain(lead, touch(HOUR, ANNA, 1), judgement=Judgement(RULE, "lead")), BERLIN)
    assert said.startswith("Lead 1001 of source shop-eu\n")
    assert "1 hour before the lead; the window is 30 days (the market's default)" in said


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 seconds"),
        (1, "0.000001 seconds"),
        (SECOND, "1 second"),
        (90 * SECOND, "1 minute 30 seconds"),
        (30 * DAY + 1, "30 days 0.000001 seconds"),
        (31 * DAY + 2 * HOUR, "31 days 2 hours"),
        (DAY - 1, "23 hours 59 minutes 59.999999 seconds"),
    ],
)
def test_a_duration_is_said_in_words_and_exactly(us: int, text: str) -> None:
    assert duration(us) == text
