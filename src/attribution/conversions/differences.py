"""What a recomputation changes: who has which part of a conversion by its terms, beside what is recorded."""

from collections.abc import Iterable, Mapping

from attribution.adapters.postgres import Row
from attribution.adapters.recomputation_table import Difference, Part
from attribution.adapters.stored_conversions import Judged
from attribution.domain.attribution import Credit
from attribution.domain.ids import ConversionId, InfluencerId

Parts = dict[tuple[str, InfluencerId | None], Part]
"""By via and influencer."""
_NOTHING = Part()
_NOBODY: Parts = {}


def differences(judged: Iterable[Judged], before: Mapping[ConversionId, Parts]) -> list[Difference]:
    """By influencer; credit that only moved between clicks of one influencer is none."""
    found: list[Difference] = []
    for conversion, _, valuation in judged:
        conversion_id, currency = conversion.conversion_id, conversion.currency
        was, now = before.get(conversion_id, _NOBODY), parts(valuation.credits)
        for whose, part in now.items():
            old = was.get(whose, _NOTHING)
            if old != part:
                found.append(tuple.__new__(Difference, (conversion_id, *whose, currency, old, part)))
        for whose, part in was.items():
            if whose not in now:
                found.append(Difference(conversion_id, *whose, currency, part, _NOTHING))
    return found


def parts(credits_: Iterable[Credit]) -> Parts:
    by_whose: Parts = {}
    for credit in credits_:
        whose = (str(credit.via), credit.influencer_id)
        amounts = (credit.weight_units, credit.net_minor, credit.commission)
        if whose in by_whose:
            before = by_whose[whose]
            amounts = (before[0] + amounts[0], before[1] + amounts[1], before[2] + amounts[2])
        by_whose[whose] = tuple.__new__(Part, amounts)
    return by_whose


def sums(rows: Iterable[Row]) -> dict[ConversionId, Parts]:
    """`rows`: conversion, via, influencer, and the columns of `Part`."""
    by_conversion: dict[ConversionId, Parts] = {}
    for conversion_id, via, influencer_id, *amounts in rows:
        part = Part(*amounts)
        if part != _NOTHING:
            by_conversion.setdefault(conversion_id, {})[via, influencer_id] = part
    return by_conversion
