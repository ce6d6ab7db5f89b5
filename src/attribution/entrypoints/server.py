"""A server process: both lanes, its journals and their shippers. Built top to bottom, torn down bottom to top."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import uvicorn

from attribution import metrics
from attribution.adapters.click_stream import StreamCensus
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.credit_table import CreditTable
from attribution.adapters.imported_clicks import ImportedClicks
from attribution.adapters.ledger_table import LedgerTable
from attribution.adapters.link_store import LinkStore
from attribution.adapters.postgres import Database
from attribution.adapters.redis import open_redis
from attribution.adapters.refund_events import RefundTable
from attribution.adapters.stats_table import StatsTable
from attribution.api.app import build_api
from attribution.api.services import Services
from attribution.api.stats import as_json
from attribution.conversions.attributor import judge_and_value
from attribution.conversions.reader import ConversionReader
from attribution.domain.click_id import ClickTokens
from attribution.redirect.address import AddressKeeper
from attribution.redirect.agents import AgentClassifier
from attribution.redirect.answerer import Answerer
from attribution.redirect.countries import Countries, no_country
from attribution.redirect.head import KnownHeads
from attribution.redirect.importer import ClickImporter
from attribution.redirect.lane import RedirectLane
from attribution.redirect.link_cache import LinkCache, LinkCachePolicy
from attribution.redirect.tap import TapReader
from attribution.redirect.visitor import RandomPool
from attribution.settings import Settings
from attribution.stats.ledger import Ledger
from attribution.stats.live import LivePolicy, LiveStats
from attribution.stats.query import Stats

from .application import Application
from .background import background
from .http_protocol import http_protocol
from .journals import FINAL_SHIPMENT_S, Journals
from .readiness import ReadinessCheck
from .secrets import load_admin_key, load_click_id_keys


class _Server(uvicorn.Server):
    """Signals are the entry point's: uvicorn would raise them again after its own shutdown, and end our drain."""

    def __init__(self, config: uvicorn.Config, live: LiveStats) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams have no end of their own, for which a drain could wait."""
        self._live.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_server(settings: Settings, sock: socket.socket) -> None:
    """Serves on `sock` until SIGTERM or SIGINT, then drains in bounded time."""
    async with AsyncExitStack() as stack:
        application, live = await _application(settings, stack)
        server = _Server(_config(settings, application), live)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        await server.serve(sockets=[sock])


def _config(settings: Settings, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=http_protocol(application),
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # Its warnings are about what clients send, and a client must not fill the log.
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s - FINAL_SHIPMENT_S) or 1,
    )


async def _application(settings: Settings, stack: AsyncExitStack) -> tuple[Application, LiveStats]:
    keys = load_click_id_keys(settings)
    tokens = ClickTokens(keys)
    database = Database(settings)
    stack.push_async_callback(database.close)
    redis = open_redis(settings)
    stack.push_async_callback(redis.aclose)
    feed = open_redis(settings)
    stack.push_async_callback(feed.aclose)

    journals = Journals(settings, database)
    recorder = await stack.enter_async_context(journals.clicks())
    inbox = await stack.enter_async_context(journals.orders(ConversionIntake(database, tokens)))

    links = LinkStore(database, redis, feed, fresh_s=settings.link_cache_ttl_s, reads_per_s=settings.link_reads_per_s)
    cache = LinkCache(links, _link_cache_policy(settings))
    await stack.enter_async_context(background(cache.follow_edits(), "follow edits of links"))
    await stack.enter_async_context(background(_warm_up(cache), "warm up links"))

    agents = AgentClassifier()
    country = stack.enter_context(Countries(settings.geoip_file)).country if settings.geoip_file else no_country
    addresses = AddressKeeper(settings.ip_storage, keys[max(keys)], country)
    randomness = RandomPool(os.urandom)
    answerer = Answerer(tokens, addresses, randomness, trusted_proxies=settings.trusted_proxies)
    taps = TapReader(agents)
    importer = ClickImporter(ImportedClicks(database), recorder, tokens, agents, addresses, randomness)
    stats = Stats(StatsTable(database), judge_and_value)
    live = LiveStats(stats, as_json, LivePolicy(settings.live_followers))
    services = Services(
        settings=settings,
        database=database,
        admin_key=load_admin_key(settings),
        links=links,
        orders=inbox,
        refunds=RefundTable(database),
        clicks=importer,
        credits=ConversionReader(CreditTable(database), tokens),
        stats=stats,
        live=live,
        ledger=Ledger(LedgerTable(database), StreamCensus(redis, settings.stream_partitions)),
        readiness=ReadinessCheck(database, links, recorder),
        metrics=metrics.exposition,
    )
    lane = RedirectLane(taps, cache, answerer, recorder)
    return Application(lane, build_api(services), KnownHeads(taps)), live


async def _warm_up(cache: LinkCache) -> None:
    await cache.warm_up()
    # What lives as long as the process need not be looked through at each full collection, taps waiting.
    gc.freeze()


def _link_cache_policy(settings: Settings) -> LinkCachePolicy:
    return LinkCachePolicy(
        links=settings.link_cache_size,
        unknown_slugs=settings.unknown_slug_cache_size,
        ttl_s=settings.link_cache_ttl_s,
        lookup_timeout_s=settings.link_lookup_timeout_ms / 1000,
    )
