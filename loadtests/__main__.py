"""`python -m loadtests [SCENARIO ...] [--seconds N]`: runs scenarios and prints their tables."""

import argparse
import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

from .report import heading

SCENARIOS = ("redirects", "end_to_end")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[])
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    options = parser.parse_args()
    print(heading("python -m loadtests " + " ".join(sys.argv[1:])))
    for name in options.scenarios or SCENARIOS:
        scenario = importlib.import_module(f"loadtests.{name}")
        with tempfile.TemporaryDirectory(prefix="attribution-bench-") as directory:
            Path(directory).chmod(0o755)
            for table in asyncio.run(scenario.run(Path(directory), options.seconds)):
                print(table.markdown(), flush=True)


if __name__ == "__main__":
    main()
