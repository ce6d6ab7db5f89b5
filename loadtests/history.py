"""A programme with a year behind it, made in the database: visitors who come back, and orders that follow clicks."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attribution.adapters.click_table import ClickTable
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.domain.ids import ProgramId
from attribution.settings import Settings

from .service import Backend, backend, consumer

YEAR = 2025
INFLUENCERS, CAMPAIGNS, LINKS, POSTS = 5_000, 50, 100_000, 20_000
ORDERS = 200_000
CHUNK = 500_000
_QUARTERS = 12_000
"""Of an hour, sketched at once: four months."""
_MAKING_TIMEOUT_S = 3_600
VISITORS_PER_CLICK = 0.4
_BLOCKS = 18
"""Visitors come back within twenty days: so many times as many tap within a year."""

_PROGRAM = f"""
INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin, rolled_up_in)
VALUES ('history', 'History', 'EUR', 'Europe/Berlin', 'click_id', 0.6, 'Europe/Berlin');
INSERT INTO influencers (program_id, name, status)
SELECT 1, 'Influencer ' || n, 'active' FROM generate_series(1, {INFLUENCERS}) n;
INSERT INTO campaigns (program_id, name, status, goal, targets, starts_at, ends_at)
SELECT 1, 'Campaign ' || n, 'active', 'sales', '{{"orders": "1000"}}',
       timestamptz '{YEAR}-01-01Z' + n * interval '6 days',
       timestamptz '{YEAR}-01-01Z' + n * interval '6 days' + interval '30 days'
FROM generate_series(1, {CAMPAIGNS}) n;
INSERT INTO posts (program_id, influencer_id, campaign_id, channel, content_type, published_at, status)
SELECT 1, 1 + n % {INFLUENCERS}, 1 + n % {CAMPAIGNS}, (ARRAY['instagram', 'tiktok', 'youtube', 'blog'])[1 + n % 4],
       (ARRAY['reel', 'story', 'video'])[1 + n % 3],
       timestamptz '{YEAR}-01-01Z' + n % 365 * interval '1 day', 'active'
FROM generate_series(0, {POSTS - 1}) n;
INSERT INTO links (
    program_id, slug, destination, influencer_id, campaign_id, channel, post_id, forward_query, status
)
SELECT 1, 's' || lpad(n::text, 6, '0'), 'https://shop.example/' || n, p.influencer_id, p.campaign_id, p.channel,
       p.post_id, 'append', 'active'
FROM generate_series(0, {LINKS - 1}) n
JOIN posts p ON p.program_id = 1 AND p.post_id = 1 + n % {POSTS};
ANALYZE links, posts;
"""

# $1 first number, $2 last, $3 of how many clicks, $4 visitors in a block. What a link says is computed, not joined.
_CLICKS = f"""
INSERT INTO clicks (
    program_id, clicked_at, click_id, link_id, influencer_id, campaign_id, post_id, channel, is_bot, agent_class,
    visitor_id, ip, referrer_host, country, device
)
SELECT 1, at,
       (lpad(to_hex((extract(epoch FROM at) * 1000000)::bigint), 16, '0') || lpad(to_hex(n), 16, '0'))::uuid,
       1 + link, 1 + link % {INFLUENCERS}, 1 + link % {CAMPAIGNS}, 1 + link % {POSTS},
       (ARRAY['instagram', 'tiktok', 'youtube', 'blog'])[1 + link % 4], n % 20 = 0,
       CASE WHEN n % 20 = 0 THEN 'social-preview' ELSE 'browser' END,
       CASE WHEN n % 10 < 8 THEN 'v' || (n * {_BLOCKS} / $3::bigint) || '-' || floor(random() * $4::int)::int END,
       '203.0.113.0', 'l.instagram.com',
       (ARRAY['DE', 'AT', 'CH', 'FR', 'GB', 'US', 'NL', 'ES', NULL])[1 + floor(random() ^ 2 * 9)::int],
       (ARRAY['mobile', 'mobile', 'mobile', 'desktop', 'tablet', 'other'])[1 + floor(random() * 6)::int]
FROM (
    SELECT n, timestamptz '{YEAR}-01-01Z' + n * (interval '365 days' / $3::bigint) AS at,
           floor(random() ^ 2 * {LINKS})::int AS link
    FROM generate_series($1::bigint, $2::bigint) n
    OFFSET 0
) t
"""

# $1 how many orders, $2 of how many clicks; each follows some click within ten days, by its visitor, and half of
# them carry its id.
_ORDERS = f"""
WITH taps AS (
    SELECT n, c.*, random() AS r
    FROM generate_series(1, $1::int) n
    CROSS JOIN LATERAL (
        SELECT clicked_at, click_id, link_id, visitor_id
        FROM clicks
        WHERE program_id = 1 AND visitor_id IS NOT NULL AND NOT is_bot
          AND clicked_at >= timestamptz '{YEAR}-01-01Z' + n * (interval '355 days' / $1::int)
        ORDER BY clicked_at
        LIMIT 1
    ) c
)
INSERT INTO conversions (
    program_id, source, type, external_id, updated_at, content_hash, status, occurred_at, currency, gross_minor,
    discount_minor, visitor_id, customer_id, new_customer, click_state, click_id, click_link_id, discount_codes
)
SELECT 1, 'shop', 'purchase', n::text, at, '', CASE WHEN n % 50 = 0 THEN 'cancelled' ELSE 'confirmed' END, at, 'EUR',
       1000 + n % 9000, n % 500, visitor_id, 'c' || n % greatest(1, $1::int * 2 / 3), NULL,
       CASE WHEN n % 2 = 0 THEN 'valid' END, CASE WHEN n % 2 = 0 THEN click_id END,
       CASE WHEN n % 2 = 0 THEN link_id END, '{{}}'
FROM (SELECT *, clicked_at + r * interval '10 days' AS at FROM taps) t
"""
# Each post tells its totals six times, a second influencer has a fee each month, and the first posts had an ad.
_FACTS = f"""
INSERT INTO insights (
    program_id, post_id, at, impressions, reach, views, likes, comments, shares, saves, link_taps, followers
)
SELECT 1, post_id, published_at + days * interval '1 day', 90 * days * scale, 60 * days * scale, 70 * days * scale,
       5 * days * scale, days * scale, days, days, 2 * days * scale, days
FROM (SELECT post_id, published_at, 1 + post_id % 20 AS scale FROM posts WHERE program_id = 1) p
CROSS JOIN unnest('{{1,2,7,30,90,180}}'::int[]) AS days;
INSERT INTO costs (program_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id, status)
SELECT 1, 'fee', 10000 + n, 'EUR', start, (start + interval '1 month')::date, n, 1 + (n - 1) % {CAMPAIGNS}, 'active'
FROM generate_series(1, {INFLUENCERS}, 2) n
CROSS JOIN LATERAL (SELECT date '{YEAR}-01-01' + n % 12 * interval '1 month') m (month)
CROSS JOIN LATERAL (SELECT m.month::date AS start) d;
INSERT INTO costs (program_id, kind, amount_minor, currency, first_day, end_day, post_id, status)
SELECT 1, 'ad', 5000, 'EUR', published_at::date, published_at::date + 1, post_id, 'active'
FROM posts WHERE program_id = 1 AND post_id <= 2000;
ANALYZE insights, costs;
"""
_QUEUE = "INSERT INTO credit_queue (program_id, conversion_id) SELECT program_id, conversion_id FROM conversions"


@asynccontextmanager
async def history(scenario: Path, clicks: int, **environment: str) -> AsyncIterator[Backend]:
    """The year, beside the scenario's own directory: made by the first that asks, and found there by all others."""
    directory = scenario.parent / f"history-{clicks}"
    made = directory / "made"
    async with backend(directory, **environment) as servers:
        if not made.exists():
            await _make(servers, clicks)
            made.touch()
        try:
            yield servers
        finally:
            shutil.rmtree(directory / "data", ignore_errors=True)
    shutil.rmtree(directory / "valkey")


async def _make(servers: Backend, clicks: int) -> None:
    await make_clicks(servers, clicks)
    await make_orders(servers, ORDERS)
    await servers.execute(_FACTS)
    await _credit(servers)
    await _roll_up(servers)


async def _credit(servers: Backend) -> None:
    await queue_orders(servers)
    with consumer(servers, core=None):
        while await servers.value("SELECT EXISTS (SELECT FROM credit_queue)"):
            await asyncio.sleep(0.5)
    await servers.execute("VACUUM ANALYZE credit_entries, attributions")


async def _roll_up(servers: Backend) -> None:
    """All that is made, by the service's own rebuilding."""
    database = Database(Settings(database_url=servers.database_url), timeout_s=_MAKING_TIMEOUT_S)
    try:
        await Rollups(database).rebuild(ProgramId(1))
        while await VisitorSketches(database).step(datetime.now(UTC) + timedelta(days=1), _QUARTERS):
            pass
    finally:
        await database.close()
    await servers.execute("VACUUM ANALYZE")


async def make_clicks(servers: Backend, clicks: int) -> None:
    database = Database(Settings(database_url=servers.database_url), timeout_s=600)
    try:
        await ClickTable(database).ensure_partitions([(YEAR, month) for month in range(1, 13)])
    finally:
        await database.close()
    await servers.execute(_PROGRAM)
    visitors = int(clicks * VISITORS_PER_CLICK / _BLOCKS)
    for first in range(0, clicks, CHUNK):
        last = min(first + CHUNK, clicks) - 1
        await servers.execute(_CLICKS, first, last, clicks, visitors)
    await servers.execute("VACUUM ANALYZE clicks")


async def make_orders(servers: Backend, orders: int) -> None:
    await servers.execute(_ORDERS, orders)
    await servers.execute("VACUUM ANALYZE conversions")


async def queue_orders(servers: Backend) -> None:
    """All wait for their credit."""
    await servers.execute(_QUEUE)


def instant(month: int, day: int = 1) -> datetime:
    return datetime(YEAR, month, day, tzinfo=UTC)
