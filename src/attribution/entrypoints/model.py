"""Command `model`: what a model makes of a file of paths, without any server."""

import csv
import sys
from contextlib import nullcontext
from pathlib import Path as File
from typing import TYPE_CHECKING, TextIO

from attribution.domain.models import U_SHAPED
from attribution.errors import AttributionError
from attribution.models import Attribution, MalformedPathsError, Path, attribute, read_paths
from attribution.models.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS = ("channel", "conversions", "value", "removal_effect")


def model(
    name: str, file: str, *, order: int, nulls: bool, position_weights: str | None, skip_malformed: bool
) -> None:
    """Reads a CSV file, or standard input for `-`; writes CSV to standard output."""
    weights = position_weights.split(",") if position_weights is not None else U_SHAPED
    paths = _read(file, skip_malformed=skip_malformed)
    _write(attribute(name, paths, order=order, nulls=nulls, position_weights=weights), sys.stdout)


def _read(file: str, *, skip_malformed: bool) -> list[Path]:
    try:
        with _opened(file) as lines:
            paths, malformed = read_paths(lines)
    except OSError as error:
        raise AttributionError(f"{file}: {error.strerror}") from error
    if malformed and not skip_malformed:
        raise MalformedPathsError(malformed)
    if malformed:
        print(shown(malformed), file=sys.stderr)  # noqa: T201
    return paths


def _opened(file: str) -> "nullcontext[Iterable[str]] | TextIO":
    """What is not UTF-8 is kept for its row to be told."""
    if file != "-":
        return File(file).open(encoding="utf-8-sig", errors="surrogateescape")
    return nullcontext(line.decode("utf-8-sig", "surrogateescape") for line in sys.stdin.buffer)


def _write(attribution: Attribution, out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for channel, credit in attribution.items():
        effect = "" if credit.removal_effect is None else f"{credit.removal_effect:.12f}"
        writer.writerow([channel, f"{float(credit.conversions):.10f}", f"{float(credit.value):.10f}", effect])
