"""The examples that docs/stats.md works out by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_stats import BERLIN, ask, click, load, sale, world_of
from tests.support.facts import Cost, Facts, Insight, Post, Rate
from tests.support.worlds import TOKENS

from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.postgres import Database
from attribution.domain.ids import ProgramId
from attribution.domain.instants import to_us
from attribution.domain.refunds import RefundMessage

pytestmark = pytest.mark.usefixtures("foreign_program")


def at(moment: str) -> int:
    return to_us(datetime.fromisoformat(moment))


async def test_annas_march(database: Database) -> None:
    later = {"impressions": 5_000, "reach": 3_000, "likes": 240, "comments": 30, "saves": 20, "shares": 10}
    facts = Facts(
        posts={1: Post(1, None, "tiktok", "reel")},
        insights=[
            Insight(1, at("2026-02-28T12:00:00+01:00"), {"impressions": 1_000, "reach": 800}),
            Insight(1, at("2026-03-10T12:00:00+01:00"), later),
        ],
        costs=[
            Cost(date(2026, 2, 15), 60, 6_000, "EUR", influencer=1),
            Cost(date(2026, 3, 5), 1, 1_000, "USD", post=1),
        ],
        rates=[Rate(date(2026, 3, 5), "USD", "EUR", Decimal("0.9"))],
    )
    clicks = [
        click(f"2026-03-{day:02}T{hour}:00:00Z", visitor=f"v{day}") for day in range(1, 21) for hour in (10, 11)
    ]
    orders = [
        sale("A", "2026-03-20T12:00:00Z", 6_000, visitor_id="v1"),
        sale("B", "2026-03-20T12:00:00Z", 4_000, visitor_id="v2"),
    ]
    await load(database, 1, world_of(clicks, orders), BERLIN, facts)
    refund = RefundMessage(
        source="shop", external_id="B", refund_id="r", refunded_at=datetime(2026, 4, 2, tzinfo=UTC), amount="20"
    )
    await ConversionIntake(database, TOKENS).accept(ProgramId(1), [refund])
    await until_idle(database)
    figures = {
        "clicks": 40, "impressions": 4_000, "reach": 2_200, "engagements": 300, "orders": 2, "revenue": "80.00",
        "cost": "40.00", "ctr": "0.0100000", "engagement_rate": "0.136363636364", "conversion_rate": "0.0500000",
        "aov": "40.00000", "cpc": "1.00000", "cpa": "20.00000", "roas": "2.00000", "roi": "0.500000",
    }  # fmt: skip
    answer = await ask(
        database, "influencer", "month", metrics=tuple(figures), gross_margin=Decimal("0.75"),
        start=datetime(2026, 2, 28, 23, tzinfo=UTC), end=datetime(2026, 3, 31, 22, tzinfo=UTC),
    )  # fmt: skip
    assert answer["rows"] == [{"influencer": "1", "month": "2026-03", **figures}]
    assert answer["totals"] == figures
