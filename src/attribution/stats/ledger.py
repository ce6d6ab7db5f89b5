"""Did every click of a period arrive, and if not, where is it?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from attribution.adapters.click_stream import StreamCensus
from attribution.adapters.ledger_table import Arrived, JournalState, LedgerTable
from attribution.domain.ledger import Account, Line, reckon, total
from attribution.domain.quarters import quarter_start
from attribution.errors import StreamUnavailableError
from attribution.tally import Counts


@dataclass(frozen=True, slots=True)
class JournalLine:
    journal: JournalState
    line: Line


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """`as_of`: what living processes took later is not counted yet; None if no process ever reported."""

    start: datetime
    end: datetime
    as_of: datetime | None
    totals: Line
    journals: Sequence[JournalLine]
    partitions: Mapping[int, Line]
    stream_available: bool
    stranded: Mapping[int, int]
    """Partition -> entries that no consumer reads, as partitions were lowered."""
    rows: int | None
    """Counted in the table itself, where that was asked for."""

    @property
    def complete(self) -> bool:
        """All of the period is counted, and stored, dead-lettered or lost."""
        return self.as_of is not None and self.as_of >= self.end and self.totals.is_complete


class Ledger:
    def __init__(self, table: LedgerTable, census: StreamCensus) -> None:
        self._table = table
        self._census = census

    async def report(self, start: datetime, end: datetime, *, recount: bool = False) -> LedgerReport:
        """From the tap onwards, so that a click on its way is seen late or twice, but never as missing."""
        journals = await self._table.journals()
        tallied = await self._table.tallied(start, end)
        held, stranded = await self._in_stream(start, end)
        arrived = await self._table.arrived(start, end)
        lines = [
            JournalLine(journal, _line(journal, tallied, held or Counter(), arrived))
            for journal in _known(journals, tallied.keys() | arrived.keys())
        ]
        return LedgerReport(
            start,
            end,
            as_of=_as_of(journals),
            totals=total(line.line for line in lines),
            journals=lines,
            partitions=_by_partition(lines),
            stream_available=held is not None,
            stranded=stranded,
            rows=await self._table.rows(start, end) if recount else None,
        )

    async def _in_stream(self, start: datetime, end: datetime) -> tuple[Counter[UUID] | None, Mapping[int, int]]:
        by_journal: Counter[UUID] = Counter()
        try:
            for (journal_id, quarter), clicks in (await self._census.held()).items():
                if start <= quarter_start(quarter) < end:
                    by_journal[journal_id] += clicks
            return by_journal, await self._census.stranded()
        except StreamUnavailableError:
            return None, {}

    async def retire(self, journal_id: UUID) -> bool:
        """For a journal whose disk is gone for good: `as_of` no longer waits for it. False: nobody knows it."""
        known = any(journal.journal_id == journal_id for journal in await self._table.journals())
        reported = await self._census.retire(journal_id)
        await self._table.retire(journal_id)
        return known or reported


def _known(journals: Sequence[JournalState], seen: set[UUID]) -> list[JournalState]:
    """Those with clicks in the period; one that arrives before its first report is of no name yet."""
    named = [journal for journal in journals if journal.journal_id in seen]
    unnamed = seen - {journal.journal_id for journal in named}
    return named + [JournalState(journal_id, "", 0, 0, 1, ended=False) for journal_id in sorted(unnamed)]


def _line(
    journal: JournalState,
    tallied: Mapping[UUID, Counts],
    held: Mapping[UUID, int],
    arrived: Mapping[UUID, Arrived],
) -> Line:
    counts = tallied.get(journal.journal_id, Counts())
    arrival = arrived.get(journal.journal_id, Arrived())
    return reckon(
        Account(
            *counts,
            held=held.get(journal.journal_id, 0),
            stored=arrival.stored,
            dead_lettered=arrival.dead_lettered,
            unshipped=journal.unshipped_bytes > 0,
            uncommitted=journal.uncommitted_bytes > 0,
            retired=journal.retired_at is not None,
        )
    )


def _as_of(journals: Sequence[JournalState]) -> datetime | None:
    """The oldest report of a living process; where none lives, nothing more will be counted after the last one."""
    reports = [journal.reported_at for journal in journals if journal.reported_at is not None]
    living = [j.reported_at for j in journals if not j.ended and j.retired_at is None and j.reported_at is not None]
    return min(living) if living else max(reports, default=None)


def _by_partition(lines: Sequence[JournalLine]) -> Mapping[int, Line]:
    partitions = sorted({line.journal.partition for line in lines})
    return {
        partition: total(line.line for line in lines if line.journal.partition == partition)
        for partition in partitions
    }
