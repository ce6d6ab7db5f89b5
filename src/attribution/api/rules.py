"""/v1/rules: append-only versions of a programme's model, its parameters and windows."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from attribution.domain.durations import format_duration
from attribution.domain.models import Model
from attribution.domain.rules import DEFAULT_TYPE

from .fields import Amount, Duration, HalfLife, Instant, Line, PayModel, ProgramKey, RuleWindows
from .resources import Answer, New, Resource


def _whole(shares: list[Decimal]) -> list[Decimal]:
    if sum(map(Fraction, shares)) != 1:
        raise ValueError("do not sum to 1")
    return shares


Share = Annotated[Amount, PlainSerializer(lambda value: f"{value:f}")]
PositionWeights = Annotated[
    list[Share], Field(min_length=3, max_length=3, examples=[["0.4", "0.2", "0.4"]]), AfterValidator(_whole)
]
"""First touch, all between together, last touch."""


class NewRule(New):
    """The parameters of models other than its own stand too: explanations and reports by those models use them."""

    program: ProgramKey | None = None
    external_id: Line | None = None
    effective_from: Instant
    model: PayModel
    windows: RuleWindows = Field(default_factory=dict, examples=[{DEFAULT_TYPE: "P30D", "lead": "P7D"}])
    half_life: HalfLife | None = None
    position_weights: PositionWeights | None = None
    min_click_to_conversion: Duration = "PT0S"


def _duration(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


class Rule(Answer):
    """A parameter that the rule does not set is null: a half-life of 7 days, weights of 0.4, 0.2 and 0.4."""

    effective_from: Instant
    model: Model
    windows: dict[str, str]
    half_life: str | None
    position_weights: list[str] | None
    min_click_to_conversion: Annotated[str, BeforeValidator(_duration)]


RULES = Resource("rules", "a rule", NewRule, Rule)
