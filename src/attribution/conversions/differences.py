"""What a recomputation changes: who has which part of a conversion by its terms, beside what is recorded."""

from collections.abc import Iterable, Mapping, Sequence

from attribution.adapters.credit_entries import is_any
from attribution.adapters.recomputation_table import Difference, Part
from attribution.adapters.stored_conversions import Judged
from attribution.domain.attribution import Credit
from attribution.domain.ids import ConversionId, InfluencerId

Parts = dict[tuple[str, InfluencerId | None], Part]
"""By via and influencer."""
_NOTHING = Part()
_NONE: Sequence[Credit] = ()


def differences(judged: Iterable[Judged], before: Mapping[ConversionId, Sequence[Credit]]) -> list[Difference]:
    """By influencer, wherever an entry has to be appended. Before and after are the same where credit only moved
    between clicks of one influencer.
    """
    found: list[Difference] = []
    for conversion, _, valuation in judged:
        conversion_id, currency = conversion.conversion_id, conversion.currency
        recorded = before.get(conversion_id, _NONE)
        changed = set(recorded) ^ set(valuation.credits) if recorded else valuation.credits
        if not changed:
            continue
        was, now = _parts(recorded), _parts(valuation.credits)
        for whose in {(str(credit.via), credit.influencer_id) for credit in changed if is_any(credit)}:
            pair = (was.get(whose, _NOTHING), now.get(whose, _NOTHING))
            found.append(tuple.__new__(Difference, (conversion_id, *whose, currency, *pair)))
    return found


def _parts(credits_: Iterable[Credit]) -> Parts:
    by_whose: Parts = {}
    for credit in credits_:
        whose = (str(credit.via), credit.influencer_id)
        amounts = (credit.weight_units, credit.net_minor, credit.net_value, credit.commission)
        if whose in by_whose:
            before = by_whose[whose]
            amounts = (
                before[0] + amounts[0], before[1] + amounts[1], before[2] + amounts[2], before[3] + amounts[3],
            )  # fmt: skip
        by_whose[whose] = tuple.__new__(Part, amounts)
    return by_whose
