"""Rows of `credit_entries`: credits, and the differences between them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from attribution.domain.attribution import WEIGHT_UNITS, Credit, Via
from attribution.domain.click_id import clicked_at
from attribution.domain.clicks import Channel, Device
from attribution.domain.ids import CampaignId, ClickId, InfluencerId, LinkId, PostId
from attribution.domain.instants import from_us, to_us

from .postgres import Row

VIAS: Final[Mapping[str, Via]] = {via.value: via for via in Via}
CHANNELS: Final[Mapping[str | None, Channel | None]] = {None: None} | {channel.value: channel for channel in Channel}
DEVICES: Final[Mapping[str | None, Device | None]] = {None: None} | {device.value: device for device in Device}
COLUMNS: Final = (
    "program_id", "conversion_id", "recorded_at", "via", "influencer_id", "campaign_id", "channel", "post_id",
    "link_id", "click_id", "country", "device", "code", "occurred_at", "clicked_at", "type", "new_customer", "weight",
    "gross_minor", "net_minor", "discount_minor", "counted", "gross_value", "net_value", "discount_value",
    "commission",
)  # fmt: skip
_Amounts = tuple[int, int, int, int, int, int, int, int, int]
_NOTHING: _Amounts = (0,) * 9
_Target = tuple[
    Via, InfluencerId | None, CampaignId | None, Channel | None, PostId | None, LinkId | None, ClickId | None,
    str | None, Device | None, str | None, int, str, bool | None,
]  # fmt: skip
"""What is left of a credit without its amounts."""


def credit_of(row: Row) -> Credit:
    """Of an entry, or of the sum of some."""
    post_id, click_id = row["post_id"], row["click_id"]
    # Not its own constructor: a recomputation reads the credits of a million orders.
    return tuple.__new__(Credit, (
        VIAS[row["via"]], int(row["weight"] * WEIGHT_UNITS), row["gross_minor"], row["net_minor"],
        row["discount_minor"], row["influencer_id"], row["campaign_id"], CHANNELS[row["channel"]],
        post_id and PostId(post_id), row["link_id"], ClickId(click_id.bytes) if click_id else None, row["country"],
        DEVICES[row["device"]], row["code"], to_us(row["occurred_at"]), row["type"], row["new_customer"],
        int(row["counted"] * WEIGHT_UNITS), row["gross_value"], row["net_value"], row["discount_value"],
        row["commission"],
    ))  # fmt: skip


def entry(key: tuple[int, int], at: datetime | None, credit: Credit) -> tuple[Any, ...]:
    """In the order of `COLUMNS`. `key`: programme and conversion; `at`: when it is recorded, if it is."""
    click_id = credit.click_id
    return (
        *key, at, str(credit.via), credit.influencer_id, credit.campaign_id,
        credit.channel.value if credit.channel else None, credit.post_id, credit.link_id,
        UUID(bytes=click_id) if click_id else None, credit.country,
        credit.device.value if credit.device else None, credit.code,
        from_us(credit.occurred_at_us), clicked_at(click_id) if click_id else None, credit.type, credit.new_customer,
        _weight(credit.weight_units), credit.gross_minor, credit.net_minor, credit.discount_minor,
        _weight(credit.counted_units), credit.gross_value, credit.net_value, credit.discount_value,
        credit.commission,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _weight(units: int) -> Decimal:
    """Without zeros at its end, which would be sent and stored."""
    return Decimal(units).scaleb(-18).normalize()


def differences(before: Sequence[Credit], after: Sequence[Credit]) -> list[Credit]:
    """Entries that, added to `before`, give `after`. Within each of them no two credits are of the same target."""
    if not before:
        return [credit for credit in after if is_any(credit)]
    held = {_target(credit): _amounts(credit) for credit in before}
    kept = [(target := _target(credit), _amounts(credit), held.pop(target, _NOTHING)) for credit in after]
    gone = [(target, _NOTHING, amounts) for target, amounts in held.items()]
    return [_credit(target, _minus(now, then)) for target, now, then in gone + kept if now != then]


def is_any(credit: Credit) -> bool:
    """What is nothing at all leaves no entry."""
    return credit.weight_units != 0 or _amounts(credit) != _NOTHING


def _target(credit: Credit) -> _Target:
    return (credit.via, *credit[5:17])


def _amounts(credit: Credit) -> _Amounts:
    return credit[1:5] + credit[17:]


def _credit(target: _Target, amounts: _Amounts) -> Credit:
    return Credit._make((target[0], *amounts[:4], *target[1:], *amounts[4:]))


def _minus(now: _Amounts, then: _Amounts) -> _Amounts:
    a, b, c, d, e, f, g, h, i = (of_now - of_then for of_now, of_then in zip(now, then, strict=True))
    return (a, b, c, d, e, f, g, h, i)
