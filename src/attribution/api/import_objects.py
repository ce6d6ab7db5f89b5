"""Rows of a CSV as influencers, links, costs and whatever else a POST makes."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

from attribution.adapters.objects import Objects
from attribution.adapters.postgres import Row
from attribution.adapters.references import Found, References
from attribution.domain.programs import Program
from attribution.errors import AttributionError, ConflictError, FieldError, InvalidInputError

from .bulk import parsed
from .csv_cells import cells_of, values
from .csv_table import CsvRow
from .importing import Outcome, Taken, misnamed, refuse_unknown_columns
from .platform_columns import post_forms
from .resources import New, Resource

Created = Callable[[Sequence[Row]], Awaitable[None]]
_NAMED = ("influencer", "campaign", "post")
"""Columns that name another object by its external id; a post by its address too."""


class ObjectImporter:
    """A row without `external_id` gets one made of its content: the same row of the same file is the same object."""

    def __init__(
        self,
        resource: Resource,
        objects: Objects,
        references: References,
        program: Program,
        created: Created,
    ) -> None:
        self._resource = resource
        self._objects = objects
        self._references = references
        self._program = program
        self._created = created
        self._cells = cells_of(resource.new, program.timezone)
        self._named = tuple(name for name in _NAMED if f"{name}_id" in self._cells)
        self._seen: Counter[bytes] = Counter()

    def check(self, columns: Sequence[str]) -> None:
        refuse_unknown_columns(columns, [*self._cells, *self._named])

    async def take(self, rows: Sequence[CsvRow]) -> list[Taken]:
        found = await self._found(rows)
        stored = await self._stored_ids(rows)
        read = [self._read(row, found, stored_id) for row, stored_id in zip(rows, stored, strict=True)]
        made = await self._objects.create_each(
            [(self._program.program_id, columns) for _, columns in (item for item in read if isinstance(item, tuple))]
        )
        await self._created([row for row in made if not isinstance(row, AttributionError)])
        outcomes = iter(made)
        return [await self._taken(item[0], next(outcomes)) if isinstance(item, tuple) else item for item in read]

    async def _found(self, rows: Sequence[CsvRow]) -> Mapping[str, Found]:
        wanted = {name: {row.cells[name] for row in rows if name in row.cells} for name in self._named}
        program_id = self._program.program_id
        return {
            "influencer": await self._references.influencers(program_id, wanted.get("influencer", ())),
            "campaign": await self._references.campaigns(program_id, wanted.get("campaign", ())),
            "post": await self._references.posts(
                program_id, {ref: post_forms(ref) for ref in wanted.get("post", ())}
            ),
        }

    async def _stored_ids(self, rows: Sequence[CsvRow]) -> list[str | None]:
        """Of each row without an id the one that it had when ids were made of a row's text, if it was stored then."""
        made = [
            None if "external_id" in row.cells else self._made_id(sorted(row.cells.items()))  # Not to be changed.
            for row in rows
        ]
        asked = [external_id for external_id in made if external_id is not None]
        known = await self._references.known(self._resource.table, self._program.program_id, asked)
        return [external_id if external_id in known else None for external_id in made]

    def _read(
        self, row: CsvRow, found: Mapping[str, Found], stored_id: str | None
    ) -> tuple[New, dict[str, Any]] | AttributionError:
        try:
            new = parsed(self._resource.new, self._values(row.cells, found))
            if "external_id" not in row.cells:
                made_id = self._made_id(_content(new))
                new = new.model_copy(update={"external_id": stored_id or made_id})
            return new, new.columns(self._program)
        except InvalidInputError as error:
            return error

    def _values(self, cells: Mapping[str, str], found: Mapping[str, Found]) -> dict[str, Any]:
        named = {name: cells[name] for name in self._named if name in cells}
        ids = {name: found[name].get(reference, ()) for name, reference in named.items()}
        faults = [misnamed(name, of, "is unknown in this programme") for name, of in ids.items() if len(of) != 1]
        if faults:
            raise InvalidInputError(*faults)
        said = values({name: text for name, text in cells.items() if name not in named}, self._cells)
        return said | {f"{name}_id": str(of[0]) for name, of in ids.items()}

    def _made_id(self, content: object) -> str:
        """Equal rows of one file are meant: the second is another object, in each repeat the same."""
        digest = sha256(repr((self._resource.noun, content)).encode()).digest()[:12]
        self._seen[digest] += 1
        return f"csv-{digest.hex()}-{self._seen[digest]}"

    async def _taken(self, new: New, outcome: Row | AttributionError) -> Taken:
        if not isinstance(outcome, AttributionError):
            return Outcome.ACCEPTED
        if not isinstance(outcome, ConflictError):
            return outcome
        external_id = getattr(new, "external_id", None)
        known = await self._objects.list(self._program.program_id, external_id, 0, 1)
        if not known:
            return InvalidInputError(FieldError(("body",), str(outcome)))
        if self._says_nothing_new(new, known[0]):
            return Outcome.UNCHANGED
        return InvalidInputError(FieldError(("body", "external_id"), "is another object's: PATCH changes it"))

    def _says_nothing_new(self, new: New, row: Row) -> bool:
        known = self._resource.new.model_validate(self._resource.current(row))
        return all(getattr(new, name) == getattr(known, name) for name in new.model_fields_set)


def _content(new: New) -> tuple[str, Mapping[str, object]]:
    """The same however its cells are written, and whether or not they say what goes without saying."""
    fields = type(new).model_fields
    said = {name: getattr(new, name) for name in sorted(new.model_fields_set)}
    return "values", {name: _exact(value) for name, value in said.items() if value != fields[name].default}


def _exact(value: object) -> object:
    """7.5 and 7.50 are equal, but their texts are not."""
    return value.as_integer_ratio() if isinstance(value, Decimal) else str(value)
