"""What reports need of stats."""

from collections.abc import Mapping
from typing import Any, Protocol

from attribution.domain.programs import Program

from .query import StatsQuery


class StatsReader(Protocol):
    async def query(self, program: Program, query: StatsQuery) -> Mapping[str, Any]:
        """The contract's answer, with `next_offset` in place of its cursor."""
        ...
