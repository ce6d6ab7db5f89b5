"""Discount codes: whose they are, and when they take the credit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .ids import CampaignId, CodeId, InfluencerId


class CodePolicy(StrEnum):
    """`always` takes all credit, `if_involved` only if its influencer has a touch in the path, `if_winner` never."""

    ALWAYS = "always"
    IF_INVOLVED = "if_involved"
    IF_WINNER = "if_winner"


@dataclass(frozen=True, slots=True)
class Code:
    """A code as it was from `created_at_us`, when it was made or changed, to its next version.

    Active from `starts_at_us` (inclusive) to `ends_at_us` (exclusive), None being open; never when disabled.
    """

    code_id: CodeId
    text: str
    influencer_id: InfluencerId
    campaign_id: CampaignId | None
    policy: CodePolicy
    starts_at_us: int | None = None
    ends_at_us: int | None = None
    enabled: bool = True
    created_at_us: int = 0

    def active_at(self, at_us: int) -> bool:
        started = self.starts_at_us is None or self.starts_at_us <= at_us
        return self.enabled and started and (self.ends_at_us is None or at_us < self.ends_at_us)


def code_key(text: str) -> str:
    """What codes are matched by: case and surrounding space do not matter."""
    return text.strip().casefold()


CodeBook = Mapping[str, Sequence[Code]]
"""`code_key` -> the codes that have this text."""


@dataclass(frozen=True, slots=True)
class CodeHistory:
    """`by_text`: `code_key` -> of each code of the programme that ever had it, all versions, the oldest first."""

    by_text: Mapping[str, Sequence[Sequence[Code]]] = field(default_factory=dict)

    def book(self, texts: Iterable[str], known_by_us: int | None) -> CodeBook:
        """The codes of these texts: each by its newest version, or by the newest that was made by `known_by_us`."""
        return {key: self._known(key, known_by_us) for key in map(code_key, texts)}

    def _known(self, key: str, known_by_us: int | None) -> list[Code]:
        newest = (_newest(versions, known_by_us) for versions in self.by_text.get(key, ()))
        return [code for code in newest if code is not None and code_key(code.text) == key]


def _newest(versions: Sequence[Code], known_by_us: int | None) -> Code | None:
    known = (code for code in reversed(versions) if known_by_us is None or code.created_at_us <= known_by_us)
    return next(known, None)
