"""`python -m loadtests [SCENARIO ...] [--seconds N] [--record]`: runs scenarios and prints their tables."""

import argparse
import asyncio
import importlib
import tempfile
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
    options = parser.parse_args()
    for name in options.scenarios or SCENARIOS:
        command = heading(f"python -m loadtests {name} --seconds {options.seconds}")
        section = "\n".join([f"## {name}", "", command, *_tables(name, options.seconds)])
        print(section, flush=True)
        if options.record:
            _RESULTS.write_text(recorded(_RESULTS.read_text(), name, section, SCENARIOS))


def _tables(name: str, seconds: int) -> list[str]:
    scenario = importlib.import_module(f"loadtests.{name}")
    with tempfile.TemporaryDirectory(prefix="attribution-bench-") as directory:
        Path(directory).chmod(0o755)
        return [table.markdown() for table in asyncio.run(scenario.run(Path(directory), seconds))]


if __name__ == "__main__":
    main()
