"""What order systems say: one message, or up to 1,000 of which each stands or falls by itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from attribution.adapters.conversion_intake import Message
from attribution.domain.conversions import Acceptance
from attribution.domain.money import MoneyError, to_minor
from attribution.domain.programs import Program
from attribution.errors import AttributionError, FieldError, InvalidInputError

from .auth import Access
from .bulk import Failed, failed, listed, one_by_one
from .fields import PRINTABLE, Amount, Instant
from .services import OrderIntake

MESSAGES_MAX = 1000
CODES_MAX = 50
CLICK_ID_KEPT = 512
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
Read = tuple[Program, Message]
Reads = Sequence[Read | AttributionError]
Reader = Callable[[Access, str | None, Any], Awaitable[Read]]
"""Of who asks, the query's programme and one item. Raises `InvalidInputError`, `NotFoundError`."""


def _plausible(instant: datetime) -> datetime:
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("is not between the years 2000 and 2099")
    return instant


def _kept(click_id: str) -> str | None:
    """A bad click id is ignored where credits are made, never refused."""
    return click_id[:CLICK_ID_KEPT] or None


def _trimmed(code: object) -> object:
    """Before it is checked: an order is not refused for a line break behind its code."""
    return code.strip() if isinstance(code, str) else code


def _said(codes: list[str]) -> list[str]:
    return [code for code in codes if code]


MessageTime = Annotated[Instant, AfterValidator(_plausible)]
ClickIdText = Annotated[str, AfterValidator(_kept)]
CodeText = Annotated[str, BeforeValidator(_trimmed), Field(max_length=255, pattern=PRINTABLE)]
CodeTexts = Annotated[list[CodeText], Field(max_length=CODES_MAX), AfterValidator(_said)]


def minor(amount: Amount, currency: str, *loc: str | int) -> int:
    """Raises `InvalidInputError` for an amount that the currency does not have."""
    try:
        return to_minor(amount, currency)
    except MoneyError as error:
        raise InvalidInputError(FieldError(("body", *loc), str(error))) from error


async def _unchanged(reads: Reads) -> Reads:
    return reads


class Accepting:
    """`named`: the ids by which an answer names its message. `check` refuses what only shows beside the database."""

    def __init__(
        self,
        intake: OrderIntake,
        read: Reader,
        named: Callable[[Any], Mapping[str, str]],
        check: Callable[[Reads], Awaitable[Reads]] = _unchanged,
    ) -> None:
        self._intake = intake
        self._read = read
        self._named = named
        self._check = check

    async def accept(self, body: Any, access: Access, program_key: str | None) -> Mapping[str, Any]:
        if isinstance(body, list):
            return await self._accept_list(access, program_key, listed(body, MESSAGES_MAX))
        [read] = await self._check([await self._read(access, program_key, body)])
        if isinstance(read, AttributionError):
            raise read
        [status] = await self._store([read])
        return {**self._named(read[1]), "status": status}

    async def _accept_list(self, access: Access, program_key: str | None, items: list[Any]) -> Mapping[str, Any]:
        await access.program(program_key)
        reads = await self._check(await one_by_one(partial(self._read, access, program_key), items))
        statuses = iter(await self._store([read for read in reads if isinstance(read, tuple)]))
        results: list[Mapping[str, Any] | Failed] = []
        for index, read in enumerate(reads):
            if isinstance(read, AttributionError):
                results.append(failed(index, read))
            else:
                results.append({"index": index, **self._named(read[1]), "status": next(statuses)})
        return {"results": results}

    async def _store(self, reads: Sequence[Read]) -> list[Acceptance]:
        """A batch a programme; the answers in the order sent."""
        batches: dict[Program, list[Message]] = {}
        for program, message in reads:
            batches.setdefault(program, []).append(message)
        answers = {program: iter(await self._intake.accept(program, batch)) for program, batch in batches.items()}
        return [next(answers[program]) for program, _ in reads]
