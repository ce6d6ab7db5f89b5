"""What a brand would count by hand: every click and every credit is looked at once, one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from .reference import World, judge_all

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Label = str | datetime | None


@dataclass
class Sums:
    """`conversions` and `orders` count the parts that a recorded weight has."""

    clicks: int = 0
    bot_clicks: int = 0
    visitors: set[object] = field(default_factory=set)
    conversions: int = 0
    orders: int = 0
    gross: int = 0
    net: int = 0
    discount: int = 0


@dataclass(frozen=True)
class Question:
    currency: str
    zone: ZoneInfo
    start: datetime
    end: datetime
    group_by: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)


def count(world: World, question: Question) -> dict[tuple[Label, ...], Sums]:
    rows: dict[tuple[Label, ...], Sums] = {}
    for labels, add in _facts(world, question):
        if all(_fits(name, labels[name], values) for name, values in question.filters.items()):
            sums = rows.setdefault(tuple(labels[name] for name in question.group_by), Sums())
            for name, amount in add.items():
                if name == "visitor":
                    sums.visitors.add(amount)
                else:
                    setattr(sums, name, getattr(sums, name) + amount)
    return rows


def _fits(name: str, label: Label, values: Sequence[str]) -> bool:
    """A code is the same in any case."""
    if name == "code" and isinstance(label, str):
        return label.lower() in [value.lower() for value in values]
    return (label or "none") in values


def _facts(world: World, question: Question) -> Iterator[tuple[dict[str, Label], dict[str, object]]]:
    for click in world.clicks:
        at = EPOCH + timedelta(microseconds=click.at)
        if question.start <= at < question.end:
            link = world.links[click.link]
            visitor = click.click_id if click.visitor is None else click.visitor
            whose = (link.influencer, link.campaign, link.channel, link.post, click.link)
            add: dict[str, object] = {"bot_clicks": 1} if click.bot else {"clicks": 1, "visitor": visitor}
            yield _labels(at, question.zone, *whose), add
    for judged in judge_all(world).values():
        order = judged.order
        at = EPOCH + timedelta(microseconds=order.occurred_at)
        if question.start <= at < question.end and not order.cancelled:
            for to, part in judged.credits.items():
                where = (to.influencer, to.campaign, to.channel, to.post, to.link, to.code, order.kind)
                purchase = order.kind == "purchase"
                add = {"conversions": part.weight, "orders": part.weight if purchase else 0}
                if purchase and order.currency == question.currency:
                    add |= {"gross": part.gross, "net": part.net, "discount": part.discount}
                yield _labels(at, question.zone, *where), add


def _labels(
    at: datetime,
    zone: ZoneInfo,
    influencer: int | None,
    campaign: int | None,
    channel: str | None,
    post: int | None,
    link: int | None,
    code: str | None = None,
    kind: str | None = None,
) -> dict[str, Label]:
    local = at.astimezone(zone)
    monday = local.date() - timedelta(days=local.weekday())
    return {
        "influencer": None if influencer is None else str(influencer),
        "campaign": None if campaign is None else str(campaign),
        "channel": channel,
        "post": None if post is None else str(post),
        "link": None if link is None else str(link),
        "code": code,
        "conversion_type": kind,
        "month": f"{local:%Y-%m}",
        "week": monday.isoformat(),
        "day": local.date().isoformat(),
        "hour": local.replace(minute=0, second=0, microsecond=0).astimezone(UTC),
    }
