"""The archive's tables and views, as SQL. Pure: texts.

Owns every statement that makes them, in the order in which they are made; each may be run again.
One table of records, cut by day, so that a day goes as a whole; one row a log, which says how far
it is filled. What a desk's day, a breach or a change of limits is, a view says, once.
"""

from datetime import date, timedelta
from typing import Final

from guard.archive.columns import (
    ADDED_COLUMNS,
    COLUMN_NAMES,
    COLUMNS,
    KEY_COLUMNS,
    TEXT_COLUMNS,
)
from guard.protocol.messages import I64_MAX

SCHEMA: Final = "pretrade_archive"
SCHEMA_VERSION: Final = 1
# Held while tables are made: two that fill may begin at once. Any number that nobody else uses.
SCHEMA_LOCK: Final = 0x70_72_65_74_61_72_63_68

_ORDERS: Final = "event IN ('order', 'order_refused')"
_CANCELS: Final = "event IN ('release', 'reduce', 'hold_freed')"
# What a fact says that should not have been, and what sets a place to `reducing` by itself.
_BREACH: Final = (
    "(flags && ARRAY['overfill', 'late', 'unknown', 'refused', 'uncharged', 'differs', "
    "'uncounted', 'overreduced', 'rate'] OR halts_desk OR unpaid_fee_microcents > 0 "
    "OR event IN ('latch_set', 'halt'))"
)
_LIMITS_CHANGES: Final = (
    "event IN ('limits_set', 'desk_opened', 'desk_topped_up', 'budget_lowered', 'desk_capped', "
    "'desk_order_age_limited', 'desk_fee_bounded', 'policy_activated', 'approvals_set', "
    "'proposed', 'proposal_withdrawn', 'proposal_expired', 'loosening_reverted', "
    "'order_overridden', 'override_expired', 'position_opened', 'latch_lifted', 'account_set', "
    "'trading_halted', 'trading_reduced', 'trading_resumed')"
)


def _number(text: str) -> str:
    """What a part says there, where a bigint holds it."""
    return f"CASE WHEN ({text})::numeric <= {I64_MAX} THEN ({text})::bigint END"


# Of orders that one record has together: what each one's part says, `part.e`, as columns.
_ASKED: Final = (
    *("symbol", "account", "trader", "algo", "client_order_id"),
    *("side", "order_type", "time_in_force"),
)
_OF_PART: Final = {
    **{name: f"r.{name}" for name in ("day", "received_at", "received_at_ns", "client", "desk")},
    "event": "part.e->>'event'",
    **{name: f"part.e->'order'->>'{name}'" for name in _ASKED},
    **{name: _number(f"part.e->'order'->>'{name}'") for name in ("quantity", "price")},
    "venue": _number("coalesce(part.e->'answer'->>'venue', part.e->'order'->>'venue')"),
    "verdict": "part.e->'answer'->>'type'",
    **{name: f"part.e->'answer'->>'{name}'" for name in ("stage", "reason")},
    **{
        name: _number(f"part.e->'answer'->>'{name}'")
        for name in ("notional_microcents", "fee_microcents")
    },
    "is_reducing": "coalesce((part.e->'answer'->>'reducing')::boolean, false)",
    "halts_desk": "false",
}
_PARTS: Final = ", ".join(
    [
        *(f"r.{name}" for name, _ in KEY_COLUMNS),
        *(
            f"{_OF_PART.get(column.name, f'NULL::{column.sql_type}')} AS {column.name}"
            for column in COLUMNS
        ),
        "r.entry_hash",
        "p.data",
    ]
)
_WHERE_AND_WHEN: Final = "log_id, wal_sequence, day, received_at, client, desk, symbol"

VIEWS: Final = {
    "records_each": (
        f"SELECT {', '.join(COLUMN_NAMES)} FROM {SCHEMA}.records WHERE event <> 'all_or_none' "
        f"UNION ALL SELECT {_PARTS} FROM {SCHEMA}.records r "
        "CROSS JOIN LATERAL json_array_elements(r.data->'records') AS p(data) "
        "CROSS JOIN LATERAL (SELECT coalesce(p.data->'metadata', p.data) AS e) AS part "
        "WHERE r.event = 'all_or_none'"
    ),
    "decisions": (
        f"SELECT {_WHERE_AND_WHEN}, client_order_id, side, order_type, time_in_force, quantity, "
        "price, venue, verdict, stage, reason, is_reducing, notional_microcents, fee_microcents, "
        f"data FROM {SCHEMA}.records_each WHERE {_ORDERS}"
    ),
    "fills": (
        f"SELECT {_WHERE_AND_WHEN}, client_order_id, fact_id AS fill_id, quantity, price, "
        "fee_microcents, unpaid_fee_microcents, released_microcents, hold_microcents, "
        f"open_quantity, flags, halts_desk, data FROM {SCHEMA}.records WHERE event = 'fill'"
    ),
    "executions": (
        f"SELECT {_WHERE_AND_WHEN}, client_order_id, fact_id AS execution_id, venue, side, "
        "quantity, price, released_microcents, hold_microcents, open_quantity, flags, data "
        f"FROM {SCHEMA}.records WHERE event = 'execution'"
    ),
    "cancels": (
        f"SELECT {_WHERE_AND_WHEN}, event, client_order_id, fact_id AS reduce_id, quantity, "
        "released_microcents, hold_microcents, open_quantity, flags, acted_by, why, data "
        f"FROM {SCHEMA}.records WHERE {_CANCELS}"
    ),
    "breaches": (
        f"SELECT {_WHERE_AND_WHEN}, event, client_order_id, fact_id, flags, halts_desk, "
        f"unpaid_fee_microcents, why, data FROM {SCHEMA}.records WHERE {_BREACH}"
    ),
    "limits_changes": (
        f"SELECT {_WHERE_AND_WHEN}, event, acted_by, why, action_id, data "
        f"FROM {SCHEMA}.records WHERE {_LIMITS_CHANGES}"
    ),
    "desk_day": (
        "SELECT log_id, desk, day, "
        f"count(*) FILTER (WHERE {_ORDERS}) AS orders, "
        "count(*) FILTER (WHERE verdict = 'admit') AS admitted, "
        "count(*) FILTER (WHERE verdict = 'reject') AS rejected, "
        "coalesce(sum(notional_microcents) FILTER (WHERE verdict = 'admit'), 0) "
        "AS admitted_microcents, "
        "count(*) FILTER (WHERE event = 'fill') AS fills, "
        "coalesce(sum(fee_microcents) FILTER (WHERE event = 'fill' "
        "AND NOT coalesce('uncharged' = ANY (flags), false)), 0) AS fee_microcents, "
        "coalesce(sum(unpaid_fee_microcents) FILTER (WHERE event = 'fill'), 0) "
        "AS unpaid_fee_microcents, "
        f"count(*) FILTER (WHERE {_CANCELS}) AS cancels, "
        "coalesce(sum(released_microcents), 0) AS released_microcents, "
        f"count(*) FILTER (WHERE {_BREACH}) AS breaches, "
        f"count(*) FILTER (WHERE {_LIMITS_CHANGES}) AS limits_changes, "
        "min(received_at) AS first_at, max(received_at) AS last_at, "
        "min(wal_sequence) AS first_sequence, max(wal_sequence) AS last_sequence "
        f"FROM {SCHEMA}.records_each WHERE desk IS NOT NULL GROUP BY log_id, desk, day"
    ),
    "desk_day_reasons": (
        "SELECT log_id, desk, day, verdict, stage, reason, count(*) AS orders "
        f"FROM {SCHEMA}.records_each WHERE desk IS NOT NULL AND {_ORDERS} "
        "GROUP BY log_id, desk, day, verdict, stage, reason"
    ),
}


def statements() -> list[str]:
    """What makes the schema, or leaves it as it is."""
    columns = [
        *KEY_COLUMNS,
        *((column.name, column.sql_type) for column in COLUMNS),
        *TEXT_COLUMNS,
    ]
    listed = ",\n    ".join(f"{name} {sql_type}" for name, sql_type in columns)
    return [
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.about (version integer NOT NULL)",
        (
            f"INSERT INTO {SCHEMA}.about SELECT {SCHEMA_VERSION} "
            f"WHERE NOT EXISTS (SELECT FROM {SCHEMA}.about)"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.logs (\n"
            "    log_id text PRIMARY KEY,\n"
            "    first_sequence bigint NOT NULL,\n"
            "    first_previous_hash text NOT NULL,\n"
            "    head_sequence bigint NOT NULL,\n"
            "    head_hash text NOT NULL,\n"
            "    filled_at timestamptz NOT NULL DEFAULT now()\n)"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.records (\n    {listed},\n"
            "    PRIMARY KEY (log_id, wal_sequence, day)\n) PARTITION BY RANGE (day)"
        ),
        *(
            f"ALTER TABLE {SCHEMA}.records ADD COLUMN IF NOT EXISTS {column.name} {column.sql_type}"
            for column in COLUMNS
            if column.name in ADDED_COLUMNS
        ),
        (
            f"CREATE INDEX IF NOT EXISTS records_of_desk ON {SCHEMA}.records "
            "(desk, client_order_id) WHERE desk IS NOT NULL"
        ),
        *(f"CREATE OR REPLACE VIEW {SCHEMA}.{name} AS\n{text}" for name, text in VIEWS.items()),
    ]


def partition_name(day: date) -> str:
    """The table of a day's records."""
    return f"records_{day:%Y%m%d}"


def partition_day(name: str) -> date | None:
    """The day of such a table; None for another one."""
    digits = name.removeprefix("records_")
    if digits == name or len(digits) != len("20261130") or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def make_partition(day: date) -> str:
    """The statement that makes it, if it is not there."""
    return (
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{partition_name(day)} PARTITION OF {SCHEMA}.records "
        f"FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )
