"""`python -m loadtests [SCENARIO ...] [--seconds N] [--record]`: runs scenarios and prints their tables."""

import argparse
import asyncio
import importlib
import tempfile
from pathlib import Path

from .report import heading

SCENARIOS = ("redirects", "end_to_end")
_RESULTS = Path(__file__).with_name("RESULTS.md")
_INTRODUCTION = """\
# Results of the load tests

One run on one machine, which others may share: read the ratios, which are measured side by side, not the figures.
`make bench` measures again and writes this page; it needs `nginx` and `wrk` beside what `make test` needs.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[])
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--record", action="store_true", help=f"write {_RESULTS.name}")
    options = parser.parse_args()
    scenarios = options.scenarios or SCENARIOS
    page = [_INTRODUCTION, heading(f"python -m loadtests {' '.join(scenarios)} --seconds {options.seconds}")]
    for name in scenarios:
        page += _tables(name, options.seconds)
    if options.record:
        _RESULTS.write_text("\n".join(page))


def _tables(name: str, seconds: int) -> list[str]:
    scenario = importlib.import_module(f"loadtests.{name}")
    with tempfile.TemporaryDirectory(prefix="attribution-bench-") as directory:
        Path(directory).chmod(0o755)
        tables = [table.markdown() for table in asyncio.run(scenario.run(Path(directory), seconds))]
    print("\n".join(tables), flush=True)
    return tables


if __name__ == "__main__":
    main()
