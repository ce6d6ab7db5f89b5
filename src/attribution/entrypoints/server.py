"""A server process: both lanes, its journals and their shippers. Built top to bottom, torn down bottom to top."""

import gc
import os
import socket
from contextlib import AsyncExitStack
from typing import Final

import structlog

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
from attribution.redirect import lane
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
from .drained_server import DrainedServer, server_config
from .forwarding import Forwarder
from .http_protocol import http_protocol
from .journals import Journals
from .readiness import ReadinessCheck
from .secrets import load_admin_key, load_click_id_keys

_log = structlog.get_logger(__name__)
TAP_MODULE: Final = lane.__file__


async def run_server(settings: Settings, sock: socket.socket, reader_port: int | None) -> None:
    """Serves on `sock` until SIGTERM or SIGINT, then drains in bounded time. `reader_port`: who answers questions."""
    tell_if_not_compiled()
    async with AsyncExitStack() as stack:
        application, live = await _application(settings, stack, reader_port)
        config = server_config(settings, application, http_protocol(application))
        await DrainedServer(config, live).run_until_signal(sock)


def tell_if_not_compiled() -> None:
    """Without a compiler or Python's headers taps run as Python: right, but slower."""
    if TAP_MODULE.endswith(".py"):
        _log.warning("taps_not_compiled", module=TAP_MODULE)


async def _application(
    settings: Settings, stack: AsyncExitStack, reader_port: int | None
) -> tuple[Application, LiveStats]:
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
    questions = None if reader_port is None else Forwarder(reader_port)
    return Application(lane, build_api(services), KnownHeads(taps), questions), live


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
