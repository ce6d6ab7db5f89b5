"""All that an explanation tells of a conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from attribution.adapters.explanation_facts import CreditRecord
from attribution.adapters.stored_conversions import StoredConversion
from attribution.domain.attribution import Attribution, Touch
from attribution.domain.candidates import NamedBy, Naming, TouchDetail
from attribution.domain.codes import CodeBook
from attribution.domain.ids import ClickId, InfluencerId
from attribution.domain.rules import Terms
from attribution.domain.valuation import Valuation


@dataclass(frozen=True, slots=True)
class Explanation:
    """What judging the conversion gives now, beside what is recorded.

    `codes`: those of its texts, as they judge it. `more_touches`: candidates beyond those listed;
    `more_of_influencer`: how many of them are of the one who is asked about. `namings`: by visitor.
    `is_other_model`: asked what another model would give. `terms`: those of the recomputation that bound it.
    """

    conversion: StoredConversion
    attribution: Attribution
    valuation: Valuation
    record: CreditRecord = field(default_factory=CreditRecord)
    codes: CodeBook = field(default_factory=dict)
    more_touches: int = 0
    more_of_influencer: int = 0
    details: Mapping[ClickId, TouchDetail] = field(default_factory=dict)
    namings: Mapping[str, Naming] = field(default_factory=dict)
    names: Mapping[InfluencerId, str] = field(default_factory=dict)
    is_other_model: bool = False
    terms: Terms | None = None

    def detail(self, touch: Touch) -> TouchDetail:
        return self.details.get(touch.click_id, TouchDetail())

    def naming(self, touch: Touch) -> Naming | None:
        click_id = self.conversion.click_id
        if click_id is not None and click_id.bytes == touch.click_id:
            return Naming(NamedBy.CLICK_ID)
        return self.namings.get(self.detail(touch).visitor_id or "")
