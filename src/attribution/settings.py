"""Every setting of the service, with its unit and default, in one frozen object.

The environment is the only source: DATABASE_URL, REDIS_URL, HOST, PORT, DATA_DIR, WORKERS, and ATTRIBUTION_*
for all others. An unknown ATTRIBUTION_* name or a bad value stops the start.
"""

import os
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError

_PREFIX = "ATTRIBUTION_"
_SCHEMES = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss", "unix"),
    "public_url": ("http", "https"),
}
_PLAIN_NAMES = {"database_url", "redis_url", "host", "port", "data_dir", "workers"}


class JournalSync(StrEnum):
    """When the journal is fsynced: never, every `journal_sync_interval_ms`, or before each group's 302s."""

    NONE = "none"
    INTERVAL = "interval"
    GROUP = "group"


class IpStorage(StrEnum):
    """How a visitor's address is kept: /24 and /48 prefix, keyed hash, or not at all."""

    TRUNCATED = "truncated"
    HASHED = "hashed"
    NONE = "none"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _plain(name: str) -> Any:
    return Field(validation_alias=AliasChoices(name.upper(), name))


Positive = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    database_url: Annotated[str | None, _plain("database_url")] = None
    """postgresql:// URL of Postgres 15 or newer. Absent: `up` starts its own."""
    redis_url: Annotated[str | None, _plain("redis_url")] = None
    """redis:// or unix:// URL of Redis 6.2 or newer, or Valkey. Absent: `up` starts its own."""
    host: Annotated[str, _plain("host")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535), _plain("port")] = 8000
    """TCP port of the redirect and the API."""
    data_dir: Annotated[Path, AfterValidator(Path.absolute), _plain("data_dir")] = Path(".data")
    """Keys, journals and, under `up`, the embedded servers' files. Each machine its own, on a disk that stays."""
    workers: Annotated[Positive, _plain("workers")] = 1
    """Server processes."""

    readers: Annotated[int, Field(ge=0, le=1)] = 1
    """1: a process of its own, which gives way to the others, answers /v1/stats and /v1/reports; 0: workers do."""

    admin_key: str | None = Field(default=None, min_length=16)
    """Bearer key over all programmes. Absent: made at first start into DATA_DIR/admin.key."""
    click_id_keys: str | None = None
    """Signing keys of click ids, `1:HEX,2:HEX`; the highest id signs, all verify.
    Absent: made at first start into DATA_DIR/click_id.keys. The same on all machines."""
    public_url: str | None = None
    """Base of short links as followers see it, `https://go.brand.com`. Absent: http://HOST:PORT."""
    trusted_proxies: int = Field(default=0, ge=0, le=16)
    """How many proxies of yours stand in front: hops of X-Forwarded-For that are believed."""
    ip_storage: IpStorage = IpStorage.TRUNCATED
    geoip_file: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    """A file in MaxMind's format that tells the countries of addresses. Absent: clicks have none."""
    log_level: LogLevel = LogLevel.INFO

    link_cache_size: Positive = 200_000
    """Links a worker keeps in memory."""
    unknown_slug_cache_size: Positive = 50_000
    """Slugs without a link that a worker remembers."""
    link_cache_ttl_s: float = Field(default=300.0, gt=0)
    """Age at which a cached link is looked up again, used or not. Edits arrive at once by pub/sub."""
    link_reads_per_s: Positive = 10_000
    """Slugs a worker asks Postgres for in a second. Beyond, taps on what Redis does not know either get 503."""
    link_lookup_timeout_ms: Positive = 2_000
    """How long a cold link may take to be found before the answer is 503."""

    journal_sync: JournalSync = JournalSync.INTERVAL
    journal_sync_interval_ms: Positive = 1_000
    journal_segment_bytes: int = Field(default=64 * 1024 * 1024, ge=64 * 1024)
    journal_memory_bytes: Positive = 16 * 1024 * 1024
    """Clicks a worker holds in memory while its journal can't be written (disk full), before it counts losses."""
    ship_batch_clicks: Annotated[int, Field(gt=0, le=10_000)] = 500
    ship_interval_ms: Positive = 100
    """What came in such a time leaves for the stream together, in entries of at most `ship_batch_clicks`."""
    stream_partitions: Annotated[int, Field(gt=0, le=1024)] = 1
    """The same on all machines."""
    stream_budget_bytes: Positive = 256 * 1024 * 1024
    """Memory of Redis that the unconsumed clicks of a partition may take; beyond, clicks wait in the journals."""

    consume_batch_entries: Positive = 20
    """Stream entries a consumer writes to Postgres in one transaction."""
    consume_claim_idle_ms: Positive = 5_000
    """How long a consumer watches an entry that another one took and does not finish, before it takes it over."""
    dead_letter_share: float = Field(default=0.5, gt=0, le=1)
    """Above this share of undecodable clicks a consumer stops, rather than drain its stream into dead letters."""
    credit_batch_conversions: Positive = 4_000
    credit_poll_ms: Positive = 100
    partitions_ahead_months: Positive = 3
    database_pool_size: Positive = 8
    reader_connections: Positive = 4
    """Of the reader's own pool: so many questions are answered at once."""
    reader_timeout_s: float = Field(default=120.0, gt=0)
    """Longest time of one statement of a question: by dimensions without sums it reads all clicks of its period."""
    database_timeout_s: float = Field(default=10.0, gt=0)
    """Longest time of one statement of the rest of the API, and of the wait for a connection."""
    live_followers: Annotated[int, Field(ge=0)] = 100
    """How many may follow live stats on a worker; beyond, 503."""
    shutdown_timeout_s: float = Field(default=15.0, gt=0)
    """How long a role may drain after SIGTERM before it is ended."""
    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port for the consumer's own /metrics in production; 0: none (under `up` the server's page shows it)."""

    @field_validator("database_url", "redis_url", "public_url")
    @classmethod
    def _url_is_of_its_kind(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            schemes = _SCHEMES[info.field_name or ""]
            parts = urlsplit(url)
            if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/") or parts.query):
                raise ValueError(
                    f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
                )
        return url

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, host: str) -> str:
        if host != "localhost":
            ip_address(host)
        return host

    @cached_property
    def base_url(self) -> str:
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else self.host  # noqa: S104
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


def load_settings(**overrides: Any) -> Settings:
    """From the environment; `overrides` are the command line's. Raises `SettingsError`, one line a fault."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields.keys() - _PLAIN_NAMES}
    faults = [
        f"{name}: unknown setting" for name in sorted(os.environ) if name.startswith(_PREFIX) and name not in known
    ]
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = str(fault["loc"][0]).upper() if fault["loc"] else "settings"
            prefix = "" if name.lower() in _PLAIN_NAMES or name.startswith(_PREFIX) else _PREFIX
            faults.append(f"{prefix}{name}: {fault['msg']}")
        raise SettingsError("\n".join(faults)) from error
    if faults:
        raise SettingsError("\n".join(faults))
    return settings
