"""Command `explain`: a conversion's credit as a page of text."""

import sys
from dataclasses import dataclass

from attribution.adapters.credit_table import CreditTable
from attribution.adapters.postgres import Database
from attribution.adapters.programs import Programs
from attribution.conversions.reader import ConversionReader
from attribution.domain.click_id import ClickTokens
from attribution.domain.ids import InfluencerId
from attribution.errors import AttributionError
from attribution.settings import Settings

from .secrets import load_click_id_keys


@dataclass(frozen=True, slots=True)
class Question:
    program: str
    source: str
    type: str
    external_id: str
    model: str | None = None
    influencer_id: InfluencerId | None = None


async def explain(settings: Settings, question: Question) -> None:
    """Prints it. Raises `AttributionError` for what is not there."""
    database = Database(settings)
    try:
        known = await Programs(database).by_key(question.program)
        if known is None:
            raise AttributionError(f"there is no programme {question.program!r}")
        reader = ConversionReader(CreditTable(database), ClickTokens(load_click_id_keys(settings)))
        key = (question.source, question.type, question.external_id)
        text = await reader.page(known.program, key, question.model, question.influencer_id)
    finally:
        await database.close()
    if text is None:
        raise AttributionError(f"there is no {question.type} {question.external_id!r} of source {question.source!r}")
    sys.stdout.write(text)
