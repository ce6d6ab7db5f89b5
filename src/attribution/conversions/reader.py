"""Explains a conversion: what is known of it, every candidate with its verdict, and who has the credit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from attribution.adapters.credit_facts import CreditFacts, Entry
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.explanation_facts import ExplanationFacts
from attribution.adapters.stored_conversions import ConversionKey, StoredConversion
from attribution.domain.attribution import WEIGHT_UNITS, Credit, JudgedCode, JudgedTouch, Touch, Via, attribute
from attribution.domain.candidates import TouchDetail
from attribution.domain.click_id import ClickTokens
from attribution.domain.codes import Code, code_key
from attribution.domain.conversions import PURCHASE
from attribution.domain.durations import format_duration
from attribution.domain.ids import ClickId, InfluencerId, RecomputationId
from attribution.domain.instants import from_us
from attribution.domain.models import Model
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.domain.refunds import JudgedRefund, judge_refunds
from attribution.domain.rules import Judgement, Terms
from attribution.domain.valuation import Valuation
from attribution.errors import FieldError, InvalidInputError, MissingRateError

from .attributor import merged, since_us, value_all
from .explanation import Explanation
from .explanation_page import page
from .listing import TOUCHES_LISTED, listed


class ConversionReader:
    """Answers are in the contract's shapes; None where the programme has no such conversion."""

    def __init__(self, table: CreditTable, tokens: ClickTokens) -> None:
        self._table = table
        self._tokens = tokens

    async def order(self, program: Program, source: str, order_id: str) -> Mapping[str, Any] | None:
        async with self._table.snapshot() as facts:
            key = await facts.find(program.program_id, source, PURCHASE, order_id)
            if key is None:
                return None
            explanation = await self._explained(facts, key, None)
            conversion = explanation.conversion
            refunds, items = await facts.refunds(conversion)
        judged = judge_refunds(refunds, items, conversion.facts.gross_minor, conversion.currency)
        return {
            "order_id": conversion.external_id,
            "source": conversion.source,
            "status": conversion.status.value,
            "currency": conversion.currency,
            "gross": from_minor(conversion.facts.gross_minor, conversion.currency),
            "refunded": from_minor(conversion.refunded_minor, conversion.currency),
            "net": from_minor(conversion.facts.net_minor, conversion.currency),
            "over_refund": conversion.over_refunded_minor > 0,
            "over_refunded": from_minor(conversion.over_refunded_minor, conversion.currency),
            "refunds": [_refund(refund, conversion.currency) for refund in judged],
            "attribution": self._shown(explanation, program),
        }

    async def conversion(
        self, program: Program, source: str, conversion_type: str, external_id: str
    ) -> Mapping[str, Any] | None:
        async with self._table.snapshot() as facts:
            key = await facts.find(program.program_id, source, conversion_type, external_id)
            if key is None:
                return None
            explanation = await self._explained(facts, key, None)
        conversion = explanation.conversion
        return {
            "type": conversion.type,
            "conversion_id": conversion.external_id,
            "source": conversion.source,
            "status": conversion.status.value,
            "currency": conversion.currency,
            "value": from_minor(conversion.facts.gross_minor, conversion.currency),
            "net": from_minor(conversion.facts.net_minor, conversion.currency),
            "attribution": self._shown(explanation, program),
        }

    async def attribution(
        self,
        program: Program,
        source: str,
        conversion_type: str,
        external_id: str,
        model: str | None,
        as_of: datetime | None = None,
    ) -> Mapping[str, Any] | None:
        """`model`: what this one would give, all else as it is. Raises `InvalidInputError` for an unknown one.

        `as_of`: `credits` are those recorded by then, or by now if that is earlier; all else is explained as of now.
        """
        other = _model(model)
        if as_of is not None:
            as_of = await self._table.settled(as_of)
        async with self._table.snapshot() as facts:
            key = await facts.find(program.program_id, source, conversion_type, external_id)
            if key is None:
                return None
            explained = await self._explained(facts, key, other)
            shown = self._shown(explained, program)
            if as_of is None:
                return shown
            recorded = (await facts.credits_recorded([key], as_of)).get(key[1], [])
        return {**shown, "as_of": as_of, **_recorded(recorded, explained.conversion.currency, program.currency)}

    async def history(
        self, program: Program, source: str, conversion_type: str, external_id: str, after: int, limit: int
    ) -> list[tuple[int, Mapping[str, Any]]] | None:
        """Entries with their ids, as they were appended, after one of them."""
        async with self._table.snapshot() as facts:
            key = await facts.find(program.program_id, source, conversion_type, external_id)
            if key is None:
                return None
            [conversion] = await facts.conversions([key])
            entries = await facts.entries(key, after, limit)
        return [(entry.entry_id, self._entry(entry, conversion.currency, program.currency)) for entry in entries]

    async def page(
        self,
        program: Program,
        key: tuple[str, str, str],
        model: str | None = None,
        influencer_id: InfluencerId | None = None,
    ) -> str | None:
        """The same as text, for people; what concerns `influencer_id` first. `key`: source, type, external id."""
        other = _model(model)
        async with self._table.snapshot() as facts:
            found = await facts.find(program.program_id, *key)
            if found is None:
                return None
            explanation = await self._explained(facts, found, other, influencer_id)
        if influencer_id is not None and influencer_id not in explanation.names:
            raise InvalidInputError(FieldError(("query", "influencer_id"), "is unknown in this programme"))
        return page(explanation, program, influencer_id)

    async def _explained(
        self, facts: CreditFacts, key: ConversionKey, model: Model | None, influencer_id: InfluencerId | None = None
    ) -> Explanation:
        [conversion] = await facts.conversions([key])
        book = (await facts.rule_books([conversion.program_id]))[conversion.program_id]
        judgement = book.judgement(
            conversion.type, conversion.facts.occurred_at_us, conversion.bound_at_us, conversion.recomputation_id
        )
        judgement = judgement.under(model)
        history = (await facts.code_histories([conversion]))[conversion.program_id]
        codes = history.book(conversion.facts.discount_codes, conversion.bound_at_us)
        newest, count = await facts.all_clicks(conversion, TOUCHES_LISTED)
        theirs: tuple[list[Touch], int] = ([], 0)
        if influencer_id is not None:
            theirs = await facts.all_clicks(conversion, TOUCHES_LISTED, influencer_id)
        candidates = merged(*await _deciding(facts, conversion, judgement), newest, theirs[0])
        attribution = attribute(conversion.facts, candidates, judgement, codes)
        [valuation] = await value_all(facts, [conversion], [attribution])
        shown = listed(attribution.touches, conversion.click_id, influencer_id)
        touches = [judged.touch for judged in shown]
        of_influencer = [t for t in touches if influencer_id is not None and t.influencer_id == influencer_id]
        of_codes = (code.influencer_id for known in codes.values() for code in known)
        influencers = {i for i in (influencer_id, *(t.influencer_id for t in touches), *of_codes) if i is not None}
        more = ExplanationFacts(facts)
        details = await more.details(conversion.program_id, touches)
        return Explanation(
            conversion,
            attribution._replace(touches=shown, credits=valuation.credits),
            valuation,
            record=await more.record(conversion, valuation.credits),
            codes=codes,
            more_touches=count - _of_visitors(touches, details),
            more_of_influencer=theirs[1] - _of_visitors(of_influencer, details),
            details=details,
            namings=await more.namings(conversion),
            names=await more.names(conversion.program_id, influencers),
            is_other_model=model is not None,
            terms=book.terms[conversion.recomputation_id] if conversion.recomputation_id is not None else None,
        )

    def _shown(self, explanation: Explanation, program: Program) -> Mapping[str, Any]:
        conversion, attribution, record = explanation.conversion, explanation.attribution, explanation.record
        rule = attribution.judgement.rule
        weights = {c.click_id: c.weight_units for c in attribution.credits if c.click_id is not None}
        return {
            "status": attribution.status.value,
            "reason": attribution.reason.value if attribution.reason else None,
            "model": rule.model.value,
            "rule_id": _id(rule.rule_id),
            "min_click_to_conversion": _duration(rule.min_click_to_conversion_us),
            "touches": [self._touch(explanation, judged, weights) for judged in attribution.touches],
            "more_touches": explanation.more_touches,
            "codes": [_code(explanation, judged) for judged in attribution.codes],
            "credits": _by_influencer(attribution.credits, conversion.currency),
            "currency": conversion.currency,
            "value": _value(explanation.valuation, program.currency),
            "commissions": _commissions(explanation.valuation, program.currency),
            "recorded": {
                "status": record.status.value if record.status else None,
                "judged_at": record.judged_at,
                "bound_at": record.bound_at,
                "recomputation": _terms(conversion.recomputation_id, explanation.terms),
                "waiting": record.is_waiting,
                "as_explained": record.is_as_computed,
            },
        }

    def _entry(self, entry: Entry, currency: str, program_currency: str) -> Mapping[str, Any]:
        credit, token = entry.credit, None
        if credit.click_id is not None and credit.link_id is not None:
            token = self._tokens.sign(credit.click_id, credit.link_id).decode()
        return {
            "recorded_at": entry.recorded_at,
            "recomputation_id": _id(entry.recomputation_id),
            "via": credit.via.value,
            "influencer_id": _id(credit.influencer_id),
            "link_id": _id(credit.link_id),
            "click_id": token,
            "code": credit.code,
            "weight": _weight(credit.weight_units),
            "currency": currency,
            "gross": from_minor(credit.gross_minor, currency),
            "net": from_minor(credit.net_minor, currency),
            "discount": from_minor(credit.discount_minor, currency),
            "value_currency": program_currency,
            "value": from_minor(credit.net_value, program_currency),
            "commission": from_minor(credit.commission, program_currency),
        }

    def _touch(self, explanation: Explanation, judged: JudgedTouch, weights: Mapping[Any, int]) -> Mapping[str, Any]:
        touch, judgement = judged.touch, explanation.attribution.judgement
        detail, naming = explanation.detail(touch), explanation.naming(touch)
        earlier = naming.conversion if naming else None
        return {
            "click_id": self._tokens.sign(touch.click_id, touch.link_id).decode(),
            "clicked_at": from_us(touch.clicked_at_us),
            "link_id": _id(touch.link_id),
            "influencer_id": _id(touch.influencer_id),
            "campaign_id": _id(touch.campaign_id),
            "verdict": judged.verdict.value,
            "weight": _weight(weights.get(touch.click_id, 0)),
            "slug": detail.slug,
            "agent_class": detail.agent_class,
            "stored": touch.stored,
            "age": _duration(explanation.conversion.facts.occurred_at_us - touch.clicked_at_us),
            "window": _duration(judgement.window_us(touch.campaign_id)),
            "window_from": judgement.window_source(touch.campaign_id).value,
            "named_by": naming.by.value if naming else None,
            "named_by_conversion": dict(zip(("source", "type", "id"), earlier, strict=True)) if earlier else None,
        }


async def _deciding(facts: CreditFacts, conversion: StoredConversion, judgement: Judgement) -> list[Sequence[Touch]]:
    """With a thousand newer ones, what decided the credit, or its absence, still counts."""
    since = [since_us(conversion, judgement)]
    path = await facts.touches([conversion], since)
    older = await facts.older_touches([conversion], since)
    return [found.get(conversion.conversion_id, ()) for found in (path, older)]


def _of_visitors(touches: Iterable[Touch], details: Mapping[ClickId, TouchDetail]) -> int:
    """The other one, that the conversion names by its id, is not among the clicks of visitors that were counted."""
    return sum(details[touch.click_id].visitor_id is not None for touch in touches)


def _terms(recomputation_id: RecomputationId | None, terms: Terms | None) -> Mapping[str, Any] | None:
    """The recomputation that bound the conversion, as it was asked for."""
    if terms is None:
        return None
    least, half_life = terms.min_click_to_conversion_us, terms.half_life_us
    return {
        "id": _id(recomputation_id),
        "rule": _id(terms.rule_id),
        "model": terms.model.value if terms.model else None,
        "half_life": None if half_life is None else _duration(half_life),
        "position_weights": [_share(share) for share in terms.position_weights] if terms.position_weights else None,
        "windows": {name: _duration(us) for name, us in terms.windows_us.items()},
        "min_click_to_conversion": None if least is None else _duration(least),
    }


def _share(share: Fraction) -> str:
    return f"{Decimal(share.numerator) / share.denominator:f}"


def _refund(judged: JudgedRefund, currency: str) -> Mapping[str, Any]:
    return {
        "refund_id": judged.refund.refund_id,
        "refunded_at": judged.refund.refunded_at,
        "amount": from_minor(judged.amount_minor, currency),
        "flags": [flag.value for flag in judged.flags],
    }


def _code(explanation: Explanation, judged: JudgedCode) -> Mapping[str, Any]:
    """`known`: all codes of the text, as they judge the conversion; `code_id` is the active one."""
    return {
        "code": judged.text,
        "verdict": judged.verdict.value,
        "code_id": _id(judged.code.code_id) if judged.code else None,
        "known": [_known(code) for code in explanation.codes.get(code_key(judged.text), ())],
    }


def _known(code: Code) -> Mapping[str, Any]:
    return {
        "code_id": _id(code.code_id),
        "influencer_id": _id(code.influencer_id),
        "campaign_id": _id(code.campaign_id),
        "policy": code.policy.value,
        "starts_at": None if code.starts_at_us is None else from_us(code.starts_at_us),
        "ends_at": None if code.ends_at_us is None else from_us(code.ends_at_us),
        "status": "active" if code.enabled else "disabled",
        "version_of": from_us(code.created_at_us),
    }


def _duration(us: int) -> str:
    """ISO 8601, with a minus before it where the click is the later."""
    return f"{'-' if us < 0 else ''}{format_duration(timedelta(microseconds=abs(us)))}"


def _by_influencer(credits_: Sequence[Credit], currency: str) -> list[Mapping[str, Any]]:
    sums: dict[tuple[Any, Via], list[int]] = {}
    for credit in credits_:
        if credit.via is not Via.NONE:
            added = sums.setdefault((credit.influencer_id, credit.via), [0, 0])
            added[0] += credit.weight_units
            added[1] += credit.net_minor
    return [
        {
            "influencer_id": _id(influencer_id),
            "via": via.value,
            "weight": _weight(units),
            "revenue": from_minor(net_minor, currency),
        }
        for (influencer_id, via), (units, net_minor) in sums.items()
    ]


def _recorded(credits_: Sequence[Credit], currency: str, program_currency: str) -> Mapping[str, Any]:
    """What entries tell of a past moment: neither a plan nor that a rate was missing."""
    paid: dict[InfluencerId | None, int] = {}
    for credit in credits_:
        if credit.via is not Via.NONE:
            paid[credit.influencer_id] = paid.get(credit.influencer_id, 0) + credit.commission
    return {
        "credits": _by_influencer(credits_, currency),
        "value": _value(Valuation(tuple(credits_), ()), program_currency),
        "commissions": [
            {
                **dict.fromkeys(("plan_id", "percent", "flat", "flat_currency")),
                "influencer_id": _id(influencer_id),
                "commission": from_minor(commission, program_currency),
            }
            for influencer_id, commission in paid.items()
            if influencer_id is not None and commission
        ],
    }


def _value(valuation: Valuation, currency: str) -> Mapping[str, Any]:
    """What the conversion is worth in the programme's currency; not known while its rate is missing."""
    credits_, missing = valuation.credits, valuation.missing
    worth = {
        "gross": sum(credit.gross_value for credit in credits_),
        "net": sum(credit.net_value for credit in credits_),
        "discount": sum(credit.discount_value for credit in credits_),
    }
    commission = sum(credit.commission for credit in credits_)
    return {
        "currency": currency,
        **{name: _unless(minor, currency, valuation.worth_missing) for name, minor in worth.items()},
        "commission": _unless(commission, currency, missing),
        "missing_rate": missing and {"date": missing.day, "base": missing.base, "quote": missing.quote},
    }


def _unless(minor: int, currency: str, missing: MissingRateError | None) -> str | None:
    return from_minor(minor, currency) if missing is None else None


def _commissions(valuation: Valuation, currency: str) -> list[Mapping[str, Any]]:
    """By influencer and plan; an influencer that no plan is for is not paid."""
    return [
        {
            "influencer_id": _id(influencer_id),
            "plan_id": _id(plan.plan_id),
            "percent": None if plan.rate is None else _decimal(plan.rate * 100),
            "flat": None if plan.flat_minor is None else from_minor(plan.flat_minor, plan.currency or currency),
            "flat_currency": plan.currency,
            "commission": _unless(commission, currency, valuation.missing),
        }
        for (influencer_id, plan), commission in valuation.commissions().items()
    ]


def _decimal(exact: Fraction) -> str:
    return f"{(Decimal(exact.numerator) / exact.denominator).normalize():f}"


def _weight(units: int) -> str:
    """`0.5`, or eighteen decimals where it takes them."""
    return f"{(Decimal(units) / WEIGHT_UNITS).normalize():f}"


def _id(value: int | None) -> str | None:
    return None if value is None else str(value)


def _model(name: str | None) -> Model | None:
    try:
        return None if name is None else Model(name)
    except ValueError:
        known = ", ".join(Model)
        raise InvalidInputError(FieldError(("query", "model"), f"is none of {known}")) from None
