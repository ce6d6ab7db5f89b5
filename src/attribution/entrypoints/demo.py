"""A programme to try the service with: three influencers, a campaign, links on four channels, a code."""

from attribution.adapters.postgres import connect, translated_errors
from attribution.adapters.statements import statements
from attribution.settings import Settings

_SQL = statements("demo")


async def seed_demo(settings: Settings) -> str | None:
    """Makes the programme `demo` unless it is there. Returns the URL of its first link, if it has one."""
    connection = await connect(settings)
    try:
        with translated_errors():
            await connection.execute(_SQL["seed"])
            slug = await connection.fetchval(_SQL["slug"])
    finally:
        await connection.close()
    return f"{settings.base_url}/{slug}" if slug else None
