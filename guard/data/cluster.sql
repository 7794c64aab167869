-- What a guard needs of the cluster's database: two roles, three tables. Run once, by whoever owns
-- the database (`pretrade-guard cluster schema | psql DATABASE`). guard/CLUSTER.md says why it is so.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pretrade_guard') THEN
        CREATE ROLE pretrade_guard LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pretrade_guard_reader') THEN
        CREATE ROLE pretrade_guard_reader NOLOGIN;
    END IF;
END
$$;

CREATE SCHEMA pretrade_guard;

-- One row a log: who may write it (the epoch), and where it ends. Every statement of a guard's
-- updates this row where epoch and head are as it expects, so that two writers meet at its lock.
CREATE TABLE pretrade_guard.logs (
    log text PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT '',
    head_sequence bigint NOT NULL DEFAULT 0,
    head_hash text NOT NULL DEFAULT 'genesis',
    acknowledged_sequence bigint NOT NULL DEFAULT 0,
    acknowledged_hash text NOT NULL DEFAULT 'genesis',
    beat bigint NOT NULL DEFAULT 0,
    -- Where the holder's clients reach it; empty where it has not said so.
    serves_at text NOT NULL DEFAULT '',
    -- For who looks; nothing is decided by it.
    beat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (epoch >= 0 AND acknowledged_sequence <= head_sequence)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- Who has held a log, and from which head on.
CREATE TABLE pretrade_guard.epochs (
    log text NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    head_sequence bigint NOT NULL,
    head_hash text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, epoch)
);

-- The log itself: one row a batch, its lines byte for byte as in the segment.
CREATE TABLE pretrade_guard.batches (
    log text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    epoch bigint NOT NULL,
    head_hash text NOT NULL,
    -- The last head that the writer knew to be on the quorum when it wrote this row.
    acknowledged_sequence bigint NOT NULL,
    acknowledged_hash text NOT NULL,
    lines bytea NOT NULL,
    PRIMARY KEY (log, first_sequence),
    CHECK (
        first_sequence > 0
        AND last_sequence >= first_sequence
        AND acknowledged_sequence < first_sequence
        AND octet_length(lines) > 0
    )
);
-- Kept as they are: to compress them takes longer than to write them.
ALTER TABLE pretrade_guard.batches ALTER COLUMN lines SET STORAGE EXTERNAL;

REVOKE ALL ON SCHEMA pretrade_guard FROM PUBLIC;
GRANT USAGE ON SCHEMA pretrade_guard TO pretrade_guard, pretrade_guard_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA pretrade_guard TO pretrade_guard, pretrade_guard_reader;
-- A guard adds rows, and moves a log's epoch and head; it neither changes nor removes a batch.
GRANT INSERT ON pretrade_guard.batches, pretrade_guard.epochs TO pretrade_guard;
GRANT INSERT (log) ON pretrade_guard.logs TO pretrade_guard;
GRANT UPDATE (
    epoch, holder, head_sequence, head_hash, acknowledged_sequence, acknowledged_hash, beat, beat_at,
    serves_at
) ON pretrade_guard.logs TO pretrade_guard;
