"""How a touch comes to be a candidate of a conversion, and what people know it by: for explanations only."""

from dataclasses import dataclass
from enum import StrEnum


class NamedBy(StrEnum):
    """What of the conversion names the click, or its visitor: the first that fits."""

    CLICK_ID = "click_id"
    VISITOR = "visitor"
    VISITOR_OF_CLICK = "visitor_of_click"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Naming:
    """`conversion`: (source, type, external id) of the customer's earlier one that names the visitor."""

    by: NamedBy
    conversion: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class TouchDetail:
    """All None while the click's row, or its link, is not here."""

    slug: str | None = None
    agent_class: str | None = None
    visitor_id: str | None = None
