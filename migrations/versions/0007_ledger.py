"""The ledger: what journals took, and what of it arrived, by quarter hour of the click."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LEDGER = """
CREATE TABLE click_journals (
    journal_id        uuid PRIMARY KEY,
    worker            text NOT NULL,
    partition         integer NOT NULL,
    unshipped_bytes   bigint NOT NULL,
    uncommitted_bytes bigint NOT NULL,
    ended             boolean NOT NULL,
    reported_at       timestamptz NOT NULL,
    retired_at        timestamptz
);
COMMENT ON COLUMN click_journals.worker IS 'host and directory';
COMMENT ON COLUMN click_journals.ended IS 'no living process counts for it';
COMMENT ON COLUMN click_journals.retired_at IS 'when an operator said that its disk is gone for good';

CREATE TABLE journal_tallies (
    quarter    timestamptz NOT NULL,
    journal_id uuid NOT NULL,
    tally_id   uuid NOT NULL,
    accepted   bigint NOT NULL,
    journalled bigint NOT NULL,
    lost       bigint NOT NULL,
    PRIMARY KEY (quarter, journal_id, tally_id)
);
COMMENT ON TABLE journal_tallies IS 'what the processes that wrote a journal counted, one tally each; totals so far';
COMMENT ON COLUMN journal_tallies.quarter IS 'beginning of the quarter hour of the clicks';

CREATE TABLE journal_arrivals (
    quarter       timestamptz NOT NULL,
    journal_id    uuid NOT NULL,
    stored        bigint NOT NULL,
    dead_lettered bigint NOT NULL,
    PRIMARY KEY (quarter, journal_id)
);
COMMENT ON TABLE journal_arrivals IS 'new rows of clicks, and dead letters; counted as they are written';

ALTER TABLE dead_letters
    ADD COLUMN position bigint,
    ADD COLUMN quarter timestamptz,
    ADD COLUMN clicks integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN dead_letters.position IS 'where in its segment';
COMMENT ON COLUMN dead_letters.quarter IS 'where journal_arrivals counts it';
COMMENT ON COLUMN dead_letters.clicks IS 'how many clicks the bytes are, as far as can be seen';
-- A redelivered entry brings its bad records again.
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (journal_id, segment, coalesce(position, -1), md5(data));
"""


def upgrade() -> None:
    for statement in LEDGER.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX dead_letters_once")
    op.execute("ALTER TABLE dead_letters DROP COLUMN position, DROP COLUMN quarter, DROP COLUMN clicks")
    op.execute("DROP TABLE journal_arrivals, journal_tallies, click_journals")
