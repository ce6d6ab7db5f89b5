"""/v1/rules: append-only versions of a programme's model and windows."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from attribution.domain.durations import format_duration
from attribution.domain.models import Model
from attribution.domain.rules import DEFAULT_TYPE

from .fields import Duration, Instant, Line, ProgramKey, RuleWindows
from .resources import Answer, New, Resource


class NewRule(New):
    program: ProgramKey | None = None
    external_id: Line | None = None
    effective_from: Instant
    model: Annotated[Model, Field(strict=False)]
    windows: RuleWindows = Field(default_factory=dict, examples=[{DEFAULT_TYPE: "P30D", "lead": "P7D"}])
    min_click_to_conversion: Duration = "PT0S"


def _duration(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


class Rule(Answer):
    effective_from: Instant
    model: Model
    windows: dict[str, str]
    min_click_to_conversion: Annotated[str, BeforeValidator(_duration)]


RULES = Resource("rules", "a rule", NewRule, Rule)
