"""Results as Markdown tables, with the machine and the date they belong to."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *map(_line, self.rows), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def heading(command: str) -> str:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {cores} cores of {model}, Python {platform.python_version()}\n"
    )


def recorded(page: str, name: str, section: str, order: Sequence[str]) -> str:
    """The page with this scenario's section in place of its last one; sections (`## name`) stand in `order`."""
    introduction, *old = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    sections = {text.split(None, 2)[1]: text for text in old} | {name: section}
    kept = [sections[key].rstrip() for key in order if key in sections]
    return "\n\n".join([introduction.rstrip(), *kept, ""])[:-1]
