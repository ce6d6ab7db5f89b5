"""The programme: one brand's scheme, the tenant and the sharding key."""

from dataclasses import dataclass
from decimal import Decimal

from .ids import ProgramId

DEFAULT_PROGRAM_KEY = "default"
DEFAULT_CLICK_ID_PARAM = "click_id"


@dataclass(frozen=True, slots=True)
class Program:
    program_id: ProgramId
    key: str
    currency: str
    timezone: str
    click_id_param: str
    gross_margin: Decimal = Decimal(1)
    deduct_included_tax: bool = False
    """Of orders whose prices include tax, where the shop says so: their net is without it."""
