"""`python -m loadtests [SCENARIO ...] [--seconds N] [--record] [--keep DIRECTORY]`: runs and prints scenarios."""

import argparse
import asyncio
import importlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .report import heading, recorded

# In the order of the page.
SCENARIOS = (
    "redirects",
    "latency",
    "growth",
    "memory",
    "attack",
    "consumer",
    "end_to_end",
    "sync_modes",
    "back_pressure",
    "attribution",
    "recompute",
    "stats",
    "storm",
    "markov",
)
_RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[])
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--record", action="store_true", help=f"replace these scenarios' sections of {_RESULTS.name}")
    parser.add_argument("--keep", type=Path, help="where histories, which take long to make, stay for the next run")
    options = parser.parse_args()
    with _place(options.keep) as place:
        for name in options.scenarios or SCENARIOS:
            command = heading(f"python -m loadtests {name} --seconds {options.seconds}")
            section = "\n".join([f"## {name}", "", command, *_tables(place, name, options.seconds)])
            print(section, flush=True)
            if options.record:
                _RESULTS.write_text(recorded(_RESULTS.read_text(), name, section, SCENARIOS))


@contextmanager
def _place(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="attribution-bench-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def _tables(place: Path, name: str, seconds: int) -> list[str]:
    """What scenarios share is beside the directory that each has of its own."""
    scenario = importlib.import_module(f"loadtests.{name}")
    directory = place / name
    directory.mkdir()
    try:
        return [table.markdown() for table in asyncio.run(scenario.run(directory, seconds))]
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
