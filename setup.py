"""Compiles with mypyc what every tap, judged order and number of stats runs through (docs/adr/0016-compiled-tap.md).

Where nothing can be compiled, for want of a compiler or of Python's headers, the same modules run as Python.
"""

import sys

from mypyc.build import mypycify
from setuptools import Extension, setup

_REDIRECT = (
    "address", "answer", "answerer", "bounded", "compiled_link", "decision", "head", "lane", "link_cache",
    "location", "parameters", "recorder", "tap", "visitor",
)  # fmt: skip
_JUDGING = ("attribution", "codes", "commission", "models", "money", "valuation")
_MODULES = (
    "journal", "adapters/click_rows", "adapters/credit_entries", "adapters/stored_conversions", "adapters/touches",
    "conversions/differences", "stats/columns", "stats/differences", "domain/click_id", "domain/clicks",
    *(f"redirect/{module}" for module in _REDIRECT), *(f"domain/{module}" for module in _JUDGING),
)  # fmt: skip


def _extensions() -> list[Extension]:
    if not {"egg_info", "dist_info"}.isdisjoint(sys.argv):
        return []  # pip asks for metadata before it builds
    extensions = mypycify([f"src/attribution/{module}.py" for module in _MODULES], target_dir="build")
    for extension in extensions:
        extension.optional = True
        # What another compiler warns of would leave some modules compiled and some not.
        extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
    return extensions


setup(ext_modules=_extensions())
