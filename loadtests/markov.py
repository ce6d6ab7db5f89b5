"""The Markov model of order 1 over the paths of a million conversions, beside the packages of PyPI that have it.

`ChannelAttribution`, which has it too, did not install, and is left out.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .markov_packages import COLUMNS
from .packages import installed
from .report import Table
from .service import ATTRIBUTION

CONVERSIONS, CHANNELS = 1_000_000, 50
GOES_ON = 0.7
"""So likely is one more touch."""
CONVERTS = (0.5, 0.9)
"""So likely a path of the first channel converts at its end, and one of the last."""
ROUNDS = 3
LIMIT_S = 150.0
SLOW_S = 30.0
"""Who takes longer is run once."""
_REQUIREMENTS = ("mta==0.0.9", "marketing_attribution_models==2.1.1")
_HOW = {
    "ours": "numpy, the chain solved",
    "mta": "pure Python over pandas, only the paths that were seen",
    "mam": "polars, the chain solved",
}
_LABELS = {"ours": "attribution", "mta": _REQUIREMENTS[0], "mam": _REQUIREMENTS[1]}
_SCRIPT = str(Path(__file__).with_name("markov_packages.py"))


@dataclass(frozen=True, slots=True)
class Run:
    """`model_s`: over paths in memory; `process_s`: of the process that also reads them from their file."""

    model_s: float
    process_s: float
    effects: dict[str, float]


async def run(directory: Path, _: int) -> list[Table]:
    return await asyncio.to_thread(_tables, directory)


def _tables(directory: Path) -> list[Table]:
    theirs = installed(directory / "packages", *_REQUIREMENTS)
    file = directory / "paths.csv"
    paths = _write_paths(file)
    rounds: list[dict[str, Run | None]] = []
    for _ in range(ROUNDS):
        rounds.append(_round(theirs, file, rounds))
    columns = (
        "package", "how", "s, paths in memory", "times ours", "s, from the file", "effects differ by",
    )  # fmt: skip
    title = (
        f"Markov, order 1: {CONVERSIONS:,} conversions, {paths:,} distinct paths, {CHANNELS} channels, one process, "
        f"median of {ROUNDS} (of one, beyond {SLOW_S:.0f} s)"
    )
    return [Table(title, columns, [_row(name, rounds) for name in _HOW] + [_command_row(file)])]


def _write_paths(file: Path) -> int:
    """Returns how many. No channel follows itself, so that nobody has repeats to collapse."""
    rng = random.Random(1)
    counts: dict[tuple[int, ...], list[int]] = {}
    conversions = 0
    while conversions < CONVERSIONS:
        walk = _walk(rng)
        least, most = CONVERTS
        converts = rng.random() < least + (most - least) * walk[-1] / CHANNELS
        counts.setdefault(walk, [0, 0])[not converts] += 1
        conversions += converts
    with file.open("w") as out:
        out.write(";".join(COLUMNS) + "\n")
        for walk, (converted, missed) in counts.items():
            path = " > ".join(f"channel{channel}" for channel in walk)
            out.write(f"{path};{converted};{10 * converted};{missed}\n")
    return len(counts)


def _walk(rng: random.Random) -> tuple[int, ...]:
    """The first channels are met more often than the last."""
    walk = [int(rng.random() ** 1.5 * CHANNELS)]
    while rng.random() < GOES_ON:
        channel = int(rng.random() ** 1.5 * CHANNELS)
        if channel != walk[-1]:
            walk.append(channel)
    return tuple(walk)


def _round(theirs: str, file: Path, before: Sequence[Mapping[str, Run | None]]) -> dict[str, Run | None]:
    """In turns. None: more than the limit, or once is enough."""
    quick = [name for name in _HOW if all((run := its[name]) and run.process_s < SLOW_S for its in before)]
    return {
        name: _run(sys.executable if name == "ours" else theirs, name, file) if name in quick else None
        for name in _HOW
    }


def _run(python: str, name: str, file: Path) -> Run | None:
    # -P: else a scenario beside the script would be found in place of the package of its name.
    command = [python, "-P", _SCRIPT, name, str(file)]
    began = time.perf_counter()
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return None
    answer = json.loads(done.stdout)
    return Run(answer["seconds"], time.perf_counter() - began, answer["effects"])


def _row(name: str, rounds: Sequence[Mapping[str, Run | None]]) -> tuple[str, ...]:
    pairs = [(run, by_name["ours"]) for by_name in rounds if (run := by_name[name]) and by_name["ours"]]
    if not pairs:
        return (_LABELS[name], _HOW[name], f"more than {LIMIT_S:.0f}", "", "", "")
    return (
        _LABELS[name],
        _HOW[name],
        f"{median(run.model_s for run, _ in pairs):.2f}",
        f"{median(run.model_s / ours.model_s for run, ours in pairs):.1f}",
        f"{median(run.process_s for run, _ in pairs):.1f}",
        f"{max(abs(run.effects[c] - effect) for run, ours in pairs for c, effect in ours.effects.items()):.0e}",
    )


def _command_row(file: Path) -> tuple[str, ...]:
    began = time.perf_counter()
    command = [*ATTRIBUTION, "model", "--model", "markov", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return ("attribution", "its command `model`", "", "", f"{time.perf_counter() - began:.1f}", "")
