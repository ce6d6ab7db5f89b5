"""Who earned a conversion: pure, from the facts and the rule, with the reason for everything that was not chosen."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from .clicks import Channel, Device
from .codes import Code, CodeBook, CodePolicy, code_key
from .ids import CampaignId, ClickId, InfluencerId, LinkId, PostId
from .models import weights
from .money import split_each
from .rules import Judgement

WEIGHT_UNITS = 10**18
"""A stored weight counts units of 1e-18, apportioned like money, so that the weights of a conversion sum to 1."""


class Verdict(StrEnum):
    """Of a candidate touch: the first that fits."""

    BOT = "bot"
    AFTER_CONVERSION = "after_conversion"
    OUTSIDE_WINDOW = "outside_window"
    TOO_CLOSE = "too_close"
    NOT_CREDITED = "not_credited"
    CREDITED = "credited"


class CodeVerdict(StrEnum):
    CREDITED = "credited"
    NOT_INVOLVED = "not_involved"
    AGREES = "agrees"
    DISAGREES = "disagrees"
    SUPERSEDED = "superseded"
    INACTIVE = "inactive"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Of a conversion without credit: the first that fits."""

    FORGED_CLICK_ID = "forged_click_id"
    UNKNOWN_CLICK_ID = "unknown_click_id"
    TOO_CLOSE = "too_close"
    OUTSIDE_WINDOW = "outside_window"
    ONLY_BOTS = "only_bots"
    NO_TOUCH = "no_touch"


class Status(StrEnum):
    ATTRIBUTED = "attributed"
    PENDING = "pending"
    UNATTRIBUTED = "unattributed"


class Via(StrEnum):
    CLICK = "click"
    CODE = "code"
    NONE = "none"


class ClickState(StrEnum):
    """Of the click id that a conversion carries."""

    VALID = "valid"
    FORGED = "forged_click_id"
    UNKNOWN = "unknown_click_id"


_NOTHING, _ALL = Fraction(0), Fraction(1)


# Named tuples, where hundreds of thousands are made: a frozen dataclass takes several times as long. Most are made by
# `tuple.__new__`, as their own constructor is a Python function.
class Touch(NamedTuple):
    """A candidate: a click, whoever made it. `stored` is False while only its signed id is known.

    Touches sort as a path is ordered: by time, then by click id.
    """

    clicked_at_us: int
    click_id: ClickId
    link_id: LinkId
    influencer_id: InfluencerId | None = None
    campaign_id: CampaignId | None = None
    post_id: PostId | None = None
    channel: Channel | None = None
    is_bot: bool = False
    stored: bool = True
    country: str | None = None
    device: Device | None = None


class ConversionFacts(NamedTuple):
    """`net_minor` is 0 for a cancelled conversion; its weights stay."""

    occurred_at_us: int
    gross_minor: int
    net_minor: int
    discount_minor: int = 0
    click_state: ClickState | None = None
    discount_codes: tuple[str, ...] = ()


class JudgedTouch(NamedTuple):
    touch: Touch
    verdict: Verdict
    weight: Fraction = _NOTHING


class JudgedCode(NamedTuple):
    """`text` as the order has it; `code` None where it is unknown or inactive."""

    text: str
    verdict: CodeVerdict
    code: Code | None = None


class Credit(NamedTuple):
    """One part of a conversion. The parts' weights sum to `WEIGHT_UNITS`, their money to the conversion's.

    `via` none holds all of a conversion that nobody earned, so that sums over credits equal totals.
    What follows `code` is of its value (see `valuation`): `counted_units` is the weight while the conversion is not
    cancelled, and money is in the programme's currency.
    """

    via: Via
    weight_units: int
    gross_minor: int
    net_minor: int
    discount_minor: int
    influencer_id: InfluencerId | None = None
    campaign_id: CampaignId | None = None
    channel: Channel | None = None
    post_id: PostId | None = None
    link_id: LinkId | None = None
    click_id: ClickId | None = None
    country: str | None = None
    device: Device | None = None
    code: str | None = None
    occurred_at_us: int = 0
    type: str = ""
    new_customer: bool | None = None
    counted_units: int = 0
    gross_value: int = 0
    net_value: int = 0
    discount_value: int = 0
    commission: int = 0


class Attribution(NamedTuple):
    status: Status
    reason: Reason | None
    judgement: Judgement
    touches: tuple[JudgedTouch, ...]
    codes: tuple[JudgedCode, ...]
    credits: tuple[Credit, ...]

    @property
    def credited(self) -> bool:
        return self.credits[0].via is not Via.NONE

    @property
    def weights(self) -> list[Fraction]:
        """Of the credits, exact."""
        if len(self.credits) == 1:
            return [_ALL]
        return [touch.weight for touch in self.touches if touch.verdict is Verdict.CREDITED]


def attribute(
    conversion: ConversionFacts, candidates: Sequence[Touch], judgement: Judgement, codes: CodeBook
) -> Attribution:
    """`candidates` in any order, each once."""
    touches = _judge_touches(conversion, sorted(candidates), judgement)
    judged_codes = _judge_codes(conversion, touches, codes) if conversion.discount_codes else []
    taker = _taker(judged_codes) if judged_codes else None
    if taker is not None:
        touches = [_uncredited(touch) for touch in touches]
    credited = [touch for touch in touches if touch.verdict is Verdict.CREDITED]
    status = _status(touches, taker, credited=bool(taker or credited))
    return Attribution(
        status,
        _reason(conversion, touches) if status is Status.UNATTRIBUTED else None,
        judgement,
        tuple(touches),
        tuple(judged_codes),
        tuple(_credits(conversion, credited) if credited else [_whole(conversion, taker)]),
    )


def _judge_touches(
    conversion: ConversionFacts, candidates: Sequence[Touch], judgement: Judgement
) -> list[JudgedTouch]:
    rule, window_us = judgement.rule, judgement.window_us(None)
    campaigns_us: Mapping[CampaignId | None, int] = judgement.campaign_windows_us  # type: ignore[assignment]
    barred: list[Verdict | None] = []
    path_us: list[int] = []
    for touch in candidates:
        age_us = conversion.occurred_at_us - touch.clicked_at_us
        own_us = campaigns_us.get(touch.campaign_id, window_us)
        bar = _bar(touch, age_us, own_us, rule.min_click_to_conversion_us)
        barred.append(bar)
        if bar is None:
            path_us.append(age_us)
    given = iter(weights(rule.model, path_us, rule.parameters) if path_us else ())
    judged: list[JudgedTouch] = []
    for i, touch in enumerate(candidates):
        found = barred[i]
        judged.append(_weighted(touch, next(given)) if found is None else JudgedTouch(touch, found))
    return judged


def _bar(touch: Touch, age_us: int, window_us: int, least_us: int) -> Verdict | None:
    """What keeps a candidate out of the path."""
    if touch.is_bot:
        return Verdict.BOT
    if age_us < 0:
        return Verdict.AFTER_CONVERSION
    # A window of zero means never, not "within the same microsecond".
    if age_us > window_us or window_us == 0:
        return Verdict.OUTSIDE_WINDOW
    return Verdict.TOO_CLOSE if age_us < least_us else None


def _weighted(touch: Touch, weight: Fraction) -> JudgedTouch:
    return tuple.__new__(JudgedTouch, (touch, Verdict.CREDITED if weight else Verdict.NOT_CREDITED, weight))


def _uncredited(judged: JudgedTouch) -> JudgedTouch:
    return JudgedTouch(judged.touch, Verdict.NOT_CREDITED) if judged.verdict is Verdict.CREDITED else judged


def _judge_codes(conversion: ConversionFacts, touches: Sequence[JudgedTouch], codes: CodeBook) -> list[JudgedCode]:
    """In the order sent; the first whose policy takes the credit has it."""
    involved = {t.touch.influencer_id for t in touches if t.verdict in (Verdict.CREDITED, Verdict.NOT_CREDITED)}
    judged: list[JudgedCode] = []
    taker: InfluencerId | None = None
    for text in conversion.discount_codes:
        known = codes.get(code_key(text), ())
        code = next((code for code in known if code.active_at(conversion.occurred_at_us)), None)
        if code is None:
            judged.append(JudgedCode(text, CodeVerdict.INACTIVE if known else CodeVerdict.UNKNOWN))
        elif not _takes(code, involved):
            judged.append(JudgedCode(text, CodeVerdict.NOT_INVOLVED, code))
        elif taker is not None:
            judged.append(JudgedCode(text, CodeVerdict.SUPERSEDED, code))
        else:
            taker = code.influencer_id
            judged.append(JudgedCode(text, CodeVerdict.CREDITED, code))
    winners: set[InfluencerId | None] = {taker}
    if taker is None:
        winners = {t.touch.influencer_id for t in touches if t.verdict is Verdict.CREDITED}
    return [_compared(code, winners) for code in judged]


def _taker(codes: Sequence[JudgedCode]) -> JudgedCode | None:
    return next((code for code in codes if code.verdict is CodeVerdict.CREDITED), None)


def _takes(code: Code, involved: set[InfluencerId | None]) -> bool:
    return code.policy is CodePolicy.ALWAYS or (
        code.policy is CodePolicy.IF_INVOLVED and code.influencer_id in involved
    )


def _compared(judged: JudgedCode, winners: set[InfluencerId | None]) -> JudgedCode:
    """An `if_winner` code only says whether it and the winner agree."""
    if judged.code is None or judged.code.policy is not CodePolicy.IF_WINNER:
        return judged
    agrees = judged.code.influencer_id in winners
    return JudgedCode(judged.text, CodeVerdict.AGREES if agrees else CodeVerdict.DISAGREES, judged.code)


def _status(touches: Sequence[JudgedTouch], taker: JudgedCode | None, *, credited: bool) -> Status:
    # A code that always takes the credit leaves nothing for the click's row to change.
    settled = taker is not None and taker.code is not None and taker.code.policy is CodePolicy.ALWAYS
    if not settled and any(not judged.touch.stored for judged in touches):
        return Status.PENDING
    return Status.ATTRIBUTED if credited else Status.UNATTRIBUTED


def _reason(conversion: ConversionFacts, touches: Sequence[JudgedTouch]) -> Reason:
    """Clicks after the conversion say nothing: the future never changes the past."""
    if conversion.click_state is ClickState.FORGED:
        return Reason.FORGED_CLICK_ID
    if conversion.click_state is ClickState.UNKNOWN:
        return Reason.UNKNOWN_CLICK_ID
    verdicts = {t.verdict for t in touches if t.touch.clicked_at_us <= conversion.occurred_at_us}
    if Verdict.TOO_CLOSE in verdicts:
        return Reason.TOO_CLOSE
    if Verdict.OUTSIDE_WINDOW in verdicts:
        return Reason.OUTSIDE_WINDOW
    return Reason.ONLY_BOTS if Verdict.BOT in verdicts else Reason.NO_TOUCH


def _whole(conversion: ConversionFacts, origin: JudgedTouch | JudgedCode | None) -> Credit:
    gross, net, discount = conversion.gross_minor, conversion.net_minor, conversion.discount_minor
    return _credit(origin, WEIGHT_UNITS, gross, net, discount)


def _credits(conversion: ConversionFacts, credited: Sequence[JudgedTouch]) -> list[Credit]:
    if len(credited) == 1:
        return [_whole(conversion, credited[0])]
    totals = (WEIGHT_UNITS, conversion.gross_minor, conversion.net_minor, conversion.discount_minor)
    units, gross, net, discount = split_each(totals, [touch.weight for touch in credited])
    return [_credit(touch, units[i], gross[i], net[i], discount[i]) for i, touch in enumerate(credited)]


def _credit(origin: JudgedTouch | JudgedCode | None, units: int, gross: int, net: int, discount: int) -> Credit:
    if isinstance(origin, JudgedTouch):
        touch = origin.touch
        return tuple.__new__(Credit, (
            Via.CLICK, units, gross, net, discount,
            touch.influencer_id, touch.campaign_id, touch.channel, touch.post_id, touch.link_id, touch.click_id,
            touch.country, touch.device, None, 0, "", None, 0, 0, 0, 0, 0,
        ))  # fmt: skip
    if origin is not None and origin.code is not None:
        code = origin.code
        return Credit(Via.CODE, units, gross, net, discount, code.influencer_id, code.campaign_id, code=code.text)
    return Credit(Via.NONE, units, gross, net, discount)
