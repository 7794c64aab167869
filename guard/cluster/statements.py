"""What a guard says to PostgreSQL, in SQL. Pure: texts, and nothing of how they fare.

Owns every statement about the tables of `guard/data/cluster.sql`. Each that changes something is
one statement and so one transaction, takes effect only where epoch, head and the settings of
synchronous replication are as they must be, and returns a row exactly if it took effect.
`guard/CLUSTER.md` says why that is enough.
"""

from typing import Final

# What makes a commit wait for the quorum. Asked within the statement whose commit it is: settings
# of the server reach a session between two statements only.
_SETTINGS: Final = (
    "current_setting('synchronous_commit') = {commit} "
    "AND current_setting('synchronous_standby_names') = ANY({names}::text[])"
)

# One row for the log, where there is none yet.
NAME_LOG: Final = "INSERT INTO pretrade_guard.logs (log) VALUES ($1) ON CONFLICT DO NOTHING"

READ_LOG: Final = (
    "SELECT epoch, holder, head_sequence, head_hash, acknowledged_sequence, acknowledged_hash, "
    "beat, serves_at FROM pretrade_guard.logs WHERE log = $1"
)

# $1 log, $2 the epoch that is to end, $3 its holder, $4 who begins the next, $5 where clients reach
# that one, $6 and $7 settings.
CLAIM: Final = f"""
WITH begun AS (
    UPDATE pretrade_guard.logs
    SET epoch = epoch + 1, holder = $4, serves_at = $5, beat = beat + 1,
        beat_at = clock_timestamp()
    WHERE log = $1 AND epoch = $2 AND holder = $3
      AND {_SETTINGS.format(commit="$6", names="$7")}
    RETURNING log, epoch, holder, head_sequence, head_hash
)
INSERT INTO pretrade_guard.epochs (log, epoch, holder, head_sequence, head_hash)
SELECT log, epoch, holder, head_sequence, head_hash FROM begun
RETURNING epoch, head_sequence, head_hash
"""

# $1 log, $2 epoch, $3 and $4 the head before, $5 and $6 the head behind, $7 and $8 the head that is
# known to be on the quorum, $9 lines, $10 and $11 settings.
INSERT_BATCH: Final = f"""
WITH serving AS (
    UPDATE pretrade_guard.logs
    SET head_sequence = $5, head_hash = $6, acknowledged_sequence = $7, acknowledged_hash = $8,
        beat = beat + 1, beat_at = clock_timestamp()
    WHERE log = $1 AND epoch = $2 AND head_sequence = $3 AND head_hash = $4
      AND {_SETTINGS.format(commit="$10", names="$11")}
    RETURNING log, epoch
)
INSERT INTO pretrade_guard.batches (
    log, epoch, first_sequence, last_sequence, head_hash,
    acknowledged_sequence, acknowledged_hash, lines
)
SELECT log, epoch, $3 + 1, $5, $6, $7, $8, $9 FROM serving
RETURNING last_sequence
"""

# $1 log, $2 epoch, $3 and $4 the head that is known to be on the quorum, $5 and $6 settings.
BEAT: Final = f"""
UPDATE pretrade_guard.logs
SET acknowledged_sequence = $3, acknowledged_hash = $4,
    beat = beat + 1, beat_at = clock_timestamp()
WHERE log = $1 AND epoch = $2 AND {_SETTINGS.format(commit="$5", names="$6")}
RETURNING epoch
"""

# $1 log, $2 epoch, $3 and $4 the head that is known to be on the quorum: nobody holds it any more,
# whoever is next need not wait for a silence, and who follows has all of it.
RELEASE: Final = """
UPDATE pretrade_guard.logs
SET holder = '', serves_at = '', acknowledged_sequence = $3, acknowledged_hash = $4,
    beat = beat + 1, beat_at = clock_timestamp()
WHERE log = $1 AND epoch = $2 RETURNING epoch
"""

# $1 and $2 settings: asked once more behind a commit, in the same session.
SETTINGS_HOLD: Final = f"SELECT {_SETTINGS.format(commit='$1', names='$2')}"

SHOW_SETTINGS: Final = (
    "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')"
)

# Each promotion begins one: eight hexadecimal digits.
TIMELINE: Final = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"

# $1: the name under which sessions of writers of this log go. Of our own role all may be ended.
END_SESSIONS: Final = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()
"""
# Those of them alone that hold the row's lock for as long as no quorum answers.
END_WAITING: Final = f"{END_SESSIONS.rstrip()} AND wait_event = 'SyncRep'\n"

# $1 log, $2: what ends behind it, $3: and ends with it or before it; at most $4 rows, and, where
# they are several, $5 bytes. A row that holds record $2 in its middle is found by its own
# beginning, so that the index leads there. How long lines are is known without reading them.
READ_BATCHES: Final = """
WITH next AS (
    SELECT first_sequence, last_sequence, epoch, head_hash, lines FROM pretrade_guard.batches
    WHERE log = $1 AND last_sequence > $2 AND last_sequence <= $3 AND first_sequence >= coalesce(
        (SELECT max(first_sequence) FROM pretrade_guard.batches
         WHERE log = $1 AND first_sequence <= $2 + 1), 0)
    ORDER BY first_sequence LIMIT $4
), summed AS (
    SELECT *, sum(octet_length(lines)) OVER (ORDER BY first_sequence) AS byte_count FROM next
)
SELECT first_sequence, last_sequence, epoch, head_hash, lines FROM summed
WHERE byte_count <= $5 OR byte_count = octet_length(lines)
ORDER BY first_sequence
"""

# $1 log, $2 a sequence: the row that holds it.
READ_BATCH_OF: Final = """
SELECT first_sequence, last_sequence, epoch, head_hash, lines FROM pretrade_guard.batches
WHERE log = $1 AND first_sequence <= $2 ORDER BY first_sequence DESC LIMIT 1
"""

# $1 log, $2 a sequence: where the rows that end before it end, the last ones first.
READ_HEADS: Final = """
SELECT last_sequence, head_hash FROM pretrade_guard.batches
WHERE log = $1 AND first_sequence <= $2 AND last_sequence < $2
ORDER BY first_sequence DESC LIMIT $3
"""

COUNT_BATCHES: Final = """
SELECT count(*), coalesce(min(first_sequence), 0), coalesce(sum(octet_length(lines)), 0)
FROM pretrade_guard.batches WHERE log = $1
"""

LOG_AGE: Final = (
    "SELECT extract(epoch FROM clock_timestamp() - beat_at)::float8 FROM pretrade_guard.logs "
    "WHERE log = $1"
)

# Which standbys there are, as far as the role may see them.
STANDBYS: Final = """
SELECT application_name, state, sync_state,
       coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn), -1)::int8
FROM pg_stat_replication ORDER BY application_name
"""


def writer_name(log: str) -> str:
    """What the sessions of a log's writers are called; PostgreSQL keeps 63 bytes."""
    return f"pretrade-guard/{log}"


def reader_name(log: str) -> str:
    """What the sessions of those are called who only read it."""
    return f"pretrade-guard-reader/{log}"
