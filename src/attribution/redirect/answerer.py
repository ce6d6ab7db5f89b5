"""From a tap and its link to the answer and the click's record: all of a redirect that needs no I/O."""

from attribution.domain.click_id import ClickTokens, make_click_id
from attribution.domain.clicks import CLASS_BYTE, pack_record

from .address import AddressKeeper, client_address
from .agents import AgentClassifier
from .answer import Answer
from .compiled_link import CompiledLink
from .decision import Outcome, decide
from .location import location_of_click, location_of_look
from .parameters import NO_SUBS, subs
from .tap import Tap
from .visitor import RandomPool, new_visitor, visitor_cookie

_UNIQUE_BYTES = 8


class Answerer:
    def __init__(
        self,
        tokens: ClickTokens,
        agents: AgentClassifier,
        addresses: AddressKeeper,
        randomness: RandomPool,
        *,
        trusted_proxies: int,
    ) -> None:
        self._tokens = tokens
        self._agents = agents
        self._addresses = addresses
        self._randomness = randomness
        self._trusted_proxies = trusted_proxies

    def answer(self, tap: Tap, link: CompiledLink | None, peer: str | None, now_us: int) -> Answer:
        """`link`: what the tap's slug names, None for nothing; `peer`: the address of the other end."""
        agent_class = self._agents.classify(tap.user_agent)
        outcome = decide(tap, link, now_us, agent_class)
        answer = Answer(outcome, agent_class)
        if link is not None:
            if outcome.is_click:
                self._click(answer, tap, link, peer, now_us)
            elif outcome is Outcome.HEAD:
                answer.location = location_of_look(link, tap.query)
            elif outcome is Outcome.FALLBACK:
                answer.location = link.fallback
        return answer

    def _click(self, answer: Answer, tap: Tap, link: CompiledLink, peer: str | None, now_us: int) -> None:
        visitor = tap.visitor
        if not visitor and answer.outcome is Outcome.LIVE and not tap.gpc:
            visitor = new_visitor(self._randomness)
            answer.set_cookie = visitor_cookie(visitor, secure=not tap.on_loopback)
        click_id = make_click_id(now_us, self._randomness.take(_UNIQUE_BYTES))
        token = self._tokens.sign(click_id, link.link.link_id)
        answer.location = location_of_click(link, tap.query, token, visitor)
        address = self._addresses.keep(client_address(peer, tap.forwarded_for, self._trusted_proxies))
        texts = [visitor, address, tap.referrer_host or b"", *(subs(tap.query) if tap.query else NO_SUBS)]
        answer.record = pack_record(click_id, link.record_part, CLASS_BYTE[answer.agent_class], texts)
