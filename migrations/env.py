"""Runs the revisions over asyncpg; the URL and the lock timeout come from `attribution migrate`."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


def _migrate(connection: Connection) -> None:
    # A migration that waits for a lock makes everyone behind it wait: better to fail and be run again.
    connection.execute(text(f"SET lock_timeout = '{context.config.attributes['lock_timeout_s']}s'"))
    # One migration at a time, however many machines start at once.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('attribution.migrate'))"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=context.config.attributes["connect"]
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
