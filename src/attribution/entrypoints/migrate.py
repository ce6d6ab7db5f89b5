"""Role `migrate`: brings the schema to the newest revision. Servers never do this themselves."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from attribution.adapters.postgres import connect
from attribution.settings import Settings

_LOCK_TIMEOUT_S = 5
_PACKAGE = Path(__file__).parents[1]


def migrate(settings: Settings) -> None:
    """Raises `DatabaseUnavailableError`, or the driver's error of the statement that failed."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    config.attributes["connect"] = lambda: connect(settings)
    config.attributes["lock_timeout_s"] = _LOCK_TIMEOUT_S
    command.upgrade(config, "head")


def _scripts() -> Path:
    """In an installed wheel the revisions lie inside the package, in a checkout beside `src`."""
    packaged = _PACKAGE / "_migrations"
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / "migrations"
