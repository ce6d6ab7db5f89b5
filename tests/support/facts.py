"""Random insights, costs and exchange rates of a programme, and their way into its tables."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from attribution.domain.clicks import Click, Device

from .worlds import CAMPAIGNS, HOUR, INFLUENCERS, POSTS, SPAN_HOURS, START, instant

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

FIRST_DAY = date(2026, 3, 18)
DAYS = 20
TOTALS = ("impressions", "reach", "views", "likes", "comments", "shares", "saves", "link_taps", "followers")


@dataclass(frozen=True)
class Post:
    influencer: int
    campaign: int | None
    channel: str
    content_type: str | None


@dataclass(frozen=True)
class Insight:
    """A message: the running totals that it states of a post at a moment."""

    post: int
    at: int
    totals: Mapping[str, int]


@dataclass(frozen=True)
class Cost:
    first_day: date
    days: int
    amount: int
    currency: str
    influencer: int | None = None
    campaign: int | None = None
    post: int | None = None


@dataclass(frozen=True)
class Rate:
    day: date
    base: str
    quote: str
    rate: Decimal


@dataclass(frozen=True)
class Plan:
    """A commission plan. `flat` in minor units of `currency`."""

    effective_from: int
    percent: Decimal | None = None
    flat: int | None = None
    currency: str | None = None
    influencer: int | None = None
    campaign: int | None = None
    kind: str | None = None
    new: bool | None = None


@dataclass(frozen=True)
class Facts:
    """`dressed`: whether clicks have the countries, devices and sub ids that `dress` gives them."""

    posts: Mapping[int, Post] = field(default_factory=dict)
    insights: Sequence[Insight] = ()
    costs: Sequence[Cost] = ()
    rates: Sequence[Rate] = ()
    plans: Sequence[Plan] = ()
    dressed: bool = False


COUNTRIES, DEVICES, SUBS = ("DE", "AT", None), ("mobile", "desktop", None), ("story", "=bio", None)


def dress(click_id: bytes) -> Mapping[str, str | None]:
    """By the last bytes of its id."""
    return {
        "country": COUNTRIES[click_id[-1] % 3],
        "device": DEVICES[click_id[-2] % 3],
        "sub1": SUBS[click_id[-3] % 3],
    }


def random_facts(seed: int) -> Facts:
    rng = random.Random(seed)  # noqa: S311
    return Facts(
        posts={
            number: Post(
                rng.choice(INFLUENCERS),
                rng.choice((*CAMPAIGNS, None)),
                rng.choice(("instagram", "tiktok")),
                rng.choice(("reel", "story", None)),
            )
            for number in POSTS
        },
        insights=[_insight(rng) for _ in range(rng.randrange(12))],
        costs=[_cost(rng) for _ in range(rng.randrange(6))],
        rates=[rate for day in range(-2, DAYS + 35) for rate in _rates(rng, FIRST_DAY + timedelta(days=day))],
        plans=[_plan(rng) for _ in range(rng.randrange(9))],
        dressed=rng.random() < 0.5,
    )


def _insight(rng: random.Random) -> Insight:
    """At few moments, so that some are said twice, and some late."""
    stated = rng.sample(TOTALS, rng.randrange(1, 5))
    at = START + rng.randrange(0, SPAN_HOURS, 7) * HOUR + rng.choice((0, 0, -1, 1))
    return Insight(rng.choice(POSTS), at, {name: rng.randrange(1_000) for name in stated})


def _cost(rng: random.Random) -> Cost:
    return Cost(
        FIRST_DAY + timedelta(days=rng.randrange(DAYS)),
        rng.choice((1, 1, 3, 7, 31)),
        rng.choice((0, 1, 100, 9_999, rng.randrange(10**6))),
        rng.choice(("EUR", "USD", "JPY")),
        rng.choice((*INFLUENCERS, None)),
        rng.choice((*CAMPAIGNS, None)),
        rng.choice((*POSTS, None)),
    )


def _rates(rng: random.Random, day: date) -> list[Rate]:
    """Of both pairs, in either direction, perhaps corrected."""
    pairs = [("USD", "EUR"), ("JPY", "EUR"), *rng.sample((("EUR", "USD"), ("EUR", "JPY"), ("USD", "EUR")), 1)]
    return [
        Rate(day, *rng.choice((pair, pair[::-1])), Decimal(rng.choice(("0.5", "1.1", "0.9137", "3", "161.25"))))
        for pair in pairs
    ]


def _plan(rng: random.Random) -> Plan:
    flat = rng.choice((0, 1, 100, rng.randrange(10**4))) if rng.random() < 0.3 else None
    return Plan(
        START + rng.randrange(-100, SPAN_HOURS, 40) * HOUR,
        None if flat is not None else Decimal(rng.choice(("0", "2.9", "10", "33.333", "100"))),
        flat,
        None if flat is None else rng.choice(("EUR", "USD", "JPY")),
        rng.choice((*INFLUENCERS, None, None, None)),
        rng.choice((*CAMPAIGNS, None, None, None)),
        rng.choice(("purchase", "lead", None, None)),
        rng.choice((True, False, None, None)),
    )


async def store_facts(connection: "Connection", program: int, facts: Facts) -> None:
    for number, post in facts.posts.items():
        await connection.execute(
            "UPDATE posts SET influencer_id = $3, campaign_id = $4, channel = $5, content_type = $6"
            " WHERE program_id = $1 AND post_id = $2",
            program, number, post.influencer, post.campaign, post.channel, post.content_type,
        )  # fmt: skip
    await connection.executemany(
        f"INSERT INTO insights (program_id, post_id, at, {', '.join(TOTALS)})"  # noqa: S608
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        [(program, i.post, instant(i.at), *(i.totals.get(name) for name in TOTALS)) for i in facts.insights],
    )
    await connection.executemany(
        "INSERT INTO costs (program_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id,"
        " post_id, status) VALUES ($1, 'fee', $2, $3, $4, $5, $6, $7, $8, 'active')",
        [
            (
                program, cost.amount, cost.currency, cost.first_day, cost.first_day + timedelta(days=cost.days),
                cost.influencer, cost.campaign, cost.post,
            )
            for cost in facts.costs
        ],
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO fx_rates (program_id, date, base, quote, rate) VALUES ($1, $2, $3, $4, $5)",
        [(program, rate.day, rate.base, rate.quote, rate.rate) for rate in facts.rates],
    )
    await store_plans(connection, program, facts.plans)


async def store_plans(connection: "Connection", program: int, plans: Sequence[Plan]) -> None:
    await connection.executemany(
        "INSERT INTO commission_plans (program_id, effective_from, percent, flat_minor, currency, influencer_id,"
        " campaign_id, conversion_type, new_customer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (
                program, instant(p.effective_from), p.percent, p.flat, p.currency, p.influencer, p.campaign, p.kind,
                p.new,
            )
            for p in plans
        ],
    )  # fmt: skip


def dressed(click: Click) -> Click:
    wears = dress(click.click_id)
    device = wears["device"]
    return replace(
        click,
        country=wears["country"],
        device=None if device is None else Device(device),
        subs=(wears["sub1"], *click.subs[1:]),
    )
