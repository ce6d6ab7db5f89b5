"""Messages of order systems: each is kept as an event, and the newest folded into its conversion, at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from attribution.domain.attribution import ClickState
from attribution.domain.click_id import ClickTokens, SignedClick
from attribution.domain.conversions import Acceptance, ConversionMessage
from attribution.domain.ids import ProgramId

from .postgres import Database
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("intake")
Version = tuple[datetime, bytes]
Key = tuple[str, str, str]


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

    async def accept(self, program_id: ProgramId, messages: Sequence[ConversionMessage]) -> list[Acceptance]:
        """One answer a message, in their order. All or nothing: raises `DatabaseUnavailableError`, nothing stored."""
        versions: list[Version] = [(message.updated_at, message.content_hash()) for message in messages]
        async with self._database.transaction() as connection:
            current = await _locked(connection, program_id, messages)
            known = await _add_events(connection, program_id, messages, versions)
            clicks = await self._named_clicks(connection, program_id, messages)
            newest = _newest(messages, versions, current)
            if newest:
                await _fold(connection, program_id, [(messages[i], versions[i], clicks[i]) for i in newest])
        return _acceptances(messages, versions, current, known)

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


async def _locked(
    connection: "Connection", program_id: ProgramId, messages: Sequence[ConversionMessage]
) -> dict[Key, Version]:
    sources, types, ids = zip(*{message.key for message in messages}, strict=True)
    await connection.execute(_SQL["lock"], program_id, sources, types, ids)
    rows = await connection.fetch(_SQL["current"], program_id, sources, types, ids)
    return {(r["source"], r["type"], r["external_id"]): (r["updated_at"], r["content_hash"]) for r in rows}


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
    new = {((r["source"], r["type"], r["external_id"]), (r["updated_at"], r["content_hash"])) for r in rows}
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


def _acceptances(
    messages: Sequence[ConversionMessage],
    versions: Sequence[Version],
    current: Mapping[Key, Version],
    known: set[tuple[Key, Version]],
) -> list[Acceptance]:
    """As if they had come one by one."""
    states, seen = dict(current), set(known)
    answers = []
    for message, version in zip(messages, versions, strict=True):
        state = states.get(message.key)
        if (message.key, version) in seen:
            answers.append(Acceptance.DUPLICATE)
        elif state is None or version > state:
            states[message.key] = version
            answers.append(Acceptance.STORED)
        else:
            answers.append(Acceptance.STALE)
        seen.add((message.key, version))
    return answers
