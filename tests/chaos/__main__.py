"""`python -m tests.chaos --seed N --minutes M`: exit status 1 on any difference that nothing explains."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .run import chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {options.seed}, {options.minutes:g} minutes, in {root}", flush=True)
    verdict = asyncio.run(chaos(root, options.seed, options.minutes * 60, lambda line: print(line, flush=True)))
    print(f"\n{verdict}")
    if verdict.unexplained:
        print(f"kept: {root}")
        return 1
    shutil.rmtree(root)
    return 0


sys.exit(main())
