"""A pytest plugin: the modules that setup.py compiles run as Python, as where nothing could be compiled."""

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

_SOURCES = str(Path(__file__).parents[2] / "src" / "attribution")


def _only_sources(directory: str) -> FileFinder:
    if not directory.startswith(_SOURCES):
        raise ImportError
    return FileFinder(directory, (SourceFileLoader, SOURCE_SUFFIXES))


sys.path_hooks.insert(0, _only_sources)
