"""What is asked of the API, and the same in SQL over rows, for Postgres and DuckDB alike.

The SQL answers with less than the API does: clicks, visitors and the sums of credits, by the same dimensions, without
costs and insights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_ZONE = "AT TIME ZONE 'Europe/Berlin' AS moment"
_COLUMNS = "influencer_id, campaign_id, channel, post_id, link_id"
_AUDIENCE = "country, device"
TABLES = {
    "clicks": f"""
SELECT clicked_at {_ZONE}, {_COLUMNS}, {_AUDIENCE}, coalesce(visitor_id, click_id::text) AS visitor,
       clicked_at AS instant
FROM clicks WHERE NOT is_bot
""",
    "credits": f"""
SELECT occurred_at {_ZONE}, {_COLUMNS}, code, type, new_customer, counted, gross_value, net_value, discount_value,
       commission, occurred_at AS instant
FROM credit_entries
""",
    "purchases": f"""
SELECT c.occurred_at {_ZONE}, c.customer_id, e.influencer_id, e.counted, e.net_value, c.occurred_at AS instant
FROM conversions c JOIN credit_entries e USING (program_id, conversion_id)
WHERE c.type = 'purchase' AND c.status = 'confirmed' AND c.customer_id IS NOT NULL
""",
}
"""Facts of the programme, of which rows are asked and Parquet is made. `instant` has an index, `moment` has not."""
_YEAR = ("2025-01-01", "2026-01-01")
_PREVIOUS_HALF = ("2025-01-01", "2025-07-01")
"""Before the second, as the API has it."""
_CLICKS = "SELECT {listed} {clicks} FROM {{clicks}} WHERE {{period}} {where} {grouped}"
_CREDITS = "SELECT {listed} {credits} FROM {{credits}} WHERE {{period}} {where} {grouped}"
_ALL = {
    "clicks": "count(DISTINCT visitor), count(*) AS clicks",
    "credits": """
        sum(counted), sum(counted) FILTER (WHERE type = 'purchase'), sum(counted) FILTER (WHERE type = 'lead'),
        sum(counted) FILTER (WHERE type = 'purchase' AND new_customer), sum(gross_value), sum(net_value) AS net,
        sum(discount_value), sum(commission)""",
}
_OF_CREDITS = "conversions,orders,leads,new_customers,gross_revenue,refunds,revenue,discount,commission,aov"
_SOME = {"clicks": "count(*) AS clicks", "credits": "sum(net_value) AS net"}
_HORIZONS = ", ".join(
    f"sum(CASE WHEN p.moment < f.first_at + interval '{days} days' THEN p.net_value END)"
    for days in (30, 60, 90, 180, 365)
)
_LIFETIME = f"""
WITH firsts AS (SELECT customer_id, min(moment) AS first_at FROM {{purchases}} GROUP BY customer_id),
brought AS (
    SELECT p.customer_id, f.first_at, min(p.influencer_id) AS influencer_id
    FROM (SELECT * FROM {{purchases}}) p JOIN firsts f ON f.customer_id = p.customer_id AND f.first_at = p.moment
    WHERE p.counted > 0
    GROUP BY p.customer_id, f.first_at
)
SELECT f.influencer_id, date_trunc('month', f.first_at), count(DISTINCT f.customer_id), {_HORIZONS}
FROM brought f JOIN (SELECT * FROM {{purchases}}) p ON p.customer_id = f.customer_id
GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Question:
    """`sql`: templates of statements with `{period}` and the names of `TABLES`; none: it has no like."""

    name: str
    path: str
    sql: tuple[str, ...] = ()
    periods: tuple[tuple[str, str], ...] = (_YEAR,)

    def statements(self, tables: dict[str, str], period: str) -> list[str]:
        """`tables`: what stands for each; `period`: how a moment is compared, with two dates to be filled in.

        Those of the first period come first.
        """
        return [
            statement.format(period=period.format(*dates), **tables)
            for dates in self.periods
            for statement in self.sql
        ]


def _stats(
    name: str,
    group_by: str,
    columns: str,
    *,
    period: tuple[str, str] = _YEAR,
    previous: tuple[tuple[str, str], ...] = (),
    more: str = "",
    where: str = "",
    sums: Mapping[str, str] = _ALL,
    has_clicks: bool = True,
    has_credits: bool = True,
) -> Question:
    parts = {
        "listed": f"{columns}," if columns else "",
        "where": where,
        "grouped": f"GROUP BY {columns}" if columns else "",
        **sums,
    }
    sql = [*([_CLICKS] if has_clicks else []), *([_CREDITS] if has_credits else [])]
    start, end = period
    return Question(
        name,
        f"/v1/stats?program=history&from={start}&to={end}&group_by={group_by}{more}",
        tuple(statement.format(**parts) for statement in sql),
        (period, *previous),
    )


def _report(name: str, path: str, *sql: str) -> Question:
    start, end = _YEAR
    return Question(name, f"/v1/reports/{path}&program=history&from={start}&to={end}", sql)


_DAY, _MONTH = "date_trunc('day', moment)", "date_trunc('month', moment)"
QUESTIONS = (
    _stats("year by influencer", "influencer", "influencer_id"),
    _stats("eleven months by influencer", "influencer", "influencer_id", period=("2025-01-15", "2025-12-20")),
    _stats(
        "year by influencer, clicks and revenue", "influencer", "influencer_id", more="&metrics=clicks,revenue",
        sums=_SOME,
    ),
    _stats("year by influencer, by=click", "influencer", "influencer_id", more="&by=click"),
    _stats(
        "half a year by influencer, compared", "influencer", "influencer_id", period=("2025-07-01", "2026-01-01"),
        previous=(_PREVIOUS_HALF,), more="&compare=previous",
    ),
    _stats("year by campaign and channel", "campaign,channel", "campaign_id, channel"),
    _stats("year by day", "day", _DAY),
    _stats("year by influencer and month", "influencer,month", f"influencer_id, {_MONTH}"),
    _stats("year of one influencer by day", "day", _DAY, more="&influencer=7", where="AND influencer_id = 7"),
    _stats("year by post", "post", "post_id"),
    _stats("year by link, most clicks first", "link", "link_id", more="&sort=-clicks&limit=100"),
    # A code has no clicks, costs or insights of its own.
    _stats("year by code", "code", "code", has_clicks=False, more=f"&metrics={_OF_CREDITS}"),
    _stats("year by country and device", "country,device", "country, device", has_credits=False),
    _stats(
        "year by country and device, of clicks", "country,device", "country, device",
        more="&metrics=clicks,unique_visitors", has_credits=False,
    ),
    _stats("a month's totals", "", "", period=("2025-06-01", "2025-07-01")),
    _report("goals", "goals?campaign=1"),
    Question("long tail of a campaign", "/v1/reports/long-tail?program=history&campaign=1&to=2026-01-01"),
    _report("lifetime value by influencer", "lifetime-value?by=influencer", _LIFETIME),
    _report("leaderboard of conversion rates", "leaderboard?by=influencer&metric=conversion_rate"),
    Question("changes of clicks", "/v1/reports/changes?program=history&by=influencer&metric=clicks&to=2025-11-01"),
    Question("journeys of a day", "/v1/reports/journeys?program=history&from=2025-06-01&to=2025-06-02"),
)  # fmt: skip
