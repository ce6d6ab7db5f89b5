"""The Markov model of order 1 over the paths of a million conversions, beside the packages of PyPI that have it.

A package is asked for no more conversions than it does in about a minute; ours is timed over the same paths.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .markov_packages import COLUMNS
from .packages import installed
from .processes import SERVER_CORE
from .report import Table
from .service import ATTRIBUTION

SIZES, CHANNELS = (100_000, 300_000, 1_000_000), 50
"""Conversions."""
GOES_ON = 0.7
"""So likely is one more touch."""
CONVERTS = (0.5, 0.9)
"""So likely a path of the first channel converts at its end, and one of the last."""
ROUNDS = 3
LIMIT_S = 90.0
LONG_S = 30.0
"""Who takes longer is run once, and asked for no more conversions."""


@dataclass(frozen=True, slots=True)
class Package:
    """`name`: as `markov_packages` has it."""

    name: str
    requirements: tuple[str, ...]
    how: str

    @property
    def label(self) -> str:
        return self.requirements[0]


# `ChannelAttribution` imports matplotlib and does not ask for it; it has no wheel, and is compiled here.
_PACKAGES = (
    Package("mta", ("mta==0.0.9",), "pure Python over pandas, only the paths that were seen"),
    Package("mam", ("marketing_attribution_models==2.1.1",), "polars, the chain solved"),
    Package("channel_attribution", ("ChannelAttribution==2.2.5", "matplotlib", "pandas"), "C++, simulated"),
)
_SCRIPT = str(Path(__file__).with_name("markov_packages.py"))


@dataclass(frozen=True, slots=True)
class Paths:
    file: Path
    conversions: int
    distinct: int


@dataclass(frozen=True, slots=True)
class Run:
    """`model_s`: over paths in memory; `process_s`: of the process that also reads them from their file."""

    model_s: float
    process_s: float
    effects: Mapping[str, float]


async def run(directory: Path, _: int) -> list[Table]:
    return await asyncio.to_thread(_tables, directory)


def _tables(directory: Path) -> list[Table]:
    sizes = [_paths(directory / f"{size}.csv", size) for size in SIZES]
    columns = (
        "package", "how", "conversions", "distinct paths", "s", "ours, s", "times ours", "removal effects differ by",
    )  # fmt: skip
    title = (
        f"Markov, order 1, {CHANNELS} channels, paths in memory, a process each on one core, in turns: "
        f"median of {ROUNDS} rounds, of one beyond {LONG_S:.0f} s"
    )
    beside = Table(title, columns, [_row(package, directory / package.name, sizes) for package in _PACKAGES])
    return [beside, _ours(sizes[-1])]


def _row(package: Package, directory: Path, sizes: list[Paths]) -> tuple[str, ...]:
    nothing = ("", "", "", "", "", "")
    try:
        python = installed(directory, *package.requirements)
    except subprocess.SubprocessError:
        return (package.label, "did not install", *nothing)
    compared = _compared(python, package, sizes)
    if compared is None:
        return (package.label, f"{package.how}: not in {LIMIT_S:.0f} s", *nothing)
    paths, pairs = compared
    return (
        package.label, package.how, f"{paths.conversions:,}", f"{paths.distinct:,}",
        f"{median(theirs.model_s for theirs, _ in pairs):.2f}", f"{median(ours.model_s for _, ours in pairs):.2f}",
        f"{median(theirs.model_s / ours.model_s for theirs, ours in pairs):.1f}",
        f"{max(abs(theirs.effects[c] - effect) for theirs, ours in pairs for c, effect in ours.effects.items()):.0e}",
    )  # fmt: skip


def _compared(python: str, package: Package, sizes: list[Paths]) -> tuple[Paths, list[tuple[Run, Run]]] | None:
    """Theirs and ours, in turns, over the most paths that it does; None if it does none."""
    largest = None
    for paths in sizes:
        theirs = _run(python, package.name, paths)
        if theirs is None:
            break
        largest = (paths, [(theirs, _ours_over(paths))])
        if theirs.process_s > LONG_S:
            return largest
    if largest is not None:
        paths, pairs = largest
        pairs += list(_rounds(python, package, paths))
    return largest


def _rounds(python: str, package: Package, paths: Paths) -> Iterator[tuple[Run, Run]]:
    for _ in range(ROUNDS - 1):
        theirs = _run(python, package.name, paths)
        if theirs is not None:
            yield theirs, _ours_over(paths)


def _ours_over(paths: Paths) -> Run:
    ours = _run(sys.executable, "ours", paths)
    if ours is None:
        raise RuntimeError(f"ours took more than {LIMIT_S} s over {paths.conversions} conversions")
    return ours


def _run(python: str, name: str, paths: Paths) -> Run | None:
    """None: more than the limit."""
    # -P: else a scenario beside the script would be found in place of the package of its name.
    command = [python, "-P", _SCRIPT, name, str(paths.file)]
    began = time.perf_counter()
    try:
        done = subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S, preexec_fn=_on_one_core)
    except subprocess.TimeoutExpired:
        return None
    answer = json.loads(done.stdout)
    return Run(answer["seconds"], time.perf_counter() - began, answer["effects"])


def _on_one_core() -> None:
    os.sched_setaffinity(0, {SERVER_CORE})


def _ours(paths: Paths) -> Table:
    runs = [_ours_over(paths) for _ in range(ROUNDS)]
    began = time.perf_counter()
    command = [*ATTRIBUTION, "model", "--model", "markov", str(paths.file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=_on_one_core)
    command_s = time.perf_counter() - began
    rows = [
        ("the model, paths in memory", f"{median(run.model_s for run in runs):.2f}"),
        ("the process that reads them from their file first", f"{median(run.process_s for run in runs):.1f}"),
        ("the command `attribution model --model markov`", f"{command_s:.1f}"),
    ]
    title = f"Ours over {paths.conversions:,} conversions, {paths.distinct:,} distinct paths, {CHANNELS} channels"
    return Table(title, ("what", "s"), rows)


def _paths(file: Path, conversions: int) -> Paths:
    return Paths(file, conversions, _write_paths(file, conversions))


def _write_paths(file: Path, wanted: int) -> int:
    """Returns how many. No channel follows itself, so that nobody has repeats to collapse."""
    rng = random.Random(1)
    counts: dict[tuple[int, ...], list[int]] = {}
    conversions = 0
    while conversions < wanted:
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
