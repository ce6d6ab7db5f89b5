"""Answers to facts that are messages: one, or each of a list by itself."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from pydantic import BaseModel

from attribution.adapters.recording import Recorded
from attribution.errors import AttributionError

from .bulk import Failed, failed
from .fields import Id

FACTS_MAX = 1000
T = TypeVar("T")


class RecordedItem(BaseModel):
    """`stored` False: it said nothing new, and `id` is the one that stands."""

    index: int
    id: Id
    stored: bool


class RecordedList(BaseModel):
    results: list[RecordedItem | Failed]


async def record_each(
    read: Sequence[T | AttributionError], record: Callable[[list[T]], Awaitable[list[Recorded]]]
) -> RecordedList:
    """What could not be read is its error, and the others stand."""
    recorded = iter(await record([item for item in read if not isinstance(item, AttributionError)]))
    return RecordedList(results=[_result(index, item, recorded) for index, item in enumerate(read)])


def _result(index: int, item: object, recorded: Iterator[Recorded]) -> RecordedItem | Failed:
    if isinstance(item, AttributionError):
        return failed(index, item)
    outcome = next(recorded)
    return RecordedItem(index=index, id=str(outcome.id), stored=outcome.stored)
