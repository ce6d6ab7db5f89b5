"""Clicks from elsewhere take the road of taps: into the journal, to the stream, to the table."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attribution import metrics
from attribution.adapters.imported_clicks import ImportedClicks, ImportedLink
from attribution.domain.click_id import ClickTokens, make_click_id
from attribution.domain.clicks import SUB_COUNT, pack_link, pack_record
from attribution.domain.ids import ClickId, LinkId
from attribution.domain.imports import ClickRejection, ImportedClick
from attribution.domain.instants import to_us
from attribution.domain.programs import Program

from .address import AddressKeeper
from .agents import AgentClassifier
from .recorder import ClickRecorder
from .tap import referrer_host_of
from .visitor import RandomPool

_CLOCK_SKEW_US = 5 * 60 * 1_000_000
_OLDEST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
_UNIQUE_BYTES = 8
_NO_SUBS = [b""] * SUB_COUNT


class ClickImporter:
    def __init__(
        self,
        table: ImportedClicks,
        recorder: ClickRecorder,
        tokens: ClickTokens,
        agents: AgentClassifier,
        addresses: AddressKeeper,
        randomness: RandomPool,
    ) -> None:
        self._table = table
        self._recorder = recorder
        self._tokens = tokens
        self._agents = agents
        self._addresses = addresses
        self._randomness = randomness

    async def accept(self, program: Program, clicks: Sequence[ImportedClick]) -> list[str | ClickRejection]:
        """A token or a reason each, in their order. Raises `DatabaseUnavailableError` before anything is recorded."""
        links = await self._table.links(program.program_id, list({click.slug for click in clicks}))
        now_us = time.time_ns() // 1000
        refused = [_refusal(click, links, now_us) for click in clicks]
        taken = [click for click, reason in zip(clicks, refused, strict=True) if reason is None]
        ids = iter(await self._ids(program, taken, links))
        answers: list[str | ClickRejection] = []
        recorded = None
        for click, reason in zip(clicks, refused, strict=True):
            if reason is not None:
                answers.append(reason)
                continue
            click_id, link_id = next(ids)
            recorded = self._recorder.record(self._record(program, click, links[click.slug], click_id))
            answers.append(self._tokens.sign(click_id, link_id).decode())
        if recorded is not None:
            await recorded
        metrics.CLICKS_IMPORTED.inc(len(taken))
        return answers

    async def _ids(
        self, program: Program, clicks: Sequence[ImportedClick], links: Mapping[str, ImportedLink]
    ) -> list[tuple[ClickId, LinkId]]:
        fresh = [
            (make_click_id(to_us(c.clicked_at), self._randomness.take(_UNIQUE_BYTES)), links[c.slug].link_id)
            for c in clicks
        ]
        wanted: dict[str, tuple[ClickId, LinkId]] = {}
        for click, ids in zip(clicks, fresh, strict=True):
            if click.external_id is not None:
                wanted.setdefault(click.external_id, ids)
        reserved = await self._table.reserve(program.program_id, wanted) if wanted else {}
        return [
            reserved[click.external_id] if click.external_id is not None else ids
            for click, ids in zip(clicks, fresh, strict=True)
        ]

    def _record(self, program: Program, click: ImportedClick, link: ImportedLink, click_id: ClickId) -> bytes:
        agent = self._agents.classify(click.user_agent.encode() if click.user_agent else None)
        address = self._addresses.keep(click.ip)
        texts = [
            (click.visitor_id or "").encode(),
            address.text,
            referrer_host_of((click.referrer or "").encode()),
            *_NO_SUBS,
        ]
        link_part = pack_link(
            program.program_id, link.link_id, link.influencer_id, link.campaign_id, link.post_id, link.channel
        )
        return pack_record(click_id, link_part, agent.record_part, address.country, texts)


def _refusal(click: ImportedClick, links: Mapping[str, ImportedLink], now_us: int) -> ClickRejection | None:
    if click.slug not in links:
        return ClickRejection.UNKNOWN_SLUG
    at_us = to_us(click.clicked_at)
    if at_us > now_us + _CLOCK_SKEW_US:
        return ClickRejection.IN_THE_FUTURE
    return ClickRejection.TOO_OLD if at_us < _OLDEST_US else None
