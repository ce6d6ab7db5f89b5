"""Messages of order systems: each is kept as an event, and folded into its conversion, at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from attribution.domain.attribution import ClickState
from attribution.domain.click_id import ClickTokens, SignedClick
from attribution.domain.conversions import Acceptance, ConversionMessage, acceptances
from attribution.domain.ids import ProgramId
from attribution.domain.refunds import RefundMessage

from . import refund_events
from .postgres import Database, Row
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("intake")
Version = tuple[datetime, bytes]
Key = tuple[str, str, str]
Message = ConversionMessage | RefundMessage


@dataclass(frozen=True, slots=True)
class NamedClick:
    """What the click id of a message turned out to be."""

    state: ClickState | None = None
    click_id: UUID | None = None
    link_id: int | None = None


class ConversionIntake:
    def __init__(self, database: Database, tokens: ClickTokens) -> None:
        self._database = database
        self._tokens = tokens

    async def accept(self, program_id: ProgramId, messages: Sequence[Message]) -> list[Acceptance]:
        """One answer a message, in their order. All or nothing: raises `DatabaseUnavailableError`, nothing stored."""
        if not messages:
            return []
        conversions = [message for message in messages if isinstance(message, ConversionMessage)]
        refunds = [message for message in messages if isinstance(message, RefundMessage)]
        keys = sorted({message.key for message in messages})
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"], program_id, *_columns(keys))
            of_conversions = iter(await self._accept_conversions(connection, program_id, conversions))
            of_refunds = iter(await refund_events.add(connection, program_id, refunds))
            await refund_events.fold(connection, program_id, keys)
        return [next(of_refunds if isinstance(message, RefundMessage) else of_conversions) for message in messages]

    async def currencies(self, program_id: ProgramId, keys: Collection[Key]) -> dict[Key, str]:
        """Of those conversions that are here."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SQL["current"], program_id, *_columns(keys))
        return {_key(row): row["currency"] for row in rows}

    async def _accept_conversions(
        self, connection: "Connection", program_id: ProgramId, messages: Sequence[ConversionMessage]
    ) -> list[Acceptance]:
        if not messages:
            return []
        versions: list[Version] = [(message.updated_at, message.content_hash()) for message in messages]
        current = await _current(connection, program_id, messages)
        known = await _add_events(connection, program_id, messages, versions)
        clicks = await self._named_clicks(connection, program_id, messages)
        newest = _newest(messages, versions, current)
        if newest:
            await _fold(connection, program_id, [(messages[i], versions[i], clicks[i]) for i in newest])
        sent = [(message.key, version) for message, version in zip(messages, versions, strict=True)]
        return acceptances(sent, current, known)

    async def _named_clicks(
        self, connection: "Connection", program_id: ProgramId, messages: Sequence[ConversionMessage]
    ) -> list[NamedClick]:
        parsed = [self._tokens.parse(m.click_id) if m.click_id is not None else None for m in messages]
        links = {click.link_id for click in parsed if isinstance(click, SignedClick)}
        own = (
            {row["link_id"] for row in await connection.fetch(_SQL["own_links"], program_id, list(links))}
            if links
            else set()
        )
        return [_named_click(click, own) for click in parsed]


def _named_click(click: SignedClick | str | None, own_links: set[int]) -> NamedClick:
    if click is None:
        return NamedClick()
    if not isinstance(click, SignedClick):
        return NamedClick(ClickState(click))
    if click.link_id not in own_links:
        return NamedClick(ClickState.UNKNOWN)
    return NamedClick(ClickState.VALID, UUID(bytes=click.click_id), click.link_id)


def _columns(keys: Collection[Key]) -> list[list[str]]:
    """Sources, types and external ids."""
    return [[key[part] for key in keys] for part in range(3)]


def _key(row: Row) -> Key:
    return (row["source"], row["type"], row["external_id"])


async def _current(
    connection: "Connection", program_id: ProgramId, messages: Sequence[ConversionMessage]
) -> dict[Key, Version]:
    keys = {message.key for message in messages}
    rows = await connection.fetch(_SQL["current"], program_id, *_columns(keys))
    return {_key(row): (row["updated_at"], row["content_hash"]) for row in rows}


async def _add_events(
    connection: "Connection",
    program_id: ProgramId,
    messages: Sequence[ConversionMessage],
    versions: Sequence[Version],
) -> set[tuple[Key, Version]]:
    """Returns those that were known before."""
    columns = zip(
        *(
            (*message.key, *version, message.encode().decode())
            for message, version in sorted(
                zip(messages, versions, strict=True), key=lambda pair: (pair[0].key, pair[1])
            )
        ),
        strict=True,
    )
    rows = await connection.fetch(_SQL["add_events"], program_id, *map(list, columns))
    new = {(_key(r), (r["updated_at"], r["content_hash"])) for r in rows}
    return {(m.key, v) for m, v in zip(messages, versions, strict=True)} - new


def _newest(
    messages: Sequence[ConversionMessage], versions: Sequence[Version], current: Mapping[Key, Version]
) -> list[int]:
    """Per conversion, the index of the newest message, where it is newer than the state."""
    newest: dict[Key, int] = {}
    for index, message in enumerate(messages):
        held = newest.get(message.key)
        best = versions[held] if held is not None else current.get(message.key)
        if best is None or versions[index] > best:
            newest[message.key] = index
    return list(newest.values())


async def _fold(
    connection: "Connection",
    program_id: ProgramId,
    newest: Sequence[tuple[ConversionMessage, Version, NamedClick]],
) -> None:
    rows = [
        (
            *message.key, *version, message.status, message.occurred_at, message.currency,
            message.gross_minor, message.discount_minor, message.visitor_id, message.customer_id,
            message.new_customer, click.state, click.click_id, click.link_id,
            # As JSON: the driver reads a list of lists as a matrix.
            orjson.dumps(message.discount_codes).decode(),
        )
        for message, version, click in newest
    ]  # fmt: skip
    await connection.execute(_SQL["fold"], program_id, *map(list, zip(*rows, strict=True)))
