"""Role `migrate`: brings the schema to the newest revision. Servers never do this themselves."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from attribution.adapters.postgres import connect
from attribution.settings import Settings

_LOCK_TIMEOUT_S = 5
_REVISIONS = Path(__file__).parents[3] / "migrations"


def migrate(settings: Settings) -> None:
    """Raises `DatabaseUnavailableError`, or the driver's error of the statement that failed."""
    command.upgrade(configured(settings), "head")


def configured(settings: Settings) -> Config:
    """For Alembic's commands."""
    config = Config()
    config.set_main_option("script_location", str(_REVISIONS))
    config.attributes["connect"] = lambda: connect(settings)
    config.attributes["lock_timeout_s"] = _LOCK_TIMEOUT_S
    return config
