"""Lists whose items stand or fall one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, WrapValidator

from attribution.errors import AttributionError, FieldError, InvalidInputError, NotFoundError

from .json_body import refuse_unstorable
from .problems import FieldProblem, invalid_input

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

_AT_ONCE = 200

ONE_BY_ONE = WrapValidator(lambda value, _whole: value)
"""In an annotation: OpenAPI shows the type, and the value comes as it was sent, for `parsed` to check."""


class Failed(BaseModel):
    index: int
    errors: list[FieldProblem]


def parsed(model: type[M], value: object) -> M:
    """Raises `InvalidInputError`, located in `body`."""
    refuse_unstorable(value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_input(error, "body") from error


def listed(value: object, at_most: int) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInputError(FieldError(("body",), "must be a list"))
    if len(value) > at_most:
        raise InvalidInputError(FieldError(("body",), f"has more than {at_most} items"))
    return value


async def one_by_one(read: Callable[[Any], Awaitable[T]], items: Sequence[Any]) -> list[T | AttributionError]:
    """What cannot be read is its error. Long lists let redirects through: they share the event loop."""
    outcomes: list[T | AttributionError] = []
    for count, item in enumerate(items, 1):
        try:
            outcomes.append(await read(item))
        except (InvalidInputError, NotFoundError) as error:
            outcomes.append(error)
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return outcomes


def failed(index: int, error: AttributionError) -> Failed:
    errors = error.errors if isinstance(error, InvalidInputError) else (FieldError(("body",), str(error)),)
    return Failed(index=index, errors=[FieldProblem(loc=["body", index, *e.loc[1:]], msg=e.msg) for e in errors])
