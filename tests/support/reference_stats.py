"""What a brand would count by hand: every click, credit, total and cost is looked at once, one after the other."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .facts import TOTALS, Facts, dress
from .reference import Judged, Version, World, judge_all
from .reference_value import exchanged, is_new, worth

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Label = str | datetime | None
Sums = Counter[str]
"""By the names of `Sum`; weights count the parts that a recorded weight has."""
CLICKS = ("clicks", "bot_clicks", "unique_visitors")
CREDITS = (
    "conversions", "orders", "leads", "new_customers", "gross_minor", "net_minor", "discount_minor",
    "commission_minor",
)  # fmt: skip
COSTS = ("costs_minor",)
ALL = (*CLICKS, *CREDITS, *TOTALS, *COSTS)


@dataclass(frozen=True)
class Question:
    currency: str
    zone: ZoneInfo
    start: datetime
    end: datetime
    group_by: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sums: Collection[str] = ALL
    by_click: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Fact:
    """`hourly`: whether it belongs to an hour, not only to a day."""

    at: datetime
    labels: Mapping[str, Label]
    add: Mapping[str, int]
    visitor: object = None
    hourly: bool = True


def count(world: World, question: Question, facts: Facts | None = None) -> dict[tuple[Label, ...], Sums]:
    """Groups that have no fact of the sums asked for are not there."""
    rows: dict[tuple[Label, ...], Sums] = {}
    visitors: dict[tuple[Label, ...], set[object]] = {}
    for fact in _facts(world, question, facts or Facts()):
        labels = _labels(fact, question.zone)
        in_period = question.start <= fact.at < question.end
        if in_period and all(_fits(name, labels.get(name), values) for name, values in question.filters.items()):
            group = tuple(labels.get(name) for name in question.group_by)
            sums = rows.setdefault(group, Counter())
            sums.update({name: amount for name, amount in fact.add.items() if name in question.sums})
            if fact.visitor is not None:
                visitors.setdefault(group, set()).add(fact.visitor)
    for group, seen in visitors.items():
        if "unique_visitors" in question.sums:
            rows[group]["unique_visitors"] = len(seen)
    return rows


def _fits(name: str, label: Label, values: Sequence[str]) -> bool:
    """A code is the same in any case."""
    if name == "code" and isinstance(label, str):
        return label.lower() in [value.lower() for value in values]
    return (label or "none") in values


def _facts(world: World, question: Question, facts: Facts) -> Iterator[Fact]:
    asked = set(question.sums)
    if asked & set(CLICKS):
        yield from _clicks(world, facts)
    if asked & set(CREDITS):
        yield from _credits(world, question, facts)
    yield from _growth(question, facts)
    if asked & set(COSTS):
        yield from _costs(question, facts)


def _clicks(world: World, facts: Facts) -> Iterator[Fact]:
    for click in world.clicks:
        link = world.links[click.link]
        labels = {
            "influencer": _id(link.influencer), "campaign": _id(link.campaign), "channel": link.channel,
            "post": _id(link.post), "link": _id(click.link), "content_type": _content_type(link.post, facts),
            **(dress(click.click_id) if facts.dressed else {}),
        }  # fmt: skip
        visitor = None if click.bot else click.visitor or click.click_id
        yield Fact(_instant(click.at), labels, {"bot_clicks" if click.bot else "clicks": 1}, visitor)


def _credits(world: World, question: Question, facts: Facts) -> Iterator[Fact]:
    landed = {click.click_id for click in world.clicks}
    for judged in judge_all(_under(world, question.model)).values():
        order = judged.order
        customer = {True: "new", False: "returning", None: None}[is_new(order, world)]
        worths = worth(judged, world, facts, question.currency, question.zone)
        for to, part in judged.credits.items() if not order.cancelled else ():
            labels = {
                "influencer": _id(to.influencer), "campaign": _id(to.campaign), "channel": to.channel,
                "post": _id(to.post), "link": _id(to.link), "code": to.code, "conversion_type": order.kind,
                "new_or_returning": customer, "content_type": _content_type(to.post, facts),
                **(dress(to.click_id) if facts.dressed and to.click_id in landed and to.click_id else {}),
            }  # fmt: skip
            purchase = order.kind == "purchase"
            add = {
                "conversions": part.weight,
                "orders": part.weight if purchase else 0,
                "leads": part.weight if order.kind == "lead" else 0,
                "new_customers": part.weight if purchase and customer == "new" else 0,
            }
            its = worths[to]
            add["commission_minor"] = its.commission
            if purchase:
                add |= {"gross_minor": its.gross, "net_minor": its.net, "discount_minor": its.discount}
            yield Fact(_moment(judged, to.click_id, question), labels, add)


def _under(world: World, model: str | None) -> World:
    """Every rule with this model, and where there is none, the market's with it."""
    if model is None:
        return world
    return replace(world, rules=[Version(0, {}, model), *(replace(rule, model=model) for rule in world.rules)])


def _moment(judged: Judged, click_id: bytes | None, question: Question) -> datetime:
    """A click's, of a click: its id begins with it."""
    if question.by_click and click_id is not None:
        return _instant(int.from_bytes(click_id[:8], "big"))
    return _instant(judged.order.occurred_at)


def _growth(question: Question, facts: Facts) -> Iterator[Fact]:
    for metric in TOTALS:
        for number, post in facts.posts.items() if metric in question.sums else ():
            said = {i.at: i.totals[metric] for i in facts.insights if i.post == number and metric in i.totals}
            total = 0
            for at in sorted(said):
                labels = {
                    "influencer": _id(post.influencer), "campaign": _id(post.campaign), "channel": post.channel,
                    "post": _id(number), "content_type": post.content_type,
                }  # fmt: skip
                yield Fact(_instant(at), labels, {metric: said[at] - total})
                total = said[at]


def _costs(question: Question, facts: Facts) -> Iterator[Fact]:
    for cost in facts.costs:
        post = facts.posts[cost.post] if cost.post is not None else None
        influencer = post.influencer if post and cost.influencer is None else cost.influencer
        campaign = post.campaign if post and cost.campaign is None else cost.campaign
        labels = {
            "influencer": _id(influencer), "campaign": _id(campaign), "channel": post.channel if post else None,
            "post": _id(cost.post), "content_type": post.content_type if post else None,
        }  # fmt: skip
        for number in range(cost.days):
            day = cost.first_day + timedelta(days=number)
            at = datetime.combine(day, time(), question.zone).astimezone(UTC)
            amount = cost.amount // cost.days + (1 if number < cost.amount % cost.days else 0)
            if question.start <= at < question.end:
                money = exchanged(amount, cost.currency, question.currency, day, facts.rates)
                yield Fact(at, labels, {"costs_minor": money}, hourly=False)


def _instant(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _id(number: int | None) -> str | None:
    return None if number is None else str(number)


def _content_type(post: int | None, facts: Facts) -> str | None:
    return facts.posts[post].content_type if post in facts.posts and post is not None else None


def _labels(fact: Fact, zone: ZoneInfo) -> Mapping[str, Label]:
    local = fact.at.astimezone(zone)
    monday = local.date() - timedelta(days=local.weekday())
    return {
        **fact.labels,
        "month": f"{local:%Y-%m}",
        "week": monday.isoformat(),
        "day": local.date().isoformat(),
        "hour": local.replace(minute=0, second=0, microsecond=0).astimezone(UTC) if fact.hourly else None,
    }
