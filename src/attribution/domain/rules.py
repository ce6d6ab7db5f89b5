"""Rules and campaign windows: versioned, each in force from an instant on."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Protocol, TypeVar

from .ids import CampaignId, RecomputationId, RuleId
from .models import DEFAULTS, Ends, Model, Parameters

_DAY_US = 24 * 3600 * 1_000_000
DEFAULT_TYPE = "default"
DEFAULT_WINDOW_US = 30 * _DAY_US
NO_WINDOWS: Mapping[str, int] = {}


class Version(Protocol):
    @property
    def effective_from_us(self) -> int: ...

    @property
    def created_at_us(self) -> int: ...


V = TypeVar("V", bound=Version)


@dataclass(frozen=True, slots=True)
class Rule:
    """`windows_us`: conversion type, or `default`, to microseconds."""

    rule_id: RuleId | None = None
    model: Model = Model.LAST_TOUCH
    windows_us: Mapping[str, int] = field(default_factory=dict)
    min_click_to_conversion_us: int = 0
    effective_from_us: int = 0
    created_at_us: int = 0
    parameters: Parameters = DEFAULTS


MARKET_DEFAULT = Rule()
"""What judges a conversion that no rule is in force for: last touch, 30 days."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a recomputation puts in place of the rule in force; of what it leaves out, the rule's own stands."""

    rule_id: RuleId | None = None
    model: Model | None = None
    half_life_us: int | None = None
    position_weights: Ends | None = None
    windows_us: Mapping[str, int] = field(default_factory=dict)
    min_click_to_conversion_us: int | None = None

    def over(self, rule: Rule) -> Rule:
        own, least = rule.parameters, self.min_click_to_conversion_us
        return replace(
            rule,
            model=self.model or rule.model,
            parameters=Parameters(
                self.half_life_us or own.half_life_us, self.position_weights or own.position_weights
            ),
            windows_us={**rule.windows_us, **self.windows_us},
            min_click_to_conversion_us=rule.min_click_to_conversion_us if least is None else least,
        )


@dataclass(frozen=True, slots=True)
class CampaignWindows:
    windows_us: Mapping[str, int]
    effective_from_us: int
    created_at_us: int


def in_force(versions: Iterable[V], at_us: int, known_by_us: int | None) -> V | None:
    """The latest effective at `at_us`; of equals the later created, then the later in `versions`.

    Made after `known_by_us`, it does not count.
    """
    fitting = [
        version
        for version in versions
        if version.effective_from_us <= at_us and (known_by_us is None or version.created_at_us <= known_by_us)
    ]
    latest_first = reversed(fitting)
    return max(latest_first, key=lambda v: (v.effective_from_us, v.created_at_us), default=None)


_NO_TERMS = Terms()


class WindowSource(StrEnum):
    """Whose window it is, the first that has one."""

    CAMPAIGN = "campaign"
    RULE = "rule"
    RULE_DEFAULT = "rule_default"
    MARKET_DEFAULT = "market_default"


@dataclass(frozen=True)
class RuleBook:
    """All versions of a programme, and the terms of its recomputations."""

    rules: tuple[Rule, ...] = ()
    campaign_windows: Mapping[CampaignId, tuple[CampaignWindows, ...]] = field(default_factory=dict)
    terms: Mapping[RecomputationId, Terms] = field(default_factory=dict)

    def judgement(
        self,
        conversion_type: str,
        occurred_at_us: int,
        bound_at_us: int | None,
        recomputation_id: RecomputationId | None = None,
    ) -> "Judgement":
        """What judges a conversion; bound to what was known when it was first credited or recomputed, if it was."""
        # Between two changes all of a type are judged alike.
        key = (conversion_type, bisect_right(self._changes, occurred_at_us), bound_at_us, recomputation_id)
        if key not in self._judgements:
            self._judgements[key] = self._judge(conversion_type, occurred_at_us, bound_at_us, recomputation_id)
        return self._judgements[key]

    @cached_property
    def _changes(self) -> list[int]:
        """Instants."""
        versions: Iterable[Version] = chain(self.rules, *self.campaign_windows.values())
        return sorted({version.effective_from_us for version in versions})

    @cached_property
    def _judgements(self) -> dict[tuple[str, int, int | None, RecomputationId | None], "Judgement"]:
        return {}

    def _judge(
        self,
        conversion_type: str,
        occurred_at_us: int,
        bound_at_us: int | None,
        recomputation_id: RecomputationId | None,
    ) -> "Judgement":
        rule = self._rule(occurred_at_us, bound_at_us, recomputation_id)
        windows: dict[CampaignId, int] = {}
        for campaign_id, versions in self.campaign_windows.items():
            version = in_force(versions, occurred_at_us, bound_at_us)
            if version is not None and conversion_type in version.windows_us:
                windows[campaign_id] = version.windows_us[conversion_type]
        return Judgement(rule, conversion_type, windows)

    def _rule(self, occurred_at_us: int, bound_at_us: int | None, recomputation_id: RecomputationId | None) -> Rule:
        terms = _NO_TERMS if recomputation_id is None else self.terms[recomputation_id]
        if terms.rule_id is None:
            rule = in_force(self.rules, occurred_at_us, bound_at_us) or MARKET_DEFAULT
        else:
            rule = next(rule for rule in self.rules if rule.rule_id == terms.rule_id)
        return rule if terms == _NO_TERMS else terms.over(rule)


@dataclass(frozen=True)
class Judgement:
    """A rule, and the windows of campaigns that go before it, for one type of conversion at one instant."""

    rule: Rule
    conversion_type: str
    campaign_windows_us: Mapping[CampaignId, int] = field(default_factory=dict)

    def under(self, model: Model | None) -> "Judgement":
        """With this model in place of the rule's; None: as it is."""
        return self if model is None else replace(self, rule=replace(self.rule, model=model))

    def window_us(self, campaign_id: CampaignId | None) -> int:
        """The campaign's for the type, else the rule's for the type, else the rule's default, else 30 days."""
        if campaign_id is not None and campaign_id in self.campaign_windows_us:
            return self.campaign_windows_us[campaign_id]
        windows = self.rule.windows_us
        return windows.get(self.conversion_type, windows.get(DEFAULT_TYPE, DEFAULT_WINDOW_US))

    def window_source(self, campaign_id: CampaignId | None) -> WindowSource:
        """Of `window_us`."""
        if campaign_id is not None and campaign_id in self.campaign_windows_us:
            return WindowSource.CAMPAIGN
        if self.conversion_type in self.rule.windows_us:
            return WindowSource.RULE
        return WindowSource.RULE_DEFAULT if DEFAULT_TYPE in self.rule.windows_us else WindowSource.MARKET_DEFAULT

    @cached_property
    def widest_window_us(self) -> int:
        return max(self.window_us(None), *self.campaign_windows_us.values(), 0)
