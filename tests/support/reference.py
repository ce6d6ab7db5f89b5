"""Attribution as a person would work it out by hand from the rule book: slow, plain, without any code of the service.

Instants and durations are microseconds, money minor units, ids what they are in the service.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from fractions import Fraction

THIRTY_DAYS = 30 * 24 * 60 * 60 * 1_000_000
WHOLE = 10**18
"""A recorded weight is a whole number of these parts of 1."""


@dataclass(frozen=True)
class Link:
    influencer: int | None = None
    campaign: int | None = None
    channel: str | None = None
    post: int | None = None


@dataclass(frozen=True)
class Click:
    click_id: bytes
    at: int
    link: int
    visitor: str | None
    bot: bool = False


@dataclass(frozen=True)
class Named:
    """A click id of ours and of this programme, whether its click is known or not."""

    click_id: bytes
    at: int
    link: int


@dataclass(frozen=True)
class Order:
    """One message: all that its source says at `updated_at`. `bad_click`: why its click id is none."""

    key: tuple[str, str, str]
    updated_at: int
    digest: bytes
    occurred_at: int
    cancelled: bool
    gross: int
    discount: int
    currency: str = "EUR"
    visitor: str | None = None
    customer: str | None = None
    named: Named | None = None
    bad_click: str | None = None
    codes: tuple[str, ...] = ()
    new_customer: bool | None = None

    @property
    def kind(self) -> str:
        return self.key[1]


@dataclass(frozen=True)
class Refund:
    """One message. `amount`: as a person reads it, in whatever currency its order turns out to have."""

    order: tuple[str, str, str]
    refund_id: str
    digest: bytes
    amount: Fraction


@dataclass(frozen=True)
class Version:
    """A rule, or, with a campaign, that campaign's windows. Later ones in a list were made later."""

    effective_from: int
    windows: Mapping[str, int]
    model: str = "last_touch"
    min_gap: int = 0
    rule_id: int | None = None
    campaign: int | None = None
    half_life: int = 7 * 24 * 60 * 60 * 1_000_000
    position_weights: tuple[Fraction, Fraction, Fraction] = (Fraction("0.4"), Fraction("0.2"), Fraction("0.4"))


@dataclass(frozen=True)
class Code:
    text: str
    influencer: int
    policy: str
    campaign: int | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    disabled: bool = False


def codes_known(versions: Iterable[tuple[int, int, Code]], at: int | None) -> list[Code]:
    """`versions`: which code, when it was made or changed, and what it was from then on; in the order of making."""
    known = {number: code for number, made_at, code in versions if at is None or made_at <= at}
    return [known[number] for number in sorted(known)]


@dataclass(frozen=True)
class World:
    links: Mapping[int, Link]
    clicks: Sequence[Click] = ()
    orders: Sequence[Order] = ()
    rules: Sequence[Version] = ()
    campaign_windows: Sequence[Version] = ()
    codes: Sequence[Code] = ()
    refunds: Sequence[Refund] = ()


@dataclass(frozen=True)
class Target:
    """Whom a part of a conversion goes to, and through what."""

    via: str
    influencer: int | None = None
    campaign: int | None = None
    channel: str | None = None
    post: int | None = None
    link: int | None = None
    click_id: bytes | None = None
    code: str | None = None


@dataclass(frozen=True)
class Part:
    weight: int
    gross: int
    net: int
    discount: int


@dataclass
class Judged:
    order: Order
    status: str = "unattributed"
    reason: str | None = None
    rule: Version = field(default_factory=lambda: Version(0, {}))
    verdicts: dict[bytes, str] = field(default_factory=dict)
    links: dict[bytes, int] = field(default_factory=dict)
    path: list[bytes] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    credits: dict[Target, Part] = field(default_factory=dict)


def fold(orders: Iterable[Order]) -> dict[tuple[str, str, str], Order]:
    """The newest of each conversion; of equally new ones the greater hash."""
    state: dict[tuple[str, str, str], Order] = {}
    for order in orders:
        held = state.get(order.key)
        if held is None or (order.updated_at, order.digest) > (held.updated_at, held.digest):
            state[order.key] = order
    return state


def refunded(world: World, order: Order) -> int:
    """Each refund id once, with the greatest hash; each rounded half up to what the order's currency has."""
    counting: dict[str, Refund] = {}
    for refund in world.refunds:
        if refund.order == order.key:
            held = counting.get(refund.refund_id)
            if held is None or refund.digest > held.digest:
                counting[refund.refund_id] = refund
    units = {"EUR": 100, "USD": 100, "JPY": 1, "KWD": 1000}[order.currency]
    return sum(int(refund.amount * units + Fraction(1, 2)) for refund in counting.values())


def net(world: World, order: Order) -> int:
    left = order.gross - refunded(world, order)
    return 0 if order.cancelled or left < 0 else left


def judge_all(world: World) -> dict[tuple[str, str, str], Judged]:
    state = fold(world.orders)
    return {key: judge(world, order, state.values()) for key, order in state.items()}


@dataclass
class Ledger:
    """A conversion is judged by the codes that were when it was first credited, and until then by those that are."""

    bound: dict[tuple[str, str, str], Sequence[Code]] = field(default_factory=dict)

    def judge_all(self, world: World) -> dict[tuple[str, str, str], Judged]:
        state = fold(world.orders)
        judged = {}
        for key, order in state.items():
            then = replace(world, codes=self.bound.get(key, world.codes))
            judged[key] = judge(then, order, state.values())
            if all(target.via != "none" for target in judged[key].credits):
                self.bound.setdefault(key, world.codes)
        return judged


def visitors_named(world: World, order: Order) -> set[str]:
    visitors = {order.visitor} if order.visitor is not None else set()
    for click in world.clicks:
        if order.named is not None and click.click_id == order.named.click_id and click.visitor is not None:
            visitors.add(click.visitor)
    return visitors


def candidates(world: World, order: Order, orders: Iterable[Order]) -> dict[bytes, Click]:
    visitors = visitors_named(world, order)
    for other in orders:
        same = other.customer is not None and other.customer == order.customer
        if same and other.occurred_at <= order.occurred_at:
            visitors |= visitors_named(world, other)
    found = {click.click_id: click for click in world.clicks if click.visitor in visitors}
    for click in world.clicks:
        if order.named is not None and click.click_id == order.named.click_id:
            found[click.click_id] = click
    return found


def in_force(versions: Iterable[Version], at: int) -> Version | None:
    best = None
    for version in versions:
        if version.effective_from <= at and (best is None or version.effective_from >= best.effective_from):
            best = version
    return best


def window(world: World, order: Order, rule: Version, campaign: int | None) -> int:
    if campaign is not None:
        of_campaign = in_force(
            [version for version in world.campaign_windows if version.campaign == campaign], order.occurred_at
        )
        if of_campaign is not None and order.kind in of_campaign.windows:
            return of_campaign.windows[order.kind]
    if order.kind in rule.windows:
        return rule.windows[order.kind]
    if "default" in rule.windows:
        return rule.windows["default"]
    return THIRTY_DAYS


def weights(rule: Version, ages: Sequence[int]) -> list[Fraction]:
    """`ages`: of the touches of a path, the oldest first."""
    count = len(ages)
    if rule.model == "first_touch":
        given = [Fraction(1 if index == 0 else 0) for index in range(count)]
    elif rule.model == "last_touch":
        given = [Fraction(1 if index == count - 1 else 0) for index in range(count)]
    elif rule.model == "linear":
        given = [Fraction(1) for _ in ages]
    elif rule.model == "time_decay":
        given = [_halved(age - ages[-1], rule.half_life) for age in ages]
    else:
        first, middle, last = {
            "position_based": rule.position_weights,
            "j_shaped": (Fraction("0.2"), Fraction("0.2"), Fraction("0.6")),
            "inverse_j": (Fraction("0.6"), Fraction("0.2"), Fraction("0.2")),
        }[rule.model]
        given = [middle / (count - 2) if 0 < index < count - 1 else Fraction(0) for index in range(count)]
        given[0], given[-1] = first, last
    if count == 1 or sum(given) == 0:  # a single touch; or two, where only the middle is paid
        given = [Fraction(1) for _ in ages]
    whole = sum(given)
    return [part / whole for part in given]


def _halved(behind: int, half_life: int) -> Fraction:
    """To the 24th decimal, as the rule book has it."""
    with localcontext(prec=120):
        return Fraction(round(Decimal(2) ** (-Decimal(behind) / half_life), 24))


def share(total: int, parts: Sequence[Fraction]) -> list[int]:
    """Each gets its whole units; the rest goes, one by one, to the largest remainder, the earlier first."""
    given = [int(total * part) for part in parts]
    left = [total * part - got for part, got in zip(parts, given, strict=True)]
    largest_first = sorted(range(len(parts)), key=lambda index: (-left[index], index))
    for index in largest_first[: total - sum(given)]:
        given[index] += 1
    return given


def judge(world: World, order: Order, orders: Iterable[Order]) -> Judged:
    judged = Judged(order, rule=in_force(world.rules, order.occurred_at) or Version(0, {}))
    clicks = candidates(world, order, orders)
    pending = order.named is not None and order.named.click_id not in clicks
    if order.named is not None and pending:
        named = order.named
        clicks[named.click_id] = Click(named.click_id, named.at, named.link, visitor=None)
    in_order = sorted(clicks.values(), key=lambda click: (click.at, click.click_id))
    path = []
    for click in in_order:
        verdict = _verdict(world, order, judged.rule, click)
        judged.verdicts[click.click_id] = verdict
        judged.links[click.click_id] = click.link
        if verdict == "not_credited":
            path.append(click)
    judged.path = [click.click_id for click in path]
    influencers = {world.links[click.link].influencer for click in path}
    taker = _judge_codes(world, judged, influencers)
    parts = weights(judged.rule, [order.occurred_at - click.at for click in path]) if path else []
    won = [] if taker else list(zip(path, parts, strict=True))
    won = [(click, weight) for click, weight in won if weight]
    for click, _ in won:
        judged.verdicts[click.click_id] = "credited"
    _compare_codes(world, judged, {taker.influencer} if taker else {world.links[c.link].influencer for c, _ in won})
    _status(judged, in_order, pending=pending, taker=taker, credited=bool(won))
    if taker:
        targets = [(Target("code", taker.influencer, taker.campaign, code=taker.text), Fraction(1))]
    elif won:
        targets = [(_of_click(world, click), weight) for click, weight in won]
    else:
        targets = [(Target("none"), Fraction(1))]
    judged.credits = _money(order, net(world, order), targets)
    return judged


def _verdict(world: World, order: Order, rule: Version, click: Click) -> str:
    age = order.occurred_at - click.at
    if click.bot:
        return "bot"
    if age < 0:
        return "after_conversion"
    allowed = window(world, order, rule, world.links[click.link].campaign)
    if allowed == 0 or age > allowed:
        return "outside_window"
    if age < rule.min_gap:
        return "too_close"
    return "not_credited"


def _active(world: World, text: str, at: int) -> tuple[bool, Code | None]:
    """Whether the text is any code's, and the code that it is at this instant."""
    known = [code for code in world.codes if code.text.strip().lower() == text.strip().lower()]
    for code in known:
        started = code.starts_at is None or at >= code.starts_at
        ended = code.ends_at is not None and at >= code.ends_at
        if started and not ended and not code.disabled:
            return True, code
    return bool(known), None


def _judge_codes(world: World, judged: Judged, influencers: set[int | None]) -> Code | None:
    taker: Code | None = None
    for text in judged.order.codes:
        known, code = _active(world, text, judged.order.occurred_at)
        if code is None:
            verdict = "inactive" if known else "unknown"
        elif code.policy == "if_winner":
            verdict = "compared when the winner is known"
        elif code.policy == "if_involved" and code.influencer not in influencers:
            verdict = "not_involved"
        elif taker is not None:
            verdict = "superseded"
        else:
            taker = code
            verdict = "credited"
        judged.codes.append((text, verdict))
    return taker


def _compare_codes(world: World, judged: Judged, winners: set[int | None]) -> None:
    for index, (text, _) in enumerate(judged.codes):
        _, code = _active(world, text, judged.order.occurred_at)
        if code is not None and code.policy == "if_winner":
            judged.codes[index] = (text, "agrees" if code.influencer in winners else "disagrees")


def _status(judged: Judged, clicks: Sequence[Click], *, pending: bool, taker: Code | None, credited: bool) -> None:
    """A code that always takes the credit leaves nothing for a missing row to refine."""
    if pending and not (taker is not None and taker.policy == "always"):
        judged.status = "pending"
    elif taker is not None or credited:
        judged.status = "attributed"
    else:
        before = [judged.verdicts[c.click_id] for c in clicks if c.at <= judged.order.occurred_at]
        fitting = [judged.order.bad_click] if judged.order.bad_click else []
        fitting += [verdict for verdict in ("too_close", "outside_window") if verdict in before]
        fitting += ["only_bots"] if "bot" in before else []
        judged.reason = [*fitting, "no_touch"][0]


def _of_click(world: World, click: Click) -> Target:
    link = world.links[click.link]
    return Target("click", link.influencer, link.campaign, link.channel, link.post, click.link, click.click_id)


def _money(order: Order, net: int, targets: Sequence[tuple[Target, Fraction]]) -> dict[Target, Part]:
    parts = [part for _, part in targets]
    columns = (
        share(WHOLE, parts),
        share(order.gross, parts),
        share(net, parts),
        share(order.discount, parts),
    )
    return {target: Part(*(column[i] for column in columns)) for i, (target, _) in enumerate(targets)}


def by_influencer(credits_: Mapping[Target, Part]) -> dict[tuple[int | None, str], tuple[int, int]]:
    """(influencer, via) -> weight and net, as an explanation sums them."""
    weight: Counter[tuple[int | None, str]] = Counter()
    net: Counter[tuple[int | None, str]] = Counter()
    for target, part in credits_.items():
        if target.via != "none":
            weight[target.influencer, target.via] += part.weight
            net[target.influencer, target.via] += part.net
    return {key: (weight[key], net[key]) for key in weight}
