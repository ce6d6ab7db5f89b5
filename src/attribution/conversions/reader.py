"""Explains a conversion: what is known of it, every candidate with its verdict, and who has the credit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from attribution.adapters.credit_table import ConversionKey, CreditFacts, CreditTable, StoredConversion
from attribution.domain.attribution import WEIGHT_UNITS, Attribution, Credit, JudgedTouch, Via, attribute
from attribution.domain.click_id import ClickTokens
from attribution.domain.conversions import PURCHASE
from attribution.domain.instants import from_us
from attribution.domain.models import Model
from attribution.domain.money import from_minor
from attribution.domain.programs import Program
from attribution.domain.refunds import JudgedRefund, judge_refunds
from attribution.errors import FieldError, InvalidInputError

from .attributor import merged, since_us

TOUCHES_LISTED = 1_000


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
            conversion, attribution, more = await self._explained(facts, key, None)
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
            "attribution": self._shown(conversion, attribution, more),
        }

    async def attribution(
        self, program: Program, source: str, conversion_type: str, external_id: str, model: str | None
    ) -> Mapping[str, Any] | None:
        """`model`: what this one would give, all else as it is. Raises `InvalidInputError` for an unknown one."""
        other = _model(model)
        async with self._table.snapshot() as facts:
            key = await facts.find(program.program_id, source, conversion_type, external_id)
            if key is None:
                return None
            return self._shown(*await self._explained(facts, key, other))

    async def _explained(
        self, facts: CreditFacts, key: ConversionKey, model: Model | None
    ) -> tuple[StoredConversion, Attribution, int]:
        """And how many candidates there are beyond those listed."""
        [conversion] = await facts.conversions([key])
        book = (await facts.rule_books([conversion.program_id]))[conversion.program_id]
        judgement = book.judgement(conversion.type, conversion.facts.occurred_at_us, conversion.bound_at_us)
        if model is not None:
            judgement = replace(judgement, rule=replace(judgement.rule, model=model))
        history = (await facts.code_histories([conversion]))[conversion.program_id]
        codes = history.book(conversion.facts.discount_codes, conversion.bound_at_us)
        named = await facts.named_clicks([conversion])
        since = [since_us(conversion, judgement)]
        # With a thousand newer ones, what decided the credit, or its absence, still counts.
        path = await facts.visitor_clicks([conversion], since)
        older = await facts.older_clicks([conversion], since)
        newest, count = await facts.all_clicks(conversion, TOUCHES_LISTED)
        conversion_id = conversion.conversion_id
        deciding = (found.get(conversion_id, ()) for found in (named, path, older))
        candidates = merged(*deciding, newest)
        attribution = attribute(conversion.facts, candidates, judgement, codes)
        return conversion, attribution, max(0, count - TOUCHES_LISTED)

    def _shown(self, conversion: StoredConversion, attribution: Attribution, more_touches: int) -> Mapping[str, Any]:
        rule = attribution.judgement.rule
        weights = {c.click_id: c.weight_units for c in attribution.credits if c.click_id is not None}
        return {
            "status": attribution.status.value,
            "reason": attribution.reason.value if attribution.reason else None,
            "model": rule.model.value,
            "rule_id": _id(rule.rule_id),
            "touches": [self._touch(judged, weights) for judged in attribution.touches[-TOUCHES_LISTED:]],
            "more_touches": more_touches,
            "codes": [{"code": judged.text, "verdict": judged.verdict.value} for judged in attribution.codes],
            "credits": _by_influencer(attribution.credits, conversion.currency),
        }

    def _touch(self, judged: JudgedTouch, weights: Mapping[Any, int]) -> Mapping[str, Any]:
        touch = judged.touch
        return {
            "click_id": self._tokens.sign(touch.click_id, touch.link_id).decode(),
            "clicked_at": from_us(touch.clicked_at_us),
            "link_id": _id(touch.link_id),
            "influencer_id": _id(touch.influencer_id),
            "campaign_id": _id(touch.campaign_id),
            "verdict": judged.verdict.value,
            "weight": _weight(weights.get(touch.click_id, 0)),
        }


def _refund(judged: JudgedRefund, currency: str) -> Mapping[str, Any]:
    return {
        "refund_id": judged.refund.refund_id,
        "refunded_at": judged.refund.refunded_at,
        "amount": from_minor(judged.amount_minor, currency),
        "flags": [flag.value for flag in judged.flags],
    }


def _by_influencer(credits_: Sequence[Credit], currency: str) -> list[Mapping[str, Any]]:
    sums: dict[tuple[Any, Via], list[int]] = {}
    for credit in credits_:
        if credit.via is not Via.NONE:
            units_and_money = sums.setdefault((credit.influencer_id, credit.via), [0, 0])
            units_and_money[0] += credit.weight_units
            units_and_money[1] += credit.net_minor
    return [
        {
            "influencer_id": _id(influencer_id),
            "via": via.value,
            "weight": _weight(units),
            "revenue": from_minor(net_minor, currency),
        }
        for (influencer_id, via), (units, net_minor) in sums.items()
    ]


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
