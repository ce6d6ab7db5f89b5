"""Clicks as the consumer hands them to the table."""

from collections.abc import Iterable

from attribution.adapters.click_batch import ClickBatch
from attribution.domain.clicks import Click, pack_click


def batch_of(clicks: Iterable[Click]) -> ClickBatch:
    return ClickBatch.of(map(pack_click, clicks))
