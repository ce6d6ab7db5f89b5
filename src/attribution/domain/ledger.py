"""The ledger's arithmetic: where each click of a period is, from what was counted along its way.

accepted = lost + in_memory + journalled
journalled + uncounted = on_disk + in_stream + stored + dead_lettered + missing
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Account:
    """What was counted of one journal's clicks in a period, and the journal's state."""

    accepted: int
    journalled: int
    lost: int
    held: int
    """In the stream, repeats included."""
    stored: int
    dead_lettered: int
    unshipped: bool
    """Bytes wait on its disk for the stream."""
    uncommitted: bool
    """Bytes wait on its disk for Postgres."""
    retired: bool
    """Its disk is gone for good."""


@dataclass(frozen=True, slots=True)
class Line:
    accepted: int = 0
    lost: int = 0
    in_memory: int = 0
    journalled: int = 0
    on_disk: int = 0
    shipped: int = 0
    in_stream: int = 0
    stored: int = 0
    dead_lettered: int = 0
    missing: int = 0
    """Journalled, and nowhere now: the disk lost or changed it."""
    uncounted: int = 0
    """Arrived, and not (yet) counted by the process that took it."""

    @property
    def is_complete(self) -> bool:
        return not (self.in_memory or self.on_disk or self.in_stream or self.missing)


def reckon(account: Account) -> Line:
    waiting = account.journalled - account.stored - account.dead_lettered
    # What the stream delivers twice is held and stored.
    in_stream = min(account.held, max(waiting, 0))
    rest = max(waiting, 0) - in_stream
    on_disk = missing = 0
    if account.retired or not (account.unshipped or account.uncommitted):
        missing = rest
    elif account.unshipped:
        on_disk = rest
    else:
        in_stream += rest
    return Line(
        accepted=account.accepted,
        lost=account.lost,
        in_memory=account.accepted - account.journalled - account.lost,
        journalled=account.journalled,
        on_disk=on_disk,
        shipped=in_stream + account.stored + account.dead_lettered,
        in_stream=in_stream,
        stored=account.stored,
        dead_lettered=account.dead_lettered,
        missing=missing,
        uncounted=max(-waiting, 0),
    )


def total(lines: Iterable[Line]) -> Line:
    names = [field.name for field in fields(Line)]
    sums = [0] * len(names)
    for line in lines:
        sums = [so_far + getattr(line, name) for so_far, name in zip(sums, names, strict=True)]
    return Line(**dict(zip(names, sums, strict=True)))
