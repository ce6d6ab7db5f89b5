"""Explanations of conversions: JSON for programs, and the same as a page of text for people."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.responses import PlainTextResponse

from attribution.domain.conversions import DEFAULT_SOURCE
from attribution.domain.ids import InfluencerId
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError, NotFoundError

from .fields import PRINTABLE, Instant, PayModel, object_id
from .resources import ON_READ
from .services import Services

_TEXT = "text/plain"
ON_EXPLAIN: dict[int | str, dict[str, Any]] = {
    **ON_READ,
    200: {
        "description": "JSON, or with `Accept: text/plain` a page for people",
        "content": {_TEXT: {"schema": {"type": "string"}}},
    },
}


@dataclass(frozen=True, slots=True)
class ExplanationQuery:
    source: Annotated[str, Query(min_length=1, max_length=255, pattern=PRINTABLE)] = DEFAULT_SOURCE
    model: Annotated[PayModel | None, Query(description="What this one would give; nothing is stored")] = None
    influencer_id: Annotated[
        str | None, Query(max_length=64, description="With `Accept: text/plain`: what concerns this one comes first")
    ] = None
    as_of: Annotated[Instant | None, Query(description="`credits` as recorded by then; all else is of now")] = None
    accept: Annotated[str, Header(max_length=1000)] = "*/*"

    def check(self, *, text: bool) -> None:
        """Raises `InvalidInputError` for what does not go together."""
        if self.as_of is not None and self.model is not None:
            raise InvalidInputError(FieldError(("query", "as_of"), "another model has no record; leave out one"))
        if self.as_of is not None and text:
            raise InvalidInputError(FieldError(("query", "as_of"), "is of use only with Accept: application/json"))
        if self.influencer_id is not None and not text:
            raise InvalidInputError(FieldError(("query", "influencer_id"), "is of use only with Accept: text/plain"))


async def explained(
    services: Services, program: Program, conversion_type: str, external_id: str, query: ExplanationQuery
) -> object:
    """Raises `NotFoundError`."""
    text_wanted = _prefers_text(query.accept)
    query.check(text=text_wanted)
    if text_wanted:
        key = (query.source, conversion_type, external_id)
        text = await services.credits.page(program, key, query.model, _influencer(query.influencer_id))
        if text is not None:
            return PlainTextResponse(text)
        raise NotFoundError
    answer = await services.credits.attribution(
        program, query.source, conversion_type, external_id, query.model, query.as_of
    )
    if answer is None:
        raise NotFoundError
    return answer


def _influencer(text: str | None) -> InfluencerId | None:
    if text is None:
        return None
    number = object_id(text)
    if number is None:
        raise InvalidInputError(FieldError(("query", "influencer_id"), "is unknown in this programme"))
    return InfluencerId(number)


def _prefers_text(accept: str) -> bool:
    """It names plain text, and nothing that JSON would fit no less."""
    qualities = dict(_quality(part) for part in accept.split(","))
    return qualities.get(_TEXT, 0.0) > qualities.get("application/json", 0.0)


def _quality(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    [text] = [p.removeprefix("q=") for p in parameters if p.startswith("q=")][:1] or ["1"]
    try:
        return name, float(text)
    except ValueError:
        return name, 0.0
