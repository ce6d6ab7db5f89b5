"""Comma lists of values: one that has a comma in it stands in quotes, as in CSV."""

import re
from typing import Final

# Quotes round a value without a comma are its own: what a visitor's address says may have any.
_VALUE: Final = re.compile(r'\s*"((?:[^",]|"")*+,(?:[^"]|"")*+)"\s*,|([^,]*),')


def value_list(text: str) -> list[str]:
    """`"a,b",c` is `a,b` and `c`; a quote within quotes is said twice. Without quotes no spaces are round a value."""
    found = (match.groups() for match in _VALUE.finditer(f"{text},"))
    return [plain.strip() if quoted is None else quoted.replace('""', '"') for quoted, plain in found]
