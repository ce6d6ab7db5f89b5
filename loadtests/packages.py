"""Packages of others to measure beside, in a virtual environment that is theirs alone."""

import subprocess
import venv
from pathlib import Path

_PATIENCE_S = 300


def installed(directory: Path, *requirements: str) -> str:
    """The Python that has them."""
    venv.create(directory, with_pip=True)
    python = str(directory / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--no-input", *requirements]
    subprocess.run(command, check=True, timeout=_PATIENCE_S, stderr=subprocess.DEVNULL)
    return python
