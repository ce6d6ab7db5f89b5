"""The ledger against what Postgres, the stream and the journals hold once all is healed."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import asyncpg
from tests.support.recorded import expected, recorded
from tests.support.reference import Click, Order, Refund, judge_all
from tests.support.waiting import eventually

from attribution.adapters.postgres import Database
from attribution.domain.click_id import ClickTokens, SignedClick
from attribution.domain.instants import to_us
from attribution.settings import Settings

from .browsers import Ledger, Tap
from .faults import Full, Scene
from .machine import MEMORY_BYTES, PROGRAM, SLUGS, WORLD, Machine
from .shop import Book

_DRAIN_S = 120.0
_MESSAGES = "SELECT content_hash FROM conversion_events UNION ALL SELECT content_hash FROM refund_events"
_HELD = MEMORY_BYTES // 100 + 1
"""What the memory for a full disk can hold: the frame of a browser's click has more than 100 bytes."""


@dataclass(frozen=True, slots=True)
class Row:
    click_id: bytes
    at_us: int
    link: int
    visitor: str | None
    bot: bool


@dataclass
class Verdict:
    """`unexplained` is empty if every promise was kept."""

    table: list[tuple[str, int]] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    def add(self, name: str, count: int) -> None:
        self.table.append((name, count))

    def must_be_none(self, name: str, culprits: Sequence[object]) -> None:
        self.add(name, len(culprits))
        if culprits:
            self.unexplained.append(f"{name}: {len(culprits)}, such as {culprits[0]}")

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.table)
        lines = [f"{name:<{width}} {count:>9,}" for name, count in self.table]
        return "\n".join([*lines, *(f"UNEXPLAINED {text}" for text in self.unexplained)])


async def judge(scene: Scene, ledger: Ledger, book: Book, tokens: ClickTokens) -> Verdict:
    """Waits until the service has nothing left to do first."""
    verdict, machine = Verdict(), scene.machine
    await _drained(verdict, machine)
    rows = [
        Row(r["click_id"].bytes, to_us(r["clicked_at"]), r["link_id"], r["visitor_id"], r["is_bot"])
        for r in await machine.fetch("SELECT click_id, clicked_at, link_id, visitor_id, is_bot FROM clicks")
    ]
    tapped: dict[bytes, Tap] = {_click(tokens, tap).click_id: tap for tap in ledger.taps}
    _taps(verdict, ledger, rows)
    _rows(verdict, machine, tapped, rows)
    _lost(verdict, scene, {id_: tap for id_, tap in tapped.items() if id_ not in {row.click_id for row in rows}})
    await _orders(verdict, machine, book)
    await _credits(verdict, machine, ledger, book, tapped, rows)
    await _left(verdict, scene)
    return verdict


def _click(tokens: ClickTokens, tap: Tap) -> SignedClick:
    click = tokens.parse(tap.token)
    assert isinstance(click, SignedClick), tap
    return click


async def _drained(verdict: Verdict, machine: Machine) -> None:
    try:
        await eventually(lambda: _idle(machine), timeout=_DRAIN_S)
    except AssertionError:
        verdict.unexplained.append(f"not drained in {_DRAIN_S:.0f} s")


async def _idle(machine: Machine) -> bool:
    await asyncio.sleep(0.5)
    with suppress(OSError, asyncpg.PostgresError):
        queued = (await machine.fetch("SELECT count(*) AS rows FROM credit_queue"))[0]["rows"]
        return not queued and not await _in_journals(machine) and await machine.left_in_stream() == 0
    return False


async def _in_journals(machine: Machine) -> list[str]:
    """Files with bytes that Postgres does not have, and those that nothing retains."""
    committed = {
        (str(r["journal_id"]), r["segment"]): r["stop"]
        for r in await machine.fetch(
            "SELECT journal_id, segment, upper(committed) AS stop FROM journal_progress"
            " WHERE lower(committed) = 0 AND committed = multirange(range_merge(committed))"
        )
    }
    left = []
    for journal in machine.journals.glob("*-*"):
        segments = sorted(journal.glob("*.journal"))
        name = (journal / "id").read_text() if segments and (journal / "id").exists() else ""
        left += [str(segment) for segment in segments[:-1]]
        for segment in segments[-1:]:
            if segment.stat().st_size > committed.get((name, int(segment.stem)), 0):
                left.append(str(segment))
    return left


def _taps(verdict: Verdict, ledger: Ledger, rows: Sequence[Row]) -> None:
    verdict.add("taps sent", ledger.sent)
    verdict.add("taps answered 302", len(ledger.taps))
    verdict.add("taps without an answer", ledger.broken)
    for status, count in sorted(ledger.other.items()):
        verdict.add(f"taps answered {status.partition(' ')[2]}", count)
    strange = [status for status in ledger.other if " 503 " not in status]
    verdict.must_be_none("taps answered with neither 302 nor 503", strange)
    verdict.add("clicks stored", len(rows))


def _rows(verdict: Verdict, machine: Machine, tapped: dict[bytes, Tap], rows: Sequence[Row]) -> None:
    by_id = {row.click_id: row for row in rows}
    times = Counter(row.click_id for row in rows)
    verdict.must_be_none("clicks duplicated", [id_.hex() for id_, count in times.items() if count > 1])
    verdict.add("clicks stored whose 302 did not arrive", len(by_id.keys() - tapped.keys()))
    stored = [(tap, by_id[id_]) for id_, tap in tapped.items() if id_ in by_id]
    verdict.must_be_none("clicks with another link", [pair for pair in stored if not _same_link(*pair)])
    verdict.must_be_none("clicks with another visitor", [(t, row) for t, row in stored if t.visitor != row.visitor])
    verdict.must_be_none("clicks with another time", [(t, r) for t, r in stored if not _same_time(machine, t, r)])


def _same_link(tap: Tap, row: Row) -> bool:
    return SLUGS[list(WORLD.links).index(row.link)] == tap.slug


def _same_time(machine: Machine, tap: Tap, row: Row) -> bool:
    told = row.at_us == int.from_bytes(row.click_id[:8], "big")
    return told and machine.clock.may_have_shown(row.at_us, tap.asked_us, tap.answered_us)


def _lost(verdict: Verdict, scene: Scene, missing: dict[bytes, Tap]) -> None:
    """Each under the first cause that explains it."""
    verdict.add("clicks lost", len(missing))
    flipped = {id_ for id_ in missing if id_ in scene.harm.flipped}
    verdict.add("  bytes flipped in the journal", len(flipped))
    missing = {id_: tap for id_, tap in missing.items() if id_ not in flipped}
    for full in scene.full:
        during = {id_ for id_, tap in missing.items() if _overlap(full, tap)}
        missing = {id_: tap for id_, tap in missing.items() if id_ not in during}
        killed = " or waited in the memory of a killed worker" if full.killed else ""
        verdict.add(f"  disk full (the service counted {full.counted}){killed}", len(during))
        if len(during) > full.counted + (_HELD if full.killed else 0):
            verdict.unexplained.append(f"lost over a full disk: {len(during)}, of which it counted {full.counted}")
    verdict.must_be_none("  unexplained", [(id_.hex(), tap) for id_, tap in missing.items()])


def _overlap(full: Full, tap: Tap) -> bool:
    return tap.asked_us <= full.ended_us and tap.answered_us >= full.began_us


async def _orders(verdict: Verdict, machine: Machine, book: Book) -> None:
    hashes = Counter(r["content_hash"] for r in await machine.fetch(_MESSAGES))
    refunds = {sent.refund.digest for sent in book.refunds}
    sent = {message.order.digest for message in book.sent} | refunds
    verdict.add("order messages sent", len(sent))
    verdict.add("  refunds", len(refunds))
    verdict.add("order messages delivered, repeats included", book.deliveries)
    for status, count in sorted(book.answers.items()):
        verdict.add(f"  answers {status}", count)
    verdict.add("order messages acknowledged", len(book.acknowledged))
    verdict.add("order messages stored", len(hashes))
    verdict.must_be_none("order messages refused", book.refused)
    verdict.must_be_none("order messages lost", [digest.hex() for digest in book.acknowledged - hashes.keys()])
    verdict.must_be_none("order messages duplicated", [d.hex() for d, count in hashes.items() if count > 1])
    verdict.must_be_none("order messages that nobody sent", [digest.hex() for digest in hashes.keys() - sent])


async def _credits(
    verdict: Verdict,
    machine: Machine,
    ledger: Ledger,
    book: Book,
    tapped: dict[bytes, Tap],
    rows: Sequence[Row],
) -> None:
    """Household by household, as none shares a visitor, a click or a customer with another."""
    database = Database(Settings(database_url=machine.postgres.url, data_dir=machine.data_dir), size=1)
    try:
        found = await recorded(database, PROGRAM)
    finally:
        await database.close()
    clicks = _by_household(ledger, tapped, rows)
    orders: dict[int, list[Order]] = defaultdict(list)
    refunds: dict[int, list[Refund]] = defaultdict(list)
    for sent in book.sent:
        orders[sent.household].append(sent.order)
    for said in book.refunds:
        refunds[said.household].append(said.refund)
    right = {}
    for household, messages in orders.items():
        world = replace(WORLD, clicks=clicks[household], orders=messages, refunds=refunds[household])
        right.update({key: expected(judged) for key, judged in judge_all(world).items()})
    verdict.add("conversions recomputed from scratch", len(right))
    for status, count in sorted(Counter(known.status for known in right.values()).items()):
        verdict.add(f"  {status}", count)
    wrong = [
        (key, found.get(key), right.get(key)) for key in found.keys() | right if found.get(key) != right.get(key)
    ]
    verdict.must_be_none("conversions with other credits", wrong)


def _by_household(ledger: Ledger, tapped: dict[bytes, Tap], rows: Iterable[Row]) -> dict[int, list[Click]]:
    """By visitor: every click of a browser has one."""
    home = {visitor: household.number for household in ledger.households for visitor in household.visitors}
    clicks: dict[int, list[Click]] = defaultdict(list)
    for row in rows:
        visitor = tapped[row.click_id].visitor if row.click_id in tapped else row.visitor
        if visitor in home:
            clicks[home[visitor]].append(Click(row.click_id, row.at_us, row.link, row.visitor, row.bot))
    return clicks


async def _left(verdict: Verdict, scene: Scene) -> None:
    machine = scene.machine
    verdict.must_be_none("entries left in the stream", range(await machine.left_in_stream()))
    verdict.must_be_none("segments left in the journals", await _in_journals(machine))
    verdict.must_be_none("orders set aside", list(machine.journals.glob("orders-*/rejected")))
    letters = [r["data"] for r in await machine.fetch("SELECT data FROM dead_letters")]
    verdict.add("dead letters of bytes that the run itself tore or flipped", len(letters))
    verdict.must_be_none("other dead letters", [data.hex() for data in letters if not scene.harm.explains(data)])
