"""`attribute` beside the reference, over random journeys.

`make test` compares some 10,000 conversions in memory: those of 2,000 worlds made of seeds, which cost little, and
800 journeys drawn by hypothesis, which finds the smallest that fails. Whole worlds through the database are in
`tests/integration` (`test_credit_convergence`, `test_permutations`, `test_recomputations`). `make fuzz` multiplies.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.support import reference
from tests.support.fuzzing import FUZZ, cases
from tests.support.recorded import part_of, target_of
from tests.support.reference import WHOLE, Judged, Link, Order, Version, World
from tests.support.worlds import named_by, random_world

from attribution.domain.attribution import ClickState, ConversionFacts, Touch, attribute
from attribution.domain.clicks import Channel
from attribution.domain.codes import Code, CodeBook, CodeHistory, CodePolicy, code_key
from attribution.domain.ids import CampaignId, ClickId, CodeId, InfluencerId, LinkId, PostId, RuleId
from attribution.domain.models import Model, Parameters
from attribution.domain.rules import CampaignWindows, Judgement, Rule, RuleBook

CASES = cases(200)
WORLDS = 2_000 * FUZZ
NOW = 1_000
INFLUENCERS = st.sampled_from([None, 1, 2, 3])
CAMPAIGNS = st.sampled_from([None, 1, 2])
DURATIONS = st.integers(0, 40)
WINDOWS = st.dictionaries(st.sampled_from(["purchase", "lead", "default"]), DURATIONS)
INSTANTS = st.integers(NOW - 60, NOW + 5)
LINKS = st.builds(Link, INFLUENCERS, CAMPAIGNS, st.sampled_from([None, "tiktok", "blog"]))
CODES = st.builds(
    reference.Code,
    text=st.sampled_from(["ANNA", "Bella", " clara"]),
    influencer=st.integers(1, 3),
    policy=st.sampled_from(["always", "if_involved", "if_winner"]),
    campaign=CAMPAIGNS,
    starts_at=st.none() | INSTANTS,
    ends_at=st.none() | INSTANTS,
    disabled=st.booleans(),
)
ENDS = (
    st.tuples(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
    .filter(any)
    .map(
        lambda parts: (Fraction(parts[0], sum(parts)), Fraction(parts[1], sum(parts)), Fraction(parts[2], sum(parts)))
    )
)
VERSIONS = st.builds(
    Version,
    effective_from=st.integers(NOW - 3, NOW + 1),
    windows=WINDOWS,
    model=st.sampled_from(Model).map(str),
    min_gap=st.sampled_from([0, 0, 1, 5, 30]),
    campaign=st.sampled_from([1, 2]),
    half_life=st.integers(1, 100),
    position_weights=ENDS,
)
MINORS = st.sampled_from([0, 1, 2, 99, 100]) | st.integers(0, 10**12)


@st.composite
def clicks(draw: st.DrawFn) -> list[reference.Click]:
    """Of one visitor, close together, so that their instants meet."""
    times = draw(st.lists(INSTANTS, max_size=10))
    return [
        reference.Click(
            at.to_bytes(8, "big") + draw(st.binary(min_size=7, max_size=7)) + bytes([index]),
            at,
            draw(st.integers(1, 3)),
            "v",
            bot=draw(st.sampled_from([False, False, False, True])),
        )
        for index, at in enumerate(times)
    ]


@st.composite
def journeys(draw: st.DrawFn) -> World:
    """One order of one visitor under random rules, windows and codes."""
    seen = draw(clicks())
    named = draw(st.none() | clicks().filter(bool).map(lambda unseen: unseen[0]))
    order = Order(
        key=("shop", draw(st.sampled_from(["purchase", "lead", "signup"])), "1"),
        updated_at=0,
        digest=b"",
        occurred_at=NOW,
        cancelled=draw(st.booleans()),
        gross=draw(MINORS),
        discount=draw(MINORS),
        visitor="v",
        named=named_by(named) if named else None,
        bad_click=None if named else draw(st.sampled_from([None, "forged_click_id", "unknown_click_id"])),
        codes=tuple(draw(st.lists(st.sampled_from(["anna", "BELLA ", "Clara", "nobody"]), max_size=3))),
    )
    return World(
        links={number: draw(LINKS) for number in (1, 2, 3)},
        clicks=seen,
        orders=[order],
        rules=draw(st.lists(VERSIONS, max_size=3)),
        campaign_windows=draw(st.lists(VERSIONS, max_size=3)),
        codes=draw(st.lists(CODES, max_size=4, unique_by=lambda code: code_key(code.text))),
    )


def facts(world: World) -> ConversionFacts:
    [order] = world.orders
    state = ClickState(order.bad_click) if order.bad_click else ClickState.VALID if order.named else None
    net = reference.net(world, order)
    return ConversionFacts(order.occurred_at, order.gross, net, order.discount, state, order.codes)


def touches(world: World) -> list[Touch]:
    [order] = world.orders
    known = [(click, True) for click in world.clicks]
    if order.named and order.named.click_id not in {click.click_id for click in world.clicks}:
        unseen = reference.Click(order.named.click_id, order.named.at, order.named.link, None)
        known.append((unseen, False))
    return [_touch(world.links[click.link], click, stored=stored) for click, stored in known]


def _touch(link: Link, click: reference.Click, *, stored: bool) -> Touch:
    return Touch(
        click.at,
        ClickId(click.click_id),
        LinkId(click.link),
        InfluencerId(link.influencer) if link.influencer else None,
        CampaignId(link.campaign) if link.campaign else None,
        PostId(link.post) if link.post else None,
        Channel(link.channel) if link.channel else None,
        is_bot=click.bot,
        stored=stored,
    )


def judgement(world: World) -> Judgement:
    [order] = world.orders
    rules = [
        Rule(
            RuleId(number),
            Model(v.model),
            v.windows,
            v.min_gap,
            v.effective_from,
            created_at_us=number,
            parameters=Parameters(v.half_life, v.position_weights),
        )
        for number, v in enumerate(world.rules)
    ]
    windows: dict[CampaignId, list[CampaignWindows]] = {}
    for number, v in enumerate(world.campaign_windows):
        windows.setdefault(CampaignId(v.campaign or 0), []).append(
            CampaignWindows(v.windows, v.effective_from, created_at_us=number)
        )
    book = RuleBook(tuple(rules), {campaign: tuple(versions) for campaign, versions in windows.items()})
    return book.judgement(order.kind, order.occurred_at, None)


def codes(world: World) -> CodeBook:
    book: dict[str, list[Code]] = {}
    for code in world.codes:
        book.setdefault(code_key(code.text), []).append(_code(code))
    return book


def _code(code: reference.Code) -> Code:
    return Code(
        CodeId(1),
        code.text,
        InfluencerId(code.influencer),
        CampaignId(code.campaign) if code.campaign else None,
        CodePolicy(code.policy),
        code.starts_at,
        code.ends_at,
        enabled=not code.disabled,
    )


CHANGES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), CODES), max_size=8).map(
    lambda changes: sorted(changes, key=lambda change: change[1])
)
"""Which code, when, and what it was from then on."""


def history(changes: Sequence[tuple[int, int, reference.Code]]) -> CodeHistory:
    versions: dict[int, list[Code]] = {}
    for number, made_at, code in changes:
        versions.setdefault(number, []).append(replace(_code(code), created_at_us=made_at))
    texts = {code_key(code.text) for _, _, code in changes}
    ever = {
        text: [versions[n] for n in sorted(versions) if text in {code_key(v.text) for v in versions[n]}]
        for text in texts
    }
    return CodeHistory(ever)


@CASES
@given(journeys(), CHANGES, st.none() | st.integers(0, 9))
def test_a_conversion_is_judged_by_the_codes_that_were_known(
    world: World, changes: Sequence[tuple[int, int, reference.Code]], known_by: int | None
) -> None:
    """Made, renamed, handed over, dated anew or disabled later: as if it had not happened."""
    then = replace(world, codes=reference.codes_known(changes, known_by))
    expected = by_reference(then)
    conversion = facts(world)
    book = history(changes).book(conversion.discount_codes, known_by)
    judged = attribute(conversion, touches(world), judgement(world), book)
    assert [(code.text, code.verdict) for code in judged.codes] == expected.codes
    assert {target_of(credit): part_of(credit) for credit in judged.credits} == expected.credits


def by_reference(world: World) -> Judged:
    [judged] = reference.judge_all(world).values()
    return judged


@CASES
@given(journeys(), st.randoms(use_true_random=False))
def test_attribution_is_the_references(world: World, rng: random.Random) -> None:
    """Status, reason, verdicts of touches and codes, credits to the last minor unit, in any order of touches."""
    assert_as_reference(world, by_reference(world), rng)


def test_attribution_is_the_references_in_thousands_of_worlds() -> None:
    """Of many visitors, customers, codes handed on, refunds and currencies: every conversion of each."""
    conversions = 0
    for seed in range(WORLDS):
        world = random_world(seed).world
        orders = reference.fold(world.orders).values()
        for order in orders:
            found = reference.candidates(world, order, orders)
            alone = replace(world, orders=[order], clicks=list(found.values()))
            assert_as_reference(alone, reference.judge(world, order, orders), random.Random(seed))  # noqa: S311
            conversions += 1
    assert conversions > 4 * WORLDS


def assert_as_reference(world: World, expected: Judged, rng: random.Random) -> None:
    candidates = touches(world)
    rng.shuffle(candidates)
    judged = attribute(facts(world), candidates, judgement(world), codes(world))
    assert (judged.status, judged.reason) == (expected.status, expected.reason)
    assert [(t.touch.click_id, t.verdict) for t in judged.touches] == list(expected.verdicts.items())
    assert [(code.text, code.verdict) for code in judged.codes] == expected.codes
    assert {target_of(credit): part_of(credit) for credit in judged.credits} == expected.credits
    assert len(judged.credits) == len(expected.credits)


@CASES
@given(journeys())
def test_credits_are_the_whole(world: World) -> None:
    """Weights sum to exactly 1 and money to the conversion's, whatever happened."""
    conversion = facts(world)
    credits_ = attribute(conversion, touches(world), judgement(world), codes(world)).credits
    assert sum(credit.weight_units for credit in credits_) == WHOLE
    assert sum(credit.gross_minor for credit in credits_) == conversion.gross_minor
    assert sum(credit.net_minor for credit in credits_) == conversion.net_minor
    assert sum(credit.discount_minor for credit in credits_) == conversion.discount_minor
    assert min(credit.net_minor for credit in credits_) >= 0


@CASES
@given(journeys(), clicks())
def test_the_future_never_changes_the_past(world: World, more: Sequence[reference.Click]) -> None:
    """Clicks after a conversion leave its status, reason and credits as they are."""
    later = [
        replace(click, at=NOW + 1 + index, click_id=(NOW + 1 + index).to_bytes(8, "big") + click.click_id[8:])
        for index, click in enumerate(more)
    ]
    known = attribute(facts(world), touches(world), judgement(world), codes(world))
    longer = replace(world, clicks=[*world.clicks, *later])
    then = attribute(facts(world), touches(longer), judgement(world), codes(world))
    assert (then.status, then.reason, then.credits) == (known.status, known.reason, known.credits)
