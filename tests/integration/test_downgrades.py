"""Every revision can be taken back, over data of each kind, and made again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from tests.integration.test_credit_convergence import until_idle
from tests.integration.test_migrations import ALL, PROGRAM, fill, rows
from tests.support.batches import batch_of
from tests.support.recomputing import Asked, ask, recompute
from tests.support.worlds import HOUR, TOKENS, random_world, stored_click

from attribution.adapters.audit_table import AuditTable
from attribution.adapters.click_table import ClickTable
from attribution.adapters.conversion_intake import ConversionIntake
from attribution.adapters.postgres import Database
from attribution.adapters.rollups import Rollups
from attribution.adapters.visitor_sketches import VisitorSketches
from attribution.conversions.audit import AuditPeriod, audit_credits
from attribution.entrypoints.migrate import configured, migrate
from attribution.settings import Settings

# What no part of the pipeline below fills.
_MORE = """
INSERT INTO api_keys (key_hash, program_id) VALUES ('\\x01', 1);
INSERT INTO imported_clicks (program_id, external_id, click_id, link_id)
SELECT program_id, 'a', click_id, link_id FROM clicks WHERE program_id = 1 LIMIT 1;
INSERT INTO click_watermarks (partition, complete_before) VALUES (0, now());
INSERT INTO click_journals (journal_id, worker, partition, unshipped_bytes, uncommitted_bytes, ended, reported_at)
VALUES ('00000000-0000-0000-0000-000000000001', 'a', 0, 0, 0, true, now());
INSERT INTO journal_progress (journal_id, segment, committed)
VALUES ('00000000-0000-0000-0000-000000000001', 0, '{[0,9)}');
INSERT INTO journal_tallies (quarter, journal_id, tally_id, accepted, journalled, lost)
SELECT '2026-03-20', journal_id, journal_id, 1, 1, 0 FROM click_journals;
INSERT INTO journal_arrivals (quarter, journal_id, stored, dead_lettered)
SELECT '2026-03-20', journal_id, 0, 1 FROM click_journals;
INSERT INTO dead_letters (reason, detail, data, journal_id, segment, position, quarter)
SELECT 'a', 'b', '\\x00', journal_id, 0, 0, '2026-03-20' FROM click_journals;
INSERT INTO awaited_clicks (program_id, click_id, conversion_id)
SELECT program_id, '00000000-0000-0000-0000-000000000001', conversion_id
FROM conversions WHERE program_id = 1 LIMIT 1;
INSERT INTO awaited_codes (program_id, code_key, conversion_id)
SELECT program_id, 'a', conversion_id FROM conversions WHERE program_id = 1 LIMIT 1;
UPDATE campaigns SET goal = 'sales', targets = '{"orders": "5"}' WHERE program_id = 1;
INSERT INTO costs (program_id, kind, amount_minor, currency, first_day, end_day, post_id, status)
VALUES (1, 'fee', 100, 'EUR', '2026-03-20', '2026-03-21', 1, 'active');
INSERT INTO insights (program_id, post_id, at, likes) VALUES (1, 1, now(), 9);
INSERT INTO credit_queue (program_id, conversion_id) SELECT program_id, conversion_id FROM conversions
"""
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND relname <> 'alembic_version'
"""
# All that tells one schema from another but the order of columns, without partitions, which the service makes.
_SCHEMA = """
WITH tables AS (
    SELECT oid, relname, relkind, reloptions
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND NOT relispartition
      AND relname <> 'alembic_version'
)
SELECT 'table', relname, relkind::text, reloptions::text FROM tables
UNION ALL
SELECT 'column', relname, attname,
       concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid))
FROM tables t
JOIN pg_attribute ON attrelid = t.oid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relkind <> 'S' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'index', relname, NULL, pg_get_indexdef(indexrelid) FROM tables t JOIN pg_index ON indrelid = t.oid
UNION ALL
SELECT 'constraint', relname, conname, pg_get_constraintdef(c.oid)
FROM tables t JOIN pg_constraint c ON conrelid = t.oid
UNION ALL
SELECT 'trigger', relname, tgname, pg_get_triggerdef(g.oid)
FROM tables t JOIN pg_trigger g ON tgrelid = t.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'view', relname, NULL, pg_get_viewdef(oid) FROM tables WHERE relkind = 'v'
UNION ALL
SELECT 'function', proname, NULL, pg_get_functiondef(p.oid)
FROM pg_proc p
WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype IN ('e', 'i'))
UNION ALL
SELECT 'type', typname, NULL, typtype::text
FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('r', 'e', 'd')
UNION ALL
SELECT 'comment', relname, attname, description
FROM tables t
JOIN pg_description ON objoid = t.oid AND classoid = 'pg_class'::regclass
LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0
"""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """With connections that remember nothing of another schema."""
    database = Database(settings, size=8)
    yield database
    await database.close()


async def filled(database: Database) -> None:
    await fill(database, 2)
    for program in await Rollups(database).outdated():
        await Rollups(database).rebuild(program)
    while await VisitorSketches(database).step(datetime(2027, 1, 1, tzinfo=UTC)):
        pass
    late = random_world(3)
    await ClickTable(database).store(
        batch_of([stored_click(PROGRAM, c, late.world) for c in late.world.clicks]), [], []
    )
    await ConversionIntake(database, TOKENS).accept(PROGRAM, late.messages)
    await until_idle(database)
    await Rollups(database).roll_up(1)
    await ask(database, PROGRAM, Asked(model="first_touch", windows={"default": 999 * HOUR}))
    await recompute(database)
    async with database.connection() as connection:
        await connection.execute("UPDATE posts SET url = 'https://example.com/p', published_at = now()")
        await connection.execute(_MORE)


async def counts(database: Database) -> dict[str, int]:
    found = {}
    for (name,) in await rows(database, _TABLES):
        [(found[name],)] = await rows(database, f"SELECT count(*) FROM {name}")  # noqa: S608
    return found


async def schema(database: Database) -> list[tuple[Any, ...]]:
    return await rows(database, _SCHEMA)


async def test_every_revision_is_taken_back_and_made_again(database_url: str, tmp_path: Path) -> None:
    """The schema is the same whichever way one came to it, and what the first revision has is kept."""
    settings = Settings(database_url=database_url, data_dir=tmp_path)
    config = configured(settings)
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    async with opened(settings) as database:
        await filled(database)
        before = await counts(database)
        assert {name for name, number in before.items() if not number} == set()
        schemas = {revisions[0]: await schema(database)}
        for revision in revisions[1:]:
            await asyncio.to_thread(command.downgrade, config, revision)
            schemas[revision] = await schema(database)
        kept = await counts(database)
        assert kept == {name: before[name] for name in kept}
    await asyncio.to_thread(migrate, settings)
    async with opened(settings) as database:
        after = await counts(database)
        assert after["credit_queue"] >= kept.pop("credit_queue"), "some revisions have conversions judged again"
        assert {name: after[name] for name in kept} == kept
        await assert_all_adds_up(database)
        await asyncio.to_thread(command.downgrade, config, "base")
        assert await schema(database) == []
        for revision in reversed(revisions):
            await asyncio.to_thread(command.upgrade, config, revision)
            made, taken_back = set(await schema(database)), set(schemas[revision])
            assert (revision, made - taken_back, taken_back - made) == (revision, set(), set())


async def assert_all_adds_up(database: Database) -> None:
    """Once all is judged and summed again."""
    await until_idle(database)
    rollups = Rollups(database)
    for program in await rollups.outdated():
        await rollups.rebuild(program)
    assert await rollups.mismatches(PROGRAM, ALL) == []
    assert await rollups.credit_mismatches(PROGRAM, ALL) == []
    assert await rollups.insight_mismatches(PROGRAM, ALL) == []
    assert await rollups.customer_mismatches(PROGRAM, ALL) == []
    assert await rollups.cost_mismatches(PROGRAM, ALL) == []
    audit = await audit_credits(AuditTable(database), PROGRAM, AuditPeriod())
    assert (audit["waiting"], audit["problems"]) == (0, {})
