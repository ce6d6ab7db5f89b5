"""Rows of a CSV as insights, in the columns of the platforms' own files too, and as exchange rates."""

from collections.abc import Mapping, Sequence
from typing import Any

from attribution.adapters.fx_rate_table import FxRateTable
from attribution.adapters.insight_table import InsightTable
from attribution.adapters.recording import Recorded
from attribution.adapters.references import Found, References
from attribution.domain.insights import METRICS
from attribution.domain.programs import Program
from attribution.domain.rfc3339 import parse_instant
from attribution.errors import AttributionError, FieldError, InvalidInputError

from .bulk import parsed
from .csv_cells import cells_of, count, moment, values
from .csv_table import CsvRow
from .fields import object_id
from .fx_rates import NewFxRate
from .importing import Outcome, Taken, misnamed, refuse_unknown_columns
from .insights import NewInsight
from .platform_columns import DATE_COLUMN, INSIGHT_COLUMNS, LIFETIME, SUMS, post_forms

Read = dict[str, Any] | Outcome | AttributionError
_POST = ("post_id", "post", "url")


class InsightImporter:
    """`at`: when the figures were read, for files that do not say it: an instant, or a day, which means its end."""

    def __init__(self, insights: InsightTable, references: References, program: Program, at: str | None) -> None:
        self._insights = insights
        self._references = references
        self._program = program
        self._at = _checked_at(at, program.timezone) if at else None

    def check(self, columns: Sequence[str]) -> None:
        known = {name for name, spelled in INSIGHT_COLUMNS.items() if any(column in columns for column in spelled)}
        if not known.intersection(_POST):
            raise InvalidInputError(
                FieldError(("body", 1), "has no column that names a post: Post ID, Permalink, ...")
            )
        if not known.intersection(METRICS):
            raise InvalidInputError(FieldError(("body", 1), "has no column of totals: Views, Reach, Likes, ..."))
        if "at" not in known and self._at is None:
            raise InvalidInputError(
                FieldError(("query", "at"), "is required: the file does not say when it was read")
            )

    async def take(self, rows: Sequence[CsvRow]) -> list[Taken]:
        cells = [_ours(row.cells) for row in rows]
        posts = await self._posts(cells)
        read = [self._read(row.cells, own, posts) for row, own in zip(rows, cells, strict=True)]
        said = [item for item in read if isinstance(item, dict)]
        return _taken(read, await self._insights.record(self._program.program_id, said))

    async def _posts(self, cells: Sequence[Mapping[str, str]]) -> Mapping[str, Found]:
        """By the column."""
        program_id = self._program.program_id
        wanted = {name: {own[name] for own in cells if name in own} for name in _POST}
        ids = [number for text in wanted["post_id"] if (number := object_id(text)) is not None]
        return {
            "post_id": await self._references.known_posts(program_id, ids),
            "post": await self._references.posts(program_id, {ref: post_forms(ref) for ref in wanted["post"]}),
            "url": await self._references.posts(program_id, {ref: post_forms(ref) for ref in wanted["url"]}),
        }

    def _read(self, cells: Mapping[str, str], own: Mapping[str, str], posts: Mapping[str, Found]) -> Read:
        named = [(name, own[name]) for name in _POST if name in own]
        if any(text.casefold() in SUMS for _, text in named):
            return Outcome.SKIPPED
        try:
            post_id = _post(named, posts)
            _refuse_days(cells)
            return parsed(NewInsight, self._values(own)).columns(post_id)
        except InvalidInputError as error:
            return error

    def _values(self, own: Mapping[str, str]) -> dict[str, Any]:
        kinds = {
            **dict.fromkeys(METRICS, count),
            "at": lambda text: moment(text, self._program.timezone, end_of_day=True),
        }
        said = values({name: text for name, text in own.items() if name in kinds}, kinds)
        return {"at": self._at} | said


class FxRateImporter:
    def __init__(self, rates: FxRateTable, program: Program) -> None:
        self._rates = rates
        self._program = program
        self._cells = cells_of(NewFxRate, program.timezone)

    def check(self, columns: Sequence[str]) -> None:
        refuse_unknown_columns(columns, list(self._cells))

    async def take(self, rows: Sequence[CsvRow]) -> list[Taken]:
        read = [self._read(row.cells) for row in rows]
        said = [item for item in read if isinstance(item, dict)]
        return _taken(read, await self._rates.record(self._program.program_id, said))

    def _read(self, cells: Mapping[str, str]) -> Read:
        try:
            return parsed(NewFxRate, values(cells, self._cells)).columns()
        except InvalidInputError as error:
            return error


def _taken(read: Sequence[Read], recorded: Sequence[Recorded]) -> list[Taken]:
    outcomes = iter([Outcome.ACCEPTED if one.stored else Outcome.UNCHANGED for one in recorded])
    return [next(outcomes) if isinstance(item, dict) else item for item in read]


def _checked_at(at: str, timezone: str) -> str:
    try:
        instant = moment(at, timezone, end_of_day=True)
        parse_instant(instant)
    except ValueError as error:
        raise InvalidInputError(FieldError(("query", "at"), str(error))) from error
    return instant


def _ours(cells: Mapping[str, str]) -> dict[str, str]:
    filled = {
        name: [cells[column] for column in spelled if column in cells] for name, spelled in INSIGHT_COLUMNS.items()
    }
    return {name: texts[0] for name, texts in filled.items() if texts}


def _post(named: Sequence[tuple[str, str]], posts: Mapping[str, Found]) -> int:
    """The first that a column names; another column may tell which of several."""
    found = [(name, posts[name].get(text, ())) for name, text in named]
    for _, ids in found:
        if len(ids) == 1:
            return ids[0]
    if not named:
        raise InvalidInputError(FieldError(("body", "post"), "is required"))
    raise InvalidInputError(*(misnamed(name, ids, "is no post of this programme") for name, ids in found))


def _refuse_days(cells: Mapping[str, str]) -> None:
    """Platforms also give figures by the day, which are no running totals."""
    if cells.get(DATE_COLUMN, LIFETIME).casefold() != LIFETIME:
        raise InvalidInputError(
            FieldError(("body", DATE_COLUMN), "is a day's figures: take the file of lifetime totals")
        )
