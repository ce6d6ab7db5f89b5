"""How long the searching tests search: `make fuzz` multiplies their cases by FUZZ."""

import os

from hypothesis import settings

FUZZ = int(os.environ.get("FUZZ", "1"))


def cases(number: int) -> settings:
    return settings(max_examples=number * FUZZ, deadline=None)
