"""The reader: a process that answers questions of statistics only, so that a tap never waits for one.

Workers hand it their requests of /v1/stats and /v1/reports. It gives way to all other processes, and holds few
connections to Postgres, each of which may keep one of its cores busy.
"""

import gc
import os
import socket

from attribution.adapters.postgres import Database
from attribution.adapters.stats_table import StatsTable
from attribution.api.app import build_questions
from attribution.api.services import Questions
from attribution.api.stats import as_json
from attribution.conversions.attributor import judge_and_value
from attribution.settings import Settings
from attribution.stats.live import LivePolicy, LiveStats
from attribution.stats.query import Stats

from .connected import WhileConnected
from .drained_server import DrainedServer, server_config
from .secrets import load_admin_key

_NICENESS = 10


async def run_reader(settings: Settings, sock: socket.socket) -> None:
    """Until SIGTERM or SIGINT."""
    os.nice(_NICENESS)
    # Answers are many objects without cycles.
    gc.set_threshold(200_000, 20, 20)
    database = Database(
        settings, size=settings.reader_connections, timeout_s=settings.reader_timeout_s, transactional=True
    )
    try:
        stats = Stats(StatsTable(database), judge_and_value)
        live = LiveStats(stats, as_json, LivePolicy(settings.live_followers))
        api = build_questions(Questions(database, load_admin_key(settings), stats, live))
        application = WhileConnected(api)
        await DrainedServer(server_config(settings, application, "httptools"), live).run_until_signal(sock)
    finally:
        await database.close()
