"""Create, read, list, change and disable: the same for every kind of object that a programme manages."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.domain.links import Status
from attribution.domain.programs import Program
from attribution.errors import FieldError, InvalidInputError, NotFoundError

from .auth import AccessOf, ProgramKeyInQuery, ProgramOf
from .fields import PRINTABLE, Id, Line, ProgramKey, Strict, dump, object_id
from .problems import documented, invalid_input
from .route import V1Route

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100
ON_READ = documented(401, 404, 422, 503)
ON_WRITE = documented(400, 401, 404, 409, 413, 415, 422, 503)
UNSET: Any = None
"""The default of a field that a change may leave out and may not set to null."""


def _without_null_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Changes(Strict):
    """What PATCH takes. `program` says where, and is no field of the object."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    program: ProgramKey | None = None
    external_id: Line | None = None


class New(Strict):
    """What POST takes, and what an object must still be after a PATCH."""

    model_config = ConfigDict(json_schema_extra=None)
    periods: ClassVar[Mapping[str, str]] = {}
    """Names of instants that must follow one another."""
    versioned: ClassVar[frozenset[str]] = frozenset()
    """Fields of which a change makes a new version, or leaves them alone."""

    def check(self) -> None:
        """Raises `InvalidInputError` for what only shows beside other fields."""
        for start, end in self.periods.items():
            starts_at, ends_at = getattr(self, start), getattr(self, end)
            if starts_at and ends_at and ends_at <= starts_at:
                raise InvalidInputError(FieldError(("body", end), f"is not after {start}"))

    def columns(self, program: Program) -> dict[str, Any]:  # noqa: ARG002
        self.check()
        return dump(self, exclude={"program"})


class Listed(BaseModel):
    model_config = ConfigDict(from_attributes=False)

    id: Id


class Answer(Listed):
    external_id: str | None
    created_at: datetime


class Disableable(Answer):
    status: Status


L = TypeVar("L", bound=Listed)
M = TypeVar("M", bound=BaseModel)


class Page(BaseModel, Generic[L]):
    data: list[L]
    next_cursor: str | None


Present = Callable[[Row], dict[str, Any]]
"""The answer's fields, of a row."""


@dataclass(frozen=True, slots=True)
class Resource:
    """`noun`: as in paths; `kind`: one of them, in words. Without `changes` it is append-only."""

    noun: str
    kind: str
    new: type[New]
    answer: type[Answer]
    changes: type[Changes] | None = None
    present: Present = dict

    @property
    def table(self) -> str:
        return self.noun.replace("-", "_")

    def current(self, row: Row) -> dict[str, Any]:
        """An object as a POST would say it."""
        kept = set(self.new.model_fields) - self.new.versioned
        return self.answer.model_validate(self.present(row)).model_dump(include=kept, by_alias=True)


def known_id(text: str) -> int:
    number = object_id(text)
    if number is None:
        raise NotFoundError
    return number


def encode_cursor(last_id: int) -> str:
    return urlsafe_b64encode(str(last_id).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        last_id = object_id(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (Base64Error, ValueError):
        last_id = None
    if last_id is None:
        raise InvalidInputError(FieldError(("query", "cursor"), "is not a cursor of this list"))
    return last_id


@dataclass(frozen=True, slots=True)
class PageQuery:
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")] = None

    @property
    def after(self) -> int:
        return decode_cursor(self.cursor)

    def page(self, found: list[L]) -> Page[L]:
        """`found`: one more than the page holds, where there is one."""
        data = found[: self.limit]
        return Page(data=data, next_cursor=encode_cursor(int(data[-1].id)) if len(found) > self.limit else None)


@dataclass(frozen=True, slots=True)
class ListQuery(PageQuery):
    external_id: Annotated[str | None, Query(min_length=1, max_length=255, pattern=PRINTABLE)] = None

    async def rows(self, objects: Objects, scope: int | None) -> Sequence[Row]:
        """One more than the page holds, where there is one."""
        return await objects.list(scope, self.external_id, self.after, self.limit + 1)


def merged(new: type[M], kept: Mapping[str, Any], changes: Strict) -> M:
    """The object as it is, with what the change says put over it."""
    aliases = {name: field.alias or name for name, field in type(changes).model_fields.items()}
    said = {aliases[name]: getattr(changes, name) for name in changes.model_fields_set - {"program"}}
    try:
        return new.model_validate({**kept, **said})
    except ValidationError as error:
        raise invalid_input(error, "body") from error


Edited = Callable[[Program, Row], Awaitable[None]]
"""Told of every edit after its commit."""


async def _nobody(_program: Program, _row: Row) -> None:
    pass


def resource_router(resource: Resource, objects: Objects, edited: Edited = _nobody) -> APIRouter:
    noun, kind, answer, present = resource.noun, resource.kind, resource.answer, resource.present
    router = APIRouter(prefix=f"/v1/{noun}", tags=[noun], route_class=V1Route)

    # FastAPI takes the shapes of a route from its annotations, which here are the resource's own models.
    @router.post("", status_code=201, response_model=answer, summary=f"Create {kind}", responses=ON_WRITE)
    async def create(
        body: resource.new,  # type: ignore[name-defined]
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        program = await access.program(program_key, body.program)
        row = await objects.create(program.program_id, body.columns(program))
        await edited(program, row)
        return present(row)

    @router.get("", response_model=Page[answer], summary=f"List {noun}", responses=ON_READ)  # type: ignore[valid-type]
    async def list_(program: ProgramOf, query: Annotated[ListQuery, Depends()]) -> object:
        rows = await query.rows(objects, program.program_id)
        return query.page([answer.model_validate(present(row)) for row in rows])

    @router.get("/{id}", response_model=answer, summary=f"Read {kind}", responses=ON_READ)
    async def read(id: str, program: ProgramOf) -> object:  # noqa: A002
        return present(await objects.read(program.program_id, known_id(id)))

    if resource.changes is not None:
        _add_changes(router, resource, objects, edited)
    return router


def _add_changes(router: APIRouter, resource: Resource, objects: Objects, edited: Edited) -> None:
    @router.patch("/{id}", response_model=resource.answer, summary=f"Change {resource.kind}", responses=ON_WRITE)
    async def change(
        id: str,  # noqa: A002
        body: resource.changes,  # type: ignore[name-defined]
        access: AccessOf,
        program_key: ProgramKeyInQuery = None,
    ) -> object:
        program = await access.program(program_key, body.program)

        def merge(row: Row) -> Mapping[str, Any]:
            return merged(resource.new, resource.current(row), body).columns(program)

        row = await objects.change(program.program_id, known_id(id), merge)
        await edited(program, row)
        return resource.present(row)

    @router.delete(
        "/{id}",
        status_code=204,
        response_class=Response,
        summary=f"Disable {resource.kind}",
        responses=ON_READ,
    )
    async def disable(id: str, program: ProgramOf) -> None:  # noqa: A002
        await edited(program, await objects.disable(program.program_id, known_id(id)))
