"""What the API needs of the other parts; the composition root wires it in."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from attribution.adapters.conversion_intake import Key, Message
from attribution.adapters.postgres import Database
from attribution.adapters.refund_events import RefundTable
from attribution.domain.conversions import Acceptance
from attribution.domain.ids import InfluencerId
from attribution.domain.imports import ClickRejection, ImportedClick
from attribution.domain.programs import Program
from attribution.settings import Settings
from attribution.stats.ledger import Ledger
from attribution.stats.live import LiveStats
from attribution.stats.reader import StatsReader


class LinkPublisher(Protocol):
    """Tells every worker of edits, after their commit. Never fails: caches expire by themselves."""

    async def publish(self, program_id: int, slugs: Sequence[str]) -> None: ...

    async def publish_program(self, program_id: int) -> None: ...


class OrderIntake(Protocol):
    async def accept(self, program: Program, messages: Sequence[Message]) -> list[Acceptance]:
        """When it returns, the messages are durable; one acceptance each, in their order."""
        ...

    async def currencies(self, program: Program, keys: Collection[Key]) -> Mapping[Key, str]:
        """Of those conversions that are known to be here."""
        ...


class ClickIntake(Protocol):
    async def accept(self, program: Program, clicks: Sequence[ImportedClick]) -> list[str | ClickRejection]:
        """A click token or a reason each, in their order."""
        ...


class CreditReader(Protocol):
    """Answers in the contract's shapes."""

    async def order(self, program: Program, source: str, order_id: str) -> Mapping[str, Any] | None: ...

    async def conversion(
        self, program: Program, source: str, conversion_type: str, external_id: str
    ) -> Mapping[str, Any] | None: ...

    async def attribution(
        self,
        program: Program,
        source: str,
        conversion_type: str,
        external_id: str,
        model: str | None,
        as_of: datetime | None = None,
    ) -> Mapping[str, Any] | None: ...

    async def history(
        self, program: Program, source: str, conversion_type: str, external_id: str, after: int, limit: int
    ) -> list[tuple[int, Mapping[str, Any]]] | None: ...

    async def page(
        self, program: Program, key: tuple[str, str, str], model: str | None, influencer_id: InfluencerId | None
    ) -> str | None:
        """For people. `key`: source, type, external id."""
        ...


@dataclass(frozen=True, slots=True)
class Readiness:
    """`dependencies`: the state of each, by name. Ready: links resolve and clicks are kept."""

    ready: bool
    dependencies: Mapping[str, str]


class QuestionServices(Protocol):
    """What questions need: those of a process that answers nothing else."""

    @property
    def database(self) -> Database: ...

    @property
    def admin_key(self) -> str: ...

    @property
    def stats(self) -> StatsReader: ...

    @property
    def live(self) -> LiveStats: ...


@dataclass(frozen=True, slots=True)
class Questions:
    database: Database
    admin_key: str
    stats: StatsReader
    live: LiveStats


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    admin_key: str
    links: LinkPublisher
    orders: OrderIntake
    refunds: RefundTable
    clicks: ClickIntake
    credits: CreditReader
    stats: StatsReader
    live: LiveStats
    ledger: Ledger
    readiness: Callable[[], Awaitable[Readiness]]
    metrics: Callable[[], bytes]
