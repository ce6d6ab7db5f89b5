"""Command `import`: a CSV of any size into the database."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from attribution.adapters.link_store import LinkStore
from attribution.adapters.postgres import Database
from attribution.adapters.programs import Programs
from attribution.adapters.redis import open_redis
from attribution.api.csv_table import CSV_TEXT, CsvTable
from attribution.api.importing import RefusedRow, import_csv
from attribution.api.imports import Imports, Publish
from attribution.domain.imports import ImportKind
from attribution.errors import AttributionError
from attribution.settings import Settings


async def import_file(settings: Settings, kind: str, file: str, program_key: str, at: str | None) -> None:
    """Prints a JSON line for each row refused, then the counts. Raises `AttributionError` if any was refused."""
    async with AsyncExitStack() as stack:
        settings = _with_servers(settings)
        database = Database(settings)
        stack.push_async_callback(database.close)
        known = await Programs(database).by_key(program_key)
        if known is None:
            raise AttributionError(f"there is no programme {program_key!r}")
        imports = Imports(database, settings.base_url, _publisher(settings, database, stack))
        importer = imports.importer(ImportKind(kind), known.program, at)
        refused = _Refused()
        counts = await import_csv(CsvTable(stack.enter_context(_opened(file))), importer, refused)
    _print(counts.model_dump_json())
    if refused.count:
        raise AttributionError(f"{refused.count} rows were refused")


class _Refused:
    """Prints as it goes: a file of any size may be wrong in every row."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, row: RefusedRow) -> None:
        self.count += 1
        _print(row.model_dump_json())


def _with_servers(settings: Settings) -> Settings:
    """Without URLs, those of the servers that `up` runs in this DATA_DIR, if it does."""
    from attribution.embedded.postgres import EmbeddedPostgres  # noqa: PLC0415
    from attribution.embedded.valkey import EmbeddedValkey  # noqa: PLC0415

    urls = {}
    postgres, valkey = settings.data_dir / "postgres", settings.data_dir / "valkey"
    if settings.database_url is None and postgres.exists():
        urls["database_url"] = EmbeddedPostgres(postgres).url
    if settings.redis_url is None and valkey.exists():
        urls["redis_url"] = EmbeddedValkey(valkey).url
    return settings.model_copy(update=urls)


def _publisher(settings: Settings, database: Database, stack: AsyncExitStack) -> Publish:
    """Tells the workers of new links; without Redis they find them at the first tap."""
    if settings.redis_url is None:
        return _nobody
    redis = open_redis(settings)
    stack.push_async_callback(redis.aclose)
    links = LinkStore(
        database, redis, redis, fresh_s=settings.link_cache_ttl_s, reads_per_s=settings.link_reads_per_s
    )
    return links.publish


async def _nobody(_program_id: int, _slugs: Sequence[str]) -> None:
    pass


def _opened(file: str) -> TextIO:
    try:
        return Path("/dev/stdin" if file == "-" else file).open(**CSV_TEXT)
    except OSError as error:
        raise AttributionError(f"{file}: {error.strerror}") from error


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
