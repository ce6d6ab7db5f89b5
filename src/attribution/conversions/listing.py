"""Which candidates of a conversion an explanation lists, where there are too many. Pure."""

from collections.abc import Sequence
from uuid import UUID

from attribution.domain.attribution import JudgedTouch, Verdict
from attribution.domain.ids import ClickId, InfluencerId

TOUCHES_LISTED = 1_000
_PATH = (Verdict.CREDITED, Verdict.NOT_CREDITED)


def listed(
    touches: Sequence[JudgedTouch], click_id: UUID | None, influencer_id: InfluencerId | None
) -> tuple[JudgedTouch, ...]:
    """The newest, of all and of the influencer; the path; the click that is named; and, as one may be the reason that
    there is no credit, the newest of each verdict.

    `touches`: the oldest first, as they are answered.
    """
    theirs = [
        judged for judged in touches if influencer_id is not None and judged.touch.influencer_id == influencer_id
    ]
    of_verdicts = {judged.verdict: judged for judged in touches}.values()
    always = (*touches[-TOUCHES_LISTED:], *theirs[-TOUCHES_LISTED:], *of_verdicts)
    ids = {judged.touch.click_id for judged in always}
    if click_id is not None:
        ids.add(ClickId(click_id.bytes))
    return tuple(judged for judged in touches if judged.touch.click_id in ids or judged.verdict in _PATH)
