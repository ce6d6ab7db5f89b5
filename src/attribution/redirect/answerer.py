"""From a tap and its link to the answer and the click's record: all of a redirect that needs no I/O."""

from attribution.domain.click_id import ClickTokens
from attribution.domain.clicks import pack_record

from .address import NO_ADDRESS, AddressKeeper, KeptAddress, forwarded_address
from .answer import Answer
from .compiled_link import CompiledLink
from .decision import CLICKS, Outcome, decide
from .location import location_of_click, location_of_look
from .parameters import NO_SUBS, subs
from .tap import Tap
from .visitor import RandomPool, new_visitor, visitor_cookie

_UNIQUE_BYTES = 8
_LIVE = Outcome.LIVE


class Answerer:
    def __init__(
        self, tokens: ClickTokens, addresses: AddressKeeper, randomness: RandomPool, *, trusted_proxies: int
    ) -> None:
        self._tokens = tokens
        self._addresses = addresses
        self._randomness = randomness
        self._trusted_proxies = trusted_proxies

    def kept_address(self, address: str | None) -> KeptAddress:
        return self._addresses.keep(address)

    def answer(self, tap: Tap, link: CompiledLink | None, address: KeptAddress, now_us: int) -> Answer:
        """`link`: what the tap's slug names, None for nothing; `address`: what is kept of the other end's."""
        outcome = decide(tap, link, now_us)
        if link is None or outcome not in CLICKS:
            return _no_click(outcome, tap, link)
        said, query, visitor, set_cookie = tap.said, tap.query, tap.visitor, None
        if not visitor and outcome is _LIVE and not said.gpc:
            visitor = new_visitor(self._randomness)
            set_cookie = visitor_cookie(visitor, secure=not said.on_loopback)
        if self._trusted_proxies:
            address = self._forwarded_address(tap, address)
        click_id, token = self._tokens.issue(now_us, self._randomness.take(_UNIQUE_BYTES), link.link_id)
        texts = (visitor, address.text, said.referrer_host, subs(query) if query else NO_SUBS)
        record = pack_record(click_id, link.record_part, said.agent.record_part, address.country, texts)
        return Answer(outcome, location_of_click(link, query, token, visitor), set_cookie, record)

    def _forwarded_address(self, tap: Tap, peer: KeptAddress) -> KeptAddress:
        kept = self._addresses.keep(forwarded_address(tap.said.forwarded_for, self._trusted_proxies))
        return peer if kept is NO_ADDRESS else kept


def _no_click(outcome: Outcome, tap: Tap, link: CompiledLink | None) -> Answer:
    if link is not None and outcome is Outcome.HEAD:
        return Answer(outcome, location_of_look(link, tap.query))
    return Answer(outcome, link.fallback if link is not None and outcome is Outcome.FALLBACK else None)
