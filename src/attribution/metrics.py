"""Every metric of the service, by name, unit and label; labels are closed sets.

Under several processes prometheus_client sums over the files in PROMETHEUS_MULTIPROC_DIR, which the supervisor sets.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REDIRECTS = Counter("attribution_redirects_total", "Answers of the redirect", ["outcome"])
LINK_LOOKUPS = Counter("attribution_link_lookups_total", "Links that were not in memory", ["result"])
CLICKS_JOURNALLED = Counter("attribution_clicks_journalled_total", "Clicks written to a journal")
CLICKS_LOST = Counter("attribution_clicks_lost_total", "Clicks that could not be kept", ["reason"])
CLICKS_IMPORTED = Counter("attribution_clicks_imported_total", "Clicks taken in from elsewhere, repeats included")
JOURNAL_COMMITS = Counter("attribution_journal_commits_total", "Writes to a journal, one for many clicks")
JOURNAL_WRITE_ERRORS = Counter("attribution_journal_write_errors_total", "Writes and syncs that the disk refused")
JOURNAL_BYTES = Gauge(
    "attribution_journal_bytes",
    "Size of a journal of clicks on disk",
    ["journal"],
    multiprocess_mode="livemostrecent",
)
CLICKS_SHIPPED = Counter("attribution_clicks_shipped_total", "Clicks sent to the stream, repeats included")
SHIP_ERRORS = Counter("attribution_ship_errors_total", "Times that the stream server was away from a shipper")
SHIP_REWINDS = Counter(
    "attribution_ship_rewinds_total", "Times that a shipper began again, as the stream server restarted"
)
CLICKS_STORED = Counter("attribution_clicks_stored_total", "New rows in clicks")
CLICKS_DUPLICATE = Counter("attribution_clicks_duplicate_total", "Clicks that were in the table already")
CLICKS_DEAD_LETTERED = Counter("attribution_clicks_dead_lettered_total", "Clicks set aside", ["reason"])
CONSUME_SECONDS = Histogram(
    "attribution_consume_seconds", "Time of one batch from stream to row", buckets=_LATENCIES_S
)
COMPLETE_BEFORE = Gauge(
    "attribution_clicks_complete_before_seconds",
    "All clicks accepted before this Unix time are in the table",
    ["partition"],
    multiprocess_mode="max",
)
CONVERSIONS_ACCEPTED = Counter("attribution_conversions_accepted_total", "Messages of order systems", ["result"])
CONVERSIONS_JOURNALLED = Counter(
    "attribution_conversions_journalled_total", "Messages kept in a journal while the database was away"
)
CONVERSIONS_CORRUPT = Counter("attribution_conversions_corrupt_total", "Damaged places in journals of orders")
DELTAS_ROLLED_UP = Counter("attribution_deltas_rolled_up_total", "Counts moved from deltas into rollups")
CONVERSIONS_CREDITED = Counter("attribution_conversions_credited_total", "Conversions judged, repeats included")
CREDIT_SECONDS = Histogram("attribution_credit_seconds", "Time of one batch of the attributor", buckets=_LATENCIES_S)


def exposition() -> bytes:
    """Prometheus text format of all processes that share PROMETHEUS_MULTIPROC_DIR, or of this one."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
