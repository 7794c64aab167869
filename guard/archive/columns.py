"""What is pulled out of a record into columns, beside its text. Pure.

Owns the table of columns: each with its type in SQL and where its value stands. The record's text
goes into the row as it is; a column is for who asks, and a record of a later version that says a
thing in another place leaves it empty. So nothing but the text is ever read back.

How it fails: `ColumnError` for data that is no record of a guard.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from guard.audit.record_lines import named_in
from guard.protocol.messages import I64_MAX
from wal import Entry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US: Final = 1_000
# Where an answer is, and what stands beside a request without being one.
_NO_REQUESTS: Final = frozenset({"answer"})
_decode: Final = msgspec.json.Decoder().decode


class ColumnError(ValueError):
    """The data is no record of a guard."""


class Said(NamedTuple):
    """What a record says, flattened; `request` and `answer` are empty where there is none."""

    event: dict[str, Any]
    request: dict[str, Any]
    answer: dict[str, Any]
    at: datetime  # received_at_ns, cut to microseconds

    def of(self, name: str) -> Any:
        """What the request says of it, or the event itself; None where neither does."""
        found = self.request.get(name)
        return self.event.get(name) if found is None else found


class Column(NamedTuple):
    """A column: its name, its type, its value in a row."""

    name: str
    sql_type: str
    value: Callable[[Said], object]


def _text(find: Callable[[Said], Any]) -> Callable[[Said], object]:
    """A text, without what PostgreSQL cannot hold in one."""

    def value(said: Said) -> object:
        found = find(said)
        return found.replace("\0", "\ufffd") if isinstance(found, str) and found else None

    return value


def _number(find: Callable[[Said], Any]) -> Callable[[Said], object]:
    """A number that a bigint holds. Every one that a guard writes in these places is such."""

    def value(said: Said) -> object:
        found = find(said)
        if type(found) is not int or not -I64_MAX - 1 <= found <= I64_MAX:
            return None
        return found

    return value


def _asked(name: str) -> Callable[[Said], Any]:
    return lambda said: said.of(name)


def _answered(name: str) -> Callable[[Said], Any]:
    return lambda said: said.answer.get(name)


def _named(kind: str) -> Callable[[Said], Any]:
    return lambda said: named_in(kind, said.event, said.request)


def _fact_id(said: Said) -> Any:
    return said.of("fill_id") or said.of("execution_id") or said.of("reduce_id")


def _verdict(said: Said) -> Any:
    kind = said.answer.get("type")
    return kind if kind in ("admit", "reject") else None


def _venue(said: Said) -> Any:
    """The one that the order went to, else the one that was named."""
    found = said.answer.get("venue")
    return named_in("venue", said.event, said.request) if found is None else found


def _fee(said: Said) -> Any:
    found = said.answer.get("fee_microcents")
    return said.of("fee_microcents") if found is None else found


def _flags(said: Said) -> object:
    found = said.answer.get("flags")
    return [str(flag) for flag in found] if isinstance(found, list) and found else None


def _is_true(find: Callable[[Said], Any]) -> Callable[[Said], object]:
    return lambda said: find(said) is True


COLUMNS: Final = (
    Column("day", "date NOT NULL", lambda said: said.at.date()),
    Column("received_at", "timestamptz NOT NULL", lambda said: said.at),
    Column("received_at_ns", "bigint NOT NULL", lambda said: said.event["received_at_ns"]),
    Column("event", "text NOT NULL", lambda said: said.event["event"]),
    Column("client", "text", _text(_asked("client"))),
    Column("desk", "text", _text(_named("desk"))),
    Column("symbol", "text", _text(_named("symbol"))),
    Column("account", "text", _text(_named("account"))),
    Column("client_order_id", "text", _text(_asked("client_order_id"))),
    Column("fact_id", "text", _text(_fact_id)),
    Column("side", "text", _text(_asked("side"))),
    Column("order_type", "text", _text(_asked("order_type"))),
    Column("time_in_force", "text", _text(_asked("time_in_force"))),
    Column("venue", "bigint", _number(_venue)),
    Column("quantity", "bigint", _number(_asked("quantity"))),
    Column("price", "bigint", _number(_asked("price"))),
    Column("verdict", "text", _text(_verdict)),
    Column("stage", "text", _text(_answered("stage"))),
    Column("reason", "text", _text(_answered("reason"))),
    Column("is_reducing", "boolean NOT NULL", _is_true(_answered("reducing"))),
    Column("notional_microcents", "bigint", _number(_answered("notional_microcents"))),
    Column("hold_microcents", "bigint", _number(_answered("hold_microcents"))),
    Column("released_microcents", "bigint", _number(_answered("released_microcents"))),
    Column("fee_microcents", "bigint", _number(_fee)),
    Column("unpaid_fee_microcents", "bigint", _number(_answered("unpaid_fee_microcents"))),
    Column("open_quantity", "bigint", _number(_answered("open_quantity"))),
    Column("flags", "text[]", _flags),
    Column("halts_desk", "boolean NOT NULL", _is_true(_asked("halts_desk"))),
    Column("acted_by", "text", _text(_asked("by"))),
    Column("why", "text", _text(_asked("why"))),
    Column("action_id", "text", _text(_asked("action_id"))),
    Column("trader", "text", _text(_named("trader"))),
    Column("algo", "text", _text(_named("algo"))),
)
# Those that a table of an earlier version may lack.
ADDED_COLUMNS: Final = ("trader", "algo")

# What a row has before and behind them.
KEY_COLUMNS: Final = (
    ("log_id", "text NOT NULL"),
    ("wal_sequence", "bigint NOT NULL"),
    ("segment", "integer"),
)
TEXT_COLUMNS: Final = (("entry_hash", "bytea NOT NULL"), ("data", "json NOT NULL"))
COLUMN_NAMES: Final = (
    *(name for name, _ in KEY_COLUMNS),
    *(column.name for column in COLUMNS),
    *(name for name, _ in TEXT_COLUMNS),
)
_DAY: Final = COLUMN_NAMES.index("day")

Row = tuple[object, ...]


def said_of(data: bytes) -> Said:
    """What a record's data says. Raises ColumnError."""
    try:
        decoded = _decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ColumnError(f"its data cannot be read: {error}") from error
    event = decoded.get("metadata", decoded) if isinstance(decoded, dict) else None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ColumnError("its data names no event")
    at_ns = event.get("received_at_ns")
    if type(at_ns) is not int or not 0 <= at_ns <= I64_MAX:
        raise ColumnError("its data does not say when it was received")
    answer = event.get("answer")
    request: dict[str, Any] = next(
        (
            value
            for name, value in event.items()
            if isinstance(value, dict) and "type" in value and name not in _NO_REQUESTS
        ),
        {},
    )
    at = _EPOCH + timedelta(microseconds=at_ns // _NS_PER_US)
    return Said(event, request, answer if isinstance(answer, dict) else {}, at)


def row_of(log_id: str, entry: Entry, segment: int | None) -> Row:
    """A record's row, in the order of `COLUMN_NAMES`. Raises ColumnError."""
    said = said_of(entry.data)
    return (
        log_id,
        entry.sequence,
        segment,
        *(column.value(said) for column in COLUMNS),
        bytes.fromhex(entry.entry_hash),
        entry.data.decode(),
    )


def day_of(row: Row) -> object:
    """The day that a row belongs to, a `date` of UTC."""
    return row[_DAY]
