"""Which row of the contract's redirect table a tap falls into: the first that fits."""

from enum import Enum

from attribution.domain.clicks import AgentClass

from .compiled_link import CompiledLink
from .tap import Tap

_METHODS = ("GET", "HEAD")
_FOLLOWERS = (AgentClass.BROWSER, AgentClass.UNKNOWN)


class Outcome(Enum):
    """Values are the metric's labels."""

    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    FALLBACK = "fallback"
    GONE = "gone"
    HEAD = "head"
    PREFETCH = "prefetch"
    BOT = "bot"
    LIVE = "live"

    # Members are dictionary keys of each answer, and Enum's own hash is written in Python.
    __hash__ = object.__hash__


# Reading a member of an enum costs as much as a comparison or two.
_LIVE, _BOT = Outcome.LIVE, Outcome.BOT
CLICKS = (_LIVE, _BOT)


def method_allowed(method: str) -> bool:
    return method in _METHODS


def decide(tap: Tap, link: CompiledLink | None, now_us: int) -> Outcome:
    """`link`: None for an unknown slug or no slug. Starts are inclusive, ends exclusive."""
    method = tap.method
    if method not in _METHODS:
        return Outcome.METHOD_NOT_ALLOWED
    if link is None or now_us < link.starts_us:
        return Outcome.NOT_FOUND
    if link.disabled or now_us >= link.expires_us:
        return Outcome.GONE if link.fallback is None else Outcome.FALLBACK
    if method == "HEAD":
        return Outcome.HEAD
    if tap.said.prefetch:
        return Outcome.PREFETCH
    return _LIVE if tap.said.agent.agent_class in _FOLLOWERS else _BOT
