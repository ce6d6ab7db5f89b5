"""Random worlds of few visitors, customers and links, so that everything meets; and their way into the service."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from attribution.domain.click_id import ClickTokens, make_click_id
from attribution.domain.clicks import AgentClass, Channel
from attribution.domain.clicks import Click as DomainClick
from attribution.domain.conversions import ConversionMessage, ConversionStatus
from attribution.domain.ids import CampaignId, ClickId, InfluencerId, LinkId, PostId, ProgramId
from attribution.domain.refunds import RefundItem, RefundMessage, amount_text

from .reference import Click, Code, Link, Named, Order, Refund, Version, World

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

TOKENS = ClickTokens({1: b"k" * 32})
STRANGERS_TOKENS = ClickTokens({1: b"s" * 32})
FOREIGN_LINK = 900
FOREIGN_PROGRAM = 900
INFLUENCERS, CAMPAIGNS, POSTS = (1, 2, 3), (1, 2), (1, 2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
START = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp()) * 1_000_000
SPAN_HOURS = 240
MODELS = (
    "last_touch", "first_touch", "linear", "position_based", "time_decay", "j_shaped", "inverse_j",
)  # fmt: skip
POSITION_WEIGHTS = tuple(
    (Fraction(first), Fraction(middle), Fraction(last))
    for first, middle, last in (("0.4", "0.2", "0.4"), ("0", "1", "0"), ("0.333", "0", "0.667"), ("1", "0", "0"))
)


def instant(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True)
class RandomWorld:
    """What the reference knows, and the messages that say its orders and refunds."""

    world: World
    messages: tuple[ConversionMessage | RefundMessage, ...]


def random_world(seed: int, *, currencies: tuple[str, ...] = ("EUR", "JPY", "KWD")) -> RandomWorld:
    rng = random.Random(seed)  # noqa: S311
    links = {number: _link(rng) for number in range(1, 6)}
    clicks = [_click(rng, links) for _ in range(rng.randrange(4, 18))]
    unseen = [_click(rng, links) for _ in range(2)]
    said = [_message(rng, currencies, clicks + unseen) for _ in range(rng.randrange(3, 12))]
    refunds = [_refund(rng) for _ in range(rng.randrange(8))]
    world = World(
        links=links,
        clicks=clicks,
        orders=[order for order, _ in said],
        rules=[_rule(rng, number) for number in range(1, rng.randrange(1, 5))],
        campaign_windows=[
            Version(_moment(rng), {rng.choice(("purchase", "lead")): _duration(rng)}, campaign=campaign)
            for campaign in CAMPAIGNS
            for _ in range(rng.randrange(3))
        ],
        codes=[*_handed_on(rng), *(random_code(rng, text) for text in ("BELLA", "Clara", "dora"))],
        refunds=[refund_of(refund) for refund in refunds],
    )
    return RandomWorld(world, (*(message for _, message in said), *refunds))


def _moment(rng: random.Random) -> int:
    """On whole hours most of the time, so that boundaries are met; otherwise just beside them."""
    return START + rng.randrange(SPAN_HOURS) * HOUR + rng.choice((0, 0, 0, 0, -1, 1))


def _duration(rng: random.Random) -> int:
    return rng.choice((0, 1, 12, 24, 48, 120, 400)) * HOUR


def _link(rng: random.Random) -> Link:
    return Link(
        rng.choice((*INFLUENCERS, None)),
        rng.choice((*CAMPAIGNS, None)),
        rng.choice(("instagram", "tiktok", "email", None)),
        rng.choice((*POSTS, None)),
    )


def _visitor(rng: random.Random) -> str | None:
    return rng.choice(("v1", "v1", "v2", "v3", "v4", None))


def _click(rng: random.Random, links: Mapping[int, Link]) -> Click:
    at = _moment(rng)
    click_id = make_click_id(at, rng.randbytes(8))
    return Click(click_id, at, rng.choice(list(links)), _visitor(rng), bot=rng.random() < 0.15)


def _rule(rng: random.Random, number: int) -> Version:
    windows = {name: _duration(rng) for name in ("purchase", "lead", "default", "signup") if rng.random() < 0.4}
    effective_from = START + rng.randrange(3) * 80 * HOUR
    return Version(
        effective_from, windows, rng.choice(MODELS), rng.choice((0, 0, 1, 24 * HOUR)), rule_id=number,
        half_life=rng.choice((1, HOUR, 24 * HOUR, 7 * 24 * HOUR)), position_weights=rng.choice(POSITION_WEIGHTS),
    )  # fmt: skip


def random_code(rng: random.Random, text: str) -> Code:
    starts_at, ends_at = sorted((_moment(rng), _moment(rng)))
    policy = rng.choice(("always", "if_involved", "if_winner"))
    return Code(
        text, rng.choice(INFLUENCERS), policy, rng.choice((*CAMPAIGNS, None)),
        rng.choice((starts_at, None)), rng.choice((ends_at, None)), disabled=rng.random() < 0.2,
    )  # fmt: skip


def _handed_on(rng: random.Random) -> list[Code]:
    """One text that passes from one influencer to another."""
    first, then, at = random_code(rng, "ANNA15"), random_code(rng, "anna15"), _moment(rng)
    return [replace(first, starts_at=None, ends_at=at), replace(then, starts_at=at, ends_at=None)]


def _message(rng: random.Random, currencies: tuple[str, ...], clicks: list[Click]) -> tuple[Order, ConversionMessage]:
    click = rng.choice(clicks)
    token, named, bad = _click_id(rng, click)
    occurred_at = rng.choice((_moment(rng), _moment(rng), max(click.at, START)))
    message = ConversionMessage(
        source=rng.choice(("shop-eu", "shop-us")),
        type=rng.choice(("purchase", "purchase", "lead")),
        external_id=str(rng.randrange(3)),
        updated_at=instant(START + rng.randrange(3)),
        occurred_at=instant(occurred_at),
        status=rng.choice((ConversionStatus.CONFIRMED,) * 4 + (ConversionStatus.CANCELLED,)),
        currency=rng.choice(currencies),
        gross_minor=rng.choice((0, 1, 2, 100, 9_999, rng.randrange(10**6))),
        discount_minor=rng.choice((0, 0, 1, rng.randrange(1_000))),
        click_id=token,
        visitor_id=_visitor(rng),
        customer_id=rng.choice(("c1", "c2", None)),
        new_customer=rng.choice((None, None, None, True, False)),
        discount_codes=tuple(
            rng.choice((" anna15 ", "ANNA15", "bella", "CLARA", "Dora", "nobody"))
            for _ in range(rng.choice((0, 0, 1, 2, 3)))
        ),
    )
    return order_of(message, named, bad), message


def _refund(rng: random.Random) -> RefundMessage:
    """By amount or by item, with few ids, so that some are said twice, some of no order, some beyond it."""
    amounts = [rng.choice(("0", "0.01", "0.005", "1", "49.995", "3", "700")) for _ in range(rng.choice((1, 1, 2)))]
    by_item = len(amounts) > 1 or rng.random() < 0.3
    return RefundMessage(
        source=rng.choice(("shop-eu", "shop-us")),
        external_id=str(rng.randrange(3)),
        refund_id=rng.choice(("r1", "r2", "r3")),
        refunded_at=instant(START + rng.randrange(SPAN_HOURS) * HOUR),
        amount=amount_text(sum((Decimal(amount) for amount in amounts), Decimal(0))),
        items=tuple(RefundItem(rng.choice(("A", None)), 1, amount) for amount in amounts) if by_item else (),
    )


def refund_of(message: RefundMessage) -> Refund:
    return Refund(message.key, message.refund_id, message.content_hash(), Fraction(message.amount))


def _click_id(rng: random.Random, click: Click) -> tuple[str | None, Named | None, str | None]:
    """As the order has it, what it names, and what is wrong with it."""
    kind = rng.choice(("none", "none", "good", "good", "good", "forged", "garbage", "foreign"))
    if kind == "good":
        return token_of(click), named_by(click), None
    if kind == "forged":
        return STRANGERS_TOKENS.sign(click.click_id, click.link).decode(), None, "forged_click_id"
    if kind == "foreign":
        return TOKENS.sign(click.click_id, FOREIGN_LINK).decode(), None, "unknown_click_id"
    return ("gclid-1", None, "unknown_click_id") if kind == "garbage" else (None, None, None)


def named_by(click: Click) -> Named:
    return Named(click.click_id, click.at, click.link)


def token_of(click: Click) -> str:
    return TOKENS.sign(click.click_id, click.link).decode()


def order_of(message: ConversionMessage, named: Named | None = None, bad: str | None = None) -> Order:
    return Order(
        key=message.key,
        updated_at=(message.updated_at - EPOCH) // timedelta(microseconds=1),
        digest=message.content_hash(),
        occurred_at=(message.occurred_at - EPOCH) // timedelta(microseconds=1),
        cancelled=message.status is ConversionStatus.CANCELLED,
        gross=message.gross_minor,
        discount=message.discount_minor,
        currency=message.currency,
        visitor=message.visitor_id,
        customer=message.customer_id,
        named=named,
        bad_click=bad,
        codes=message.discount_codes,
        new_customer=message.new_customer,
    )


@cache
def _channel(name: str | None) -> Channel | None:
    return None if name is None else Channel(name)


def stored_click(program: int, click: Click, world: World) -> DomainClick:
    link = world.links[click.link]
    return DomainClick(
        click_id=ClickId(click.click_id),
        program_id=ProgramId(program),
        link_id=LinkId(click.link),
        influencer_id=None if link.influencer is None else InfluencerId(link.influencer),
        campaign_id=None if link.campaign is None else CampaignId(link.campaign),
        post_id=None if link.post is None else PostId(link.post),
        channel=_channel(link.channel),
        agent_class=AgentClass.SOCIAL_PREVIEW if click.bot else AgentClass.BROWSER,
        visitor_id=click.visitor,
    )


async def found_program(
    connection: "Connection", program: int, world: World, *, currency: str = "EUR", timezone: str = "UTC"
) -> None:
    """The programme with all its objects, under the ids that the world knows them by."""
    await connection.execute(
        "INSERT INTO programs (program_id, key, name, currency, timezone, click_id_param, gross_margin)"
        " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $2, $3, $4, 'click_id', 1)",
        program, f"programme-{program}", currency, timezone,
    )  # fmt: skip
    await _insert(
        connection, "influencers", program, "influencer_id, name, status",
        [(number, f"Influencer {number}", "active") for number in INFLUENCERS],
    )  # fmt: skip
    await _insert(
        connection, "campaigns", program, "campaign_id, name, status",
        [(number, f"Campaign {number}", "active") for number in CAMPAIGNS],
    )  # fmt: skip
    await _insert(
        connection, "posts", program, "post_id, influencer_id, channel, status",
        [(number, number, "blog", "active") for number in POSTS],
    )  # fmt: skip
    await add_links(connection, program, world.links)
    for version in world.rules:
        await add_rule(connection, program, version)
    for version in world.campaign_windows:
        await _insert(
            connection, "campaign_windows", program, "campaign_id, effective_from, windows",
            [(version.campaign, instant(version.effective_from), durations(version.windows))],
        )  # fmt: skip
    await _insert(
        connection, "codes", program,
        "code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status",
        [
            (
                code.text, code.text.lower(), code.influencer, code.campaign, code.policy,
                code.starts_at and instant(code.starts_at), code.ends_at and instant(code.ends_at),
                "disabled" if code.disabled else "active",
            )
            for code in world.codes
        ],
    )  # fmt: skip


async def found_foreign_program(connection: "Connection") -> None:
    await found_program(connection, FOREIGN_PROGRAM, World({FOREIGN_LINK: Link()}))


async def add_links(connection: "Connection", program: int, links: Mapping[int, Link]) -> None:
    await _insert(
        connection, "links", program,
        "link_id, slug, destination, influencer_id, campaign_id, channel, post_id, forward_query, status",
        [
            (
                number, f"p{program}-{number}", "https://shop.example/", link.influencer, link.campaign,
                link.channel, link.post, "none", "active",
            )
            for number, link in links.items()
        ],
    )  # fmt: skip


async def add_rule(connection: "Connection", program: int, rule: Version) -> None:
    await _insert(
        connection, "rules", program, "rule_id, effective_from, model, windows, parameters, min_click_to_conversion",
        [
            (
                rule.rule_id, instant(rule.effective_from), rule.model, durations(rule.windows), _parameters(rule),
                timedelta(microseconds=rule.min_gap),
            )
        ],
    )  # fmt: skip


def _parameters(rule: Version) -> dict[str, object]:
    shares = [format(Decimal(share.numerator) / share.denominator, "f") for share in rule.position_weights]
    seconds, us = divmod(rule.half_life, 1_000_000)
    return {"half_life": f"PT{seconds}.{us:06}S", "position_weights": shares}


def durations(windows: Mapping[str, int]) -> dict[str, str]:
    return {name: f"PT{us // 1_000_000}S" for name, us in windows.items()}


async def _insert(
    connection: "Connection", table: str, program: int, columns: str, rows: list[tuple[Any, ...]]
) -> None:
    places = ", ".join(f"${number}" for number in range(1, columns.count(",") + 3))
    await connection.executemany(
        f"INSERT INTO {table} (program_id, {columns}) OVERRIDING SYSTEM VALUE VALUES ({places})",  # noqa: S608
        [(program, *row) for row in rows],
    )
