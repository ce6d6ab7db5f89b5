"""Rows of clicks as candidates of conversions."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from attribution.domain.attribution import Touch
from attribution.domain.click_id import clicked_at_us
from attribution.domain.clicks import Channel, Device
from attribution.domain.ids import ConversionId

from .postgres import Row

_CHANNELS: dict[str | None, Channel | None] = {None: None} | {channel.value: channel for channel in Channel}
_DEVICES: dict[str | None, Device | None] = {None: None} | {device.value: device for device in Device}
_OF_CLICK = 9
"""Columns."""


def by_conversion(rows: Iterable[Row]) -> dict[ConversionId, list[Touch]]:
    """`rows`: the id of a conversion, then as for `touch_of`."""
    touches: dict[ConversionId, list[Touch]] = {}
    for row in rows:
        conversion_id, touch = row[0], touch_of(row[1:])
        if conversion_id in touches:
            touches[conversion_id].append(touch)
        else:
            touches[conversion_id] = [touch]
    return touches


def touch_of(columns: Sequence[Any]) -> Touch:
    """Its moment is in its id. A click that may not be here says so in a last column."""
    click_id, link_id, influencer_id, campaign_id, post_id, channel, is_bot, country, device = columns[:_OF_CLICK]
    stored = len(columns) == _OF_CLICK or columns[_OF_CLICK]
    return tuple.__new__(Touch, (
        clicked_at_us(click_id), click_id, link_id, influencer_id, campaign_id, post_id, _CHANNELS[channel], is_bot,
        stored, country, _DEVICES[device],
    ))  # fmt: skip


def names(touches: Iterable[Touch], click_id: UUID) -> bool:
    """Whether one of them is this click."""
    wanted = click_id.bytes
    for touch in touches:  # noqa: SIM110 - a generator takes several times as long
        if touch.click_id == wanted:
            return True
    return False
