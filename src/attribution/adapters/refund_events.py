"""Refunds: each message is kept, and what they ask back is folded into their conversion once it is here."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from attribution.domain.conversions import Acceptance, Item, acceptances
from attribution.domain.ids import ConversionId, ProgramId
from attribution.domain.refunds import RefundMessage, refunded_minor

from .postgres import Database, Row
from .statements import statements

if TYPE_CHECKING:
    from .postgres import Connection

_SQL = statements("refund_events")
Key = tuple[str, str, str]
RefundKey = tuple[str, str, str, str]
Version = tuple[bytes]


async def add(connection: "Connection", program_id: ProgramId, refunds: Sequence[RefundMessage]) -> list[Acceptance]:
    """One answer each. The caller holds the lock of their conversions."""
    if not refunds:
        return []
    sent = [(_refund_key(refund), (refund.content_hash(),)) for refund in refunds]
    current = {
        (*_key(row), row["refund_id"]): (row["content_hash"],)
        for row in await _current(connection, program_id, {refund.key for refund in refunds})
    }
    events = [(*key, *version, r.encode().decode()) for (key, version), r in zip(sent, refunds, strict=True)]
    rows = await connection.fetch(_SQL["add"], program_id, *map(list, zip(*sorted(events), strict=True)))
    new = {((*_key(row), row["refund_id"]), (row["content_hash"],)) for row in rows}
    return acceptances(sent, current, set(sent) - new)


async def fold(connection: "Connection", program_id: ProgramId, keys: Collection[Key]) -> None:
    """Brings the conversions that are here up to their refunds, in whatever currency they are now."""
    refunds: dict[Key, list[RefundMessage]] = {}
    for row in await _current(connection, program_id, keys):
        refunds.setdefault(_key(row), []).append(RefundMessage.of(row["message"]))
    if not refunds:
        return
    changed = [
        (*_key(row), asked_minor)
        for row in await connection.fetch(_SQL["refunded"], program_id, *_columns(refunds))
        if (asked_minor := refunded_minor(_asked(refunds[_key(row)], row), row["currency"])) != row["refunded_minor"]
    ]
    if changed:
        await connection.execute(_SQL["fold"], program_id, *map(list, zip(*sorted(changed), strict=True)))


async def of_order(
    connection: "Connection", program_id: ProgramId, conversion_id: ConversionId, key: Key
) -> tuple[list[RefundMessage], list[Item]]:
    """As the order takes them, and the items that they are of."""
    refunds = [RefundMessage.of(row["message"]) for row in await _current(connection, program_id, [key])]
    if not refunds:
        return [], []
    [order] = await connection.fetch(_SQL["order"], program_id, conversion_id)
    return _asked(refunds, order), [Item(**item) for item in order["items"]]


def _asked(refunds: list[RefundMessage], order: Row) -> list[RefundMessage]:
    return [refund.without_tax() for refund in refunds] if order["tax_deducted"] else refunds


class RefundTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(
        self,
        program_id: ProgramId,
        source: str | None,
        order_id: str | None,
        after: int,
        limit: int,
        *,
        applied: bool | None,
    ) -> Sequence[Row]:
        """`applied`: whether its order is here; None for either. Oldest first, after an event."""
        async with self._database.connection() as connection:
            return await connection.fetch(_SQL["list"], program_id, applied, source, order_id, after, limit)


async def _current(connection: "Connection", program_id: ProgramId, keys: Collection[Key]) -> Sequence[Row]:
    return await connection.fetch(_SQL["current"], program_id, *_columns(keys))


def _columns(keys: Collection[Key]) -> list[list[str]]:
    return [[key[part] for key in keys] for part in range(3)]


def _key(row: Row) -> Key:
    return (row["source"], row["type"], row["external_id"])


def _refund_key(refund: RefundMessage) -> RefundKey:
    return (*refund.key, refund.refund_id)
