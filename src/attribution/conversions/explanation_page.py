"""An explanation as a page of text, for whoever asks "why was I not paid?". Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import assert_never
from zoneinfo import ZoneInfo

from attribution.domain.attribution import (
    WEIGHT_UNITS,
    CodeVerdict,
    Credit,
    JudgedCode,
    JudgedTouch,
    Reason,
    Status,
    Touch,
    Verdict,
    Via,
)
from attribution.domain.candidates import NamedBy
from attribution.domain.codes import Code, code_key
from attribution.domain.conversions import PURCHASE, ConversionStatus
from attribution.domain.ids import InfluencerId
from attribution.domain.instants import from_us, to_us
from attribution.domain.money import exponent, from_minor
from attribution.domain.programs import Program
from attribution.domain.rules import Terms, WindowSource

from .explanation import Explanation

_UNITS = (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000))
_SECOND = 1_000_000
_REASONS = {
    Reason.FORGED_CLICK_ID: "its click id was forged or damaged, and no other click counts",
    Reason.UNKNOWN_CLICK_ID: "its click id is none of this programme's, and no other click counts",
    Reason.TOO_CLOSE: "the only clicks in time were too close before it",
    Reason.OUTSIDE_WINDOW: "all clicks were too early",
    Reason.ONLY_BOTS: "all clicks were made by bots",
    Reason.NO_TOUCH: "no click before it is known",
}
_CODE_VERDICTS = {
    CodeVerdict.NOT_INVOLVED: "its influencer has no click that counts, so the code takes nothing",
    CodeVerdict.AGREES: "never takes credit; it agrees with the winner",
    CodeVerdict.DISAGREES: "never takes credit; it disagrees with the winner",
    CodeVerdict.SUPERSEDED: "a code that came before it has all the credit",
    CodeVerdict.UNKNOWN: "no such code is known",
}


def page(explanation: Explanation, program: Program, influencer_id: InfluencerId | None = None) -> str:
    """Lines of text. With `influencer_id`, what concerns it comes first."""
    return "\n".join(_Page(explanation, program).lines(influencer_id)) + "\n"


def duration(us: int) -> str:
    """`duration(86_400_000_001) == "1 day 0.000001 seconds"`"""
    parts = []
    for name, size in _UNITS:
        count, us = divmod(us, size)
        if count:
            parts.append(_plural(str(count), name))
    if us or not parts:
        parts.append(_plural(f"{(Decimal(us) / _SECOND).normalize():f}", "second"))
    return " ".join(parts)


def _plural(count: str, noun: str) -> str:
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


class _Page:
    def __init__(self, explanation: Explanation, program: Program) -> None:
        self._explanation = explanation
        self._conversion = explanation.conversion
        self._attribution = explanation.attribution
        self._program = program
        self._zone = ZoneInfo(program.timezone)
        self._noun = "order" if explanation.conversion.type == PURCHASE else explanation.conversion.type
        self._credits = {credit.click_id: credit for credit in explanation.attribution.credits if credit.click_id}

    def lines(self, influencer_id: InfluencerId | None) -> Iterator[str]:
        yield from self._head()
        if influencer_id is not None:
            yield from self._for_influencer(influencer_id)
        yield from self._paid()
        others = "Other " if influencer_id is not None else ""
        touches = [self._touch(t) for t in self._attribution.touches if not self._is_of(t.touch, influencer_id)]
        more = self._explanation.more_touches - self._explanation.more_of_influencer
        yield from self._listed(f"{others}touches, the oldest first".capitalize(), [*touches, *_unlisted(more)])
        yield from self._listed(
            f"{others}codes, in the order sent".capitalize(),
            [self._code(c) for c in self._attribution.codes if not self._has(c, influencer_id)],
        )

    def _head(self) -> Iterator[str]:
        conversion = self._conversion
        yield f"{self._noun.capitalize()} {conversion.external_id} of source {conversion.source}"
        yield f"Programme: {self._program.key}"
        yield f"Moment:    {self._moment(conversion.facts.occurred_at_us)}"
        yield f"Amount:    {self._amount()}"
        yield f"Status:    {self._status()}"
        yield f"Rule:      {self._rule()}"
        yield f"Record:    {self._record()}"

    def _amount(self) -> str:
        facts, gross = self._conversion.facts, self._money(self._conversion.facts.gross_minor)
        if self._conversion.status is ConversionStatus.CANCELLED:
            return f"{gross}, cancelled: the credits keep their weights and the money is 0"
        if facts.net_minor < facts.gross_minor:
            refunded = self._money(facts.gross_minor - facts.net_minor)
            return f"{gross}, less refunds of {refunded}: {self._money(facts.net_minor)}"
        return gross

    def _status(self) -> str:
        match self._attribution.status:
            case Status.ATTRIBUTED:
                return "attributed"
            case Status.PENDING:
                return f"pending: the {self._noun} names a click whose row is not here yet; it is judged again then"
            case Status.UNATTRIBUTED:
                reason = self._attribution.reason or Reason.NO_TOUCH
                return f"unattributed ({reason.value}): {_REASONS[reason]}"
            case unknown:
                assert_never(unknown)

    def _rule(self) -> str:
        rule, judgement = self._attribution.judgement.rule, self._attribution.judgement
        window = f"window {self._window_text(judgement.window_us(None))}"
        least = rule.min_click_to_conversion_us
        between = f", at least {duration(least)} from click to {self._noun}" if least else ""
        other = " (asked for, in place of the rule's own)" if self._explanation.is_other_model else ""
        terms = self._terms()
        if rule.rule_id is None:
            return f"none is in force{terms}, so {rule.model.value}{other}, {window}{between}"
        since = self._utc(rule.effective_from_us)
        return f"{rule.rule_id}, in force since {since}{terms}: {rule.model.value}{other}, {window}{between}"

    def _terms(self) -> str:
        """What a recomputation said may stand in place of the rule's own."""
        asked = self._explanation.terms
        if asked is None or asked == Terms(asked.rule_id):
            return ""
        return f" with the terms of recomputation {self._conversion.recomputation_id}"

    def _rule_name(self) -> str:
        rule_id = self._attribution.judgement.rule.rule_id
        return f"rule {rule_id}{self._terms()}" if rule_id else f"no rule{self._terms()}"

    def _record(self) -> str:
        record = self._explanation.record
        if record.judged_at is None:
            return "not yet judged; this page shows what judging it now gives"
        said = f"judged {self._utc(to_us(record.judged_at))}"
        if record.bound_at is not None:
            recomputation_id = self._conversion.recomputation_id
            by = f" by recomputation {recomputation_id}" if recomputation_id is not None else ""
            said += f"; bound{by} to the rules, windows and codes known {self._utc(to_us(record.bound_at))}"
        if record.is_waiting:
            said += "; waits to be judged again"
        if not record.is_as_computed and not self._explanation.is_other_model:
            said += "; the recorded credits differ from this page, which shows what judging it now gives"
        return said

    def _for_influencer(self, influencer_id: InfluencerId) -> Iterator[str]:
        mine = [credit for credit in self._attribution.credits if credit.influencer_id == influencer_id]
        yield ""
        if mine:
            units, net = sum(c.weight_units for c in mine), sum(c.net_minor for c in mine)
            yield f"{self._name(influencer_id)} has {_weight(units)} of this {self._noun}: {self._money(net)}"
        else:
            yield f"{self._name(influencer_id)} has no credit for this {self._noun}"
        touches = [self._touch(t) for t in self._attribution.touches if self._is_of(t.touch, influencer_id)]
        codes = [self._code(c) for c in self._attribution.codes if self._has(c, influencer_id)]
        yield from (f"  {line}" for line in (*touches, *_unlisted(self._explanation.more_of_influencer), *codes))
        if not touches:
            yield f"  No click on a link of this influencer is tied to the {self._noun}."
        if not codes:
            yield f"  No code of this influencer came with the {self._noun}{self._known_codes()}."

    def _known_codes(self) -> str:
        bound_at = self._explanation.record.bound_at
        return "" if bound_at is None else f", by the codes known {self._utc(to_us(bound_at))}"

    def _paid(self) -> Iterator[str]:
        credited = [credit for credit in self._attribution.credits if credit.via is not Via.NONE]
        yield from self._listed("Credit", [self._credit(credit) for credit in credited])
        if len(credited) > 1:
            unit = self._money(1) if exponent(self._conversion.currency) else f"1 {self._conversion.currency}"
            yield (
                f"  The money is split into whole units of {unit} by largest remainder, ties to the earlier click;"
                " the parts add up to the whole."
            )
        if credited:
            yield f"  {self._commission()}"

    def _commission(self) -> str:
        valuation, currency = self._explanation.valuation, self._program.currency
        if valuation.missing is not None:
            return f"Commission: not known, as {valuation.missing}."
        said = (
            f"{from_minor(amount, currency)} {currency} to {self._name(influencer_id)} by plan {plan.plan_id}"
            for (influencer_id, plan), amount in valuation.commissions().items()
        )
        return f"Commission: {'; '.join(said) or 'no plan holds for this credit'}."

    def _credit(self, credit: Credit) -> str:
        through = f"code {credit.code}" if credit.via is Via.CODE else "click"
        return (
            f"{self._name(credit.influencer_id)} through {through}: "
            f"weight {_weight(credit.weight_units)}, {self._money(credit.net_minor)}"
        )

    def _listed(self, title: str, lines: Sequence[str]) -> Iterator[str]:
        yield ""
        yield f"{title}: none" if not lines else f"{title}:"
        yield from (f"  {line}" for line in lines)

    def _touch(self, judged: JudgedTouch) -> str:
        touch = judged.touch
        slug = self._explanation.detail(touch).slug or touch.link_id
        named = self._named_by(touch)
        tapped = f"Click of {self._moment(touch.clicked_at_us)} on link {slug} of {self._name(touch.influencer_id)}"
        return f"{tapped}{named}: {self._age(touch)}; {self._verdict(judged)}."

    def _named_by(self, touch: Touch) -> str:
        naming = self._explanation.naming(touch)
        if naming is None:
            return ""
        match naming.by:
            case NamedBy.CLICK_ID:
                return f", named by the {self._noun}'s click id"
            case NamedBy.VISITOR:
                return f", by the {self._noun}'s own visitor"
            case NamedBy.VISITOR_OF_CLICK:
                return f", by the visitor of the {self._noun}'s click"
            case NamedBy.CUSTOMER:
                source, kind, external_id = naming.conversion or ("", "", "")
                return f", by a visitor of the customer's {kind} {external_id} of {source}"
            case unknown:
                assert_never(unknown)

    def _age(self, touch: Touch) -> str:
        age_us = self._conversion.facts.occurred_at_us - touch.clicked_at_us
        if age_us == 0:
            return f"in the very microsecond of the {self._noun}"
        return f"{duration(abs(age_us))} {'before' if age_us > 0 else 'after'} the {self._noun}"

    def _verdict(self, judged: JudgedTouch) -> str:
        touch, rule = judged.touch, self._attribution.judgement.rule
        window_us = self._attribution.judgement.window_us(touch.campaign_id)
        window = f"the window is {self._window_text(window_us)} ({self._window_source(touch)})"
        match judged.verdict:
            case Verdict.BOT:
                agent = self._explanation.detail(touch).agent_class or "bot"
                return f"made by a bot ({agent}), and bots never count"
            case Verdict.AFTER_CONVERSION:
                return f"only clicks before the {self._noun} count"
            case Verdict.OUTSIDE_WINDOW:
                return f"{window}: too early" if window_us else f"{window}: such clicks never count"
            case Verdict.TOO_CLOSE:
                least = duration(rule.min_click_to_conversion_us)
                return f"{self._rule_name()} sets aside what is nearer than {least}: too close"
            case Verdict.NOT_CREDITED:
                return f"{window}: in time, but {self._why_nothing()}"
            case Verdict.CREDITED:
                credit = self._credits[touch.click_id]
                unseen = "" if touch.stored else " (known by its signed id only, until its row is here)"
                share = f"weight {_weight(credit.weight_units)}, {self._money(credit.net_minor)}"
                return f"{window}: credited, {share}{unseen}"
            case unknown:
                assert_never(unknown)

    def _why_nothing(self) -> str:
        taker = next((c for c in self._attribution.codes if c.verdict is CodeVerdict.CREDITED), None)
        if taker is not None:
            return f"code {taker.text} takes all the credit"
        return f"the model {self._attribution.judgement.rule.model.value} gives it nothing"

    def _window_text(self, window_us: int) -> str:
        return duration(window_us) if window_us else "zero"

    def _window_source(self, touch: Touch) -> str:
        match self._attribution.judgement.window_source(touch.campaign_id):
            case WindowSource.CAMPAIGN:
                return f"campaign {touch.campaign_id}, for {self._conversion.type}"
            case WindowSource.RULE:
                return f"{self._rule_name()}, for {self._conversion.type}"
            case WindowSource.RULE_DEFAULT:
                return f"{self._rule_name()}, its default"
            case WindowSource.MARKET_DEFAULT:
                return "the market's default"
            case unknown:
                assert_never(unknown)

    def _code(self, judged: JudgedCode) -> str:
        owner = f" of {self._name(judged.code.influencer_id)}, policy {judged.code.policy}" if judged.code else ""
        return f"Code {judged.text}{owner}: {self._code_verdict(judged)}{self._others_of_text(judged)}."

    def _code_verdict(self, judged: JudgedCode) -> str:
        if judged.verdict is CodeVerdict.CREDITED:
            return f"takes all the credit, {self._money(self._conversion.facts.net_minor)}"
        if judged.verdict is CodeVerdict.INACTIVE:
            known = self._explanation.codes.get(code_key(judged.text), ())
            return f"not active then ({self._owners(known)})"
        bound_at = self._explanation.record.bound_at
        if judged.verdict is CodeVerdict.UNKNOWN and bound_at is not None:
            bound = "first credited" if self._conversion.recomputation_id is None else "recomputed"
            return f"no such code was known {self._utc(to_us(bound_at))}, when the {self._noun} was {bound}"
        return _CODE_VERDICTS[judged.verdict]

    def _others_of_text(self, judged: JudgedCode) -> str:
        """Whose the text was before, or is later."""
        known = self._explanation.codes.get(code_key(judged.text), ())
        return f" ({self._owners(known)})" if judged.code and len(known) > 1 else ""

    def _owners(self, codes: Sequence[Code]) -> str:
        return "; ".join(f"that of {self._name(code.influencer_id)}{self._dates(code)}" for code in codes)

    def _dates(self, code: Code) -> str:
        since = "" if code.starts_at_us is None else f" since {self._utc(code.starts_at_us)}"
        until = "" if code.ends_at_us is None else f" until {self._utc(code.ends_at_us)}"
        return f"{since}{until}{'' if code.enabled else ', disabled'}"

    def _is_of(self, touch: Touch, influencer_id: InfluencerId | None) -> bool:
        return influencer_id is not None and touch.influencer_id == influencer_id

    def _has(self, judged: JudgedCode, influencer_id: InfluencerId | None) -> bool:
        """Was its own at any time that is known here: also an inactive code."""
        known = self._explanation.codes.get(code_key(judged.text), ())
        return influencer_id is not None and any(code.influencer_id == influencer_id for code in known)

    def _name(self, influencer_id: InfluencerId | None) -> str:
        if influencer_id is None:
            return "nobody"
        name = self._explanation.names.get(influencer_id)
        return f"{name} (influencer {influencer_id})" if name else f"influencer {influencer_id}"

    def _money(self, minor: int) -> str:
        return f"{from_minor(minor, self._conversion.currency)} {self._conversion.currency}"

    def _utc(self, us: int) -> str:
        return f"{from_us(us).replace(tzinfo=None)} UTC"

    def _moment(self, us: int) -> str:
        if self._program.timezone == "UTC":
            return self._utc(us)
        return f"{self._utc(us)} ({from_us(us).astimezone(self._zone).replace(tzinfo=None)} {self._program.timezone})"


def _unlisted(count: int) -> list[str]:
    return [f"and {count} more, not listed"] if count else []


def _weight(units: int) -> str:
    return f"{(Decimal(units) / WEIGHT_UNITS).normalize():f}"
