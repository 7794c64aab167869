"""The requests and replies of the order protocol, as types.

Owns the shape of every message (`guard/PROTOCOL.md` sections 3 to 8) and the range of every integer
in it. It decodes nothing itself: `guard.protocol.wire` turns bytes into these and back, the client
does the same from the other side, and the log records an order in this very form.

What a field may be, `guard.protocol.value_types` says.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from guard.protocol.all_or_none_messages import AllOrNone as AllOrNone
from guard.protocol.all_or_none_messages import AllOrNoneAnswer as AllOrNoneAnswer
from guard.protocol.cancel_all_messages import CancelAll as CancelAll
from guard.protocol.cancel_all_messages import CanceledAll as CanceledAll
from guard.protocol.cancel_all_messages import CancelScope as CancelScope
from guard.protocol.order_messages import Admit as Admit
from guard.protocol.order_messages import Order as Order
from guard.protocol.order_messages import Reject as Reject
from guard.protocol.replace_messages import Replace as Replace
from guard.protocol.replace_messages import Replaced as Replaced
from guard.protocol.replace_messages import ReplaceRejected as ReplaceRejected
from guard.protocol.replace_messages import ReplaceSettled as ReplaceSettled
from guard.protocol.shown_messages import LimitLine as LimitLine
from guard.protocol.shown_messages import LimitsReply as LimitsReply
from guard.protocol.shown_messages import PositionsReply as PositionsReply
from guard.protocol.shown_messages import ShowLimits as ShowLimits
from guard.protocol.shown_messages import ShowPositions as ShowPositions
from guard.protocol.shown_messages import SymbolPosition as SymbolPosition
from guard.protocol.value_types import I64_MAX as I64_MAX
from guard.protocol.value_types import ID_LENGTH_MAX as ID_LENGTH_MAX
from guard.protocol.value_types import NAME_LENGTH_MAX as NAME_LENGTH_MAX
from guard.protocol.value_types import ORDER_TYPES as ORDER_TYPES
from guard.protocol.value_types import SIDES as SIDES
from guard.protocol.value_types import TIMES_IN_FORCE as TIMES_IN_FORCE
from guard.protocol.value_types import U32_MAX as U32_MAX
from guard.protocol.value_types import U64_MAX as U64_MAX
from guard.protocol.value_types import BasisPoints as BasisPoints
from guard.protocol.value_types import Count as Count
from guard.protocol.value_types import Identifier as Identifier
from guard.protocol.value_types import Name as Name
from guard.protocol.value_types import OrderType as OrderType
from guard.protocol.value_types import RequestId as RequestId
from guard.protocol.value_types import Side as Side
from guard.protocol.value_types import TimeInForce as TimeInForce
from guard.protocol.value_types import Unsigned32 as Unsigned32
from guard.protocol.value_types import Unsigned64 as Unsigned64

PROTOCOL_VERSION = 1


class Fill(Struct, tag="fill", tag_field="type", forbid_unknown_fields=True, gc=False):
    """An execution that happened. Quantity in lots, price in ticks, fee in microcents."""

    desk: Name
    client_order_id: Identifier
    fill_id: Identifier
    quantity: Count
    fee_microcents: Annotated[int, Meta(ge=-(2**63), le=I64_MAX)]
    price: Count | None = None
    executed_at_ns: Count | None = None
    request_id: RequestId = UNSET


class Execution(Struct, tag="execution", tag_field="type", forbid_unknown_fields=True, gc=False):
    """A trade as the venue's drop copy reports it. Quantity in lots, price in ticks."""

    desk: Name
    client_order_id: Identifier
    execution_id: Identifier
    venue: Unsigned32
    symbol: Name
    side: Side
    quantity: Count
    price: Count
    executed_at_ns: Count | None = None
    request_id: RequestId = UNSET


class Cancel(Struct, tag="cancel", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What is left of the order is off."""

    desk: Name
    client_order_id: Identifier
    request_id: RequestId = UNSET


class Reduce(Struct, tag="reduce", tag_field="type", forbid_unknown_fields=True, gc=False):
    """The venue took so many lots off an open order."""

    desk: Name
    client_order_id: Identifier
    reduce_id: Identifier
    quantity: Count
    request_id: RequestId = UNSET


class Status(Struct, tag="status", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What became of the order?"""

    desk: Name
    client_order_id: Identifier
    request_id: RequestId = UNSET


class Ping(Struct, tag="ping", tag_field="type", forbid_unknown_fields=True, gc=False):
    """Where is the durable head of the log?"""

    request_id: RequestId = UNSET


class Stats(Struct, tag="stats", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What has the daemon counted since its start?"""

    request_id: RequestId = UNSET


class Hello(Struct, tag="hello", tag_field="type", forbid_unknown_fields=True, gc=False):
    """What is spoken and traded here? Lists are shown from these names on."""

    from_symbol: Name | None = None
    from_desk: Name | None = None
    from_venue: Annotated[int, Meta(ge=1, le=U32_MAX)] | None = None
    request_id: RequestId = UNSET


class Mark(Struct, tag="mark", tag_field="type", forbid_unknown_fields=True, gc=False):
    """A symbol's reference price now, in ticks; the last one counts. It is no record."""

    symbol: Name
    price: Count
    as_of_ns: Count | None = None
    bid: Count | None = None
    ask: Count | None = None
    request_id: RequestId = UNSET


class Filled(Struct, tag="filled", tag_field="type", gc=False):
    """The fill is recorded. `open_quantity` in lots, `flags` as in the protocol's section 4.

    `collected_microcents`: of the desk's debt, what came free and paid it; left out where nothing.
    """

    desk: str
    client_order_id: str
    fill_id: str
    wal_sequence: int
    open_quantity: int
    hold_microcents: int
    released_microcents: int
    fee_microcents: int
    unpaid_fee_microcents: int
    flags: list[str]
    repeat: bool
    collected_microcents: int | UnsetType = UNSET
    request_id: RequestId = UNSET


class Executed(Struct, tag="executed", tag_field="type", gc=False):
    """The execution is recorded. `open_quantity` in lots, `flags` as in the protocol's section 14.

    `collected_microcents`: as of a fill.
    """

    desk: str
    client_order_id: str
    execution_id: str
    wal_sequence: int
    open_quantity: int
    hold_microcents: int
    released_microcents: int
    flags: list[str]
    repeat: bool
    collected_microcents: int | UnsetType = UNSET
    request_id: RequestId = UNSET


class Released(Struct, tag="released", tag_field="type", gc=False):
    """The order is closed and what it still held is free, less what was owed of it.

    `flags`: `early` where the order is not known yet; left out else.
    """

    desk: str
    client_order_id: str
    wal_sequence: int
    released_microcents: int
    repeat: bool
    collected_microcents: int | UnsetType = UNSET
    flags: list[str] | UnsetType = UNSET
    request_id: RequestId = UNSET


class Reduced(Struct, tag="reduced", tag_field="type", gc=False):
    """So many fewer lots of the order are open, and their share of its hold is free.

    `flags`: `late` where the order was closed already, `overreduced` where fewer lots were open.
    """

    desk: str
    client_order_id: str
    reduce_id: str
    wal_sequence: int
    open_quantity: int
    hold_microcents: int
    released_microcents: int
    flags: list[str]
    repeat: bool
    collected_microcents: int | UnsetType = UNSET
    request_id: RequestId = UNSET


class StatusReply(Struct, tag="status", tag_field="type"):
    """What the guard knows of an order. `answer` is the first answer, null when unknown.

    `busted_fills`, `corrected_fills`: of its fills, how many were since; `reduced_quantity`: how
    many of its lots were taken off; `suspect`: it should not be open any more. Of one that was
    replaced, or is to be: the records of the order that stands and of the one that waits for the
    venue's word. Each is left out where it is none.
    """

    desk: str
    client_order_id: str
    state: Literal["open", "closed", "refused", "unknown"]
    answer: Admit | Reject | None
    filled_quantity: int
    open_quantity: int
    hold_microcents: int
    busted_fills: int | UnsetType = UNSET
    corrected_fills: int | UnsetType = UNSET
    reduced_quantity: int | UnsetType = UNSET
    suspect: bool | UnsetType = UNSET
    standing_wal_sequence: int | UnsetType = UNSET
    pending_wal_sequence: int | UnsetType = UNSET
    request_id: RequestId = UNSET
    behind_records: int | UnsetType = UNSET
    behind_ns: int | UnsetType = UNSET


class Pong(Struct, tag="pong", tag_field="type", gc=False):
    """The durable head: the last record that is on disk.

    `behind_records`, `behind_ns`: of a guard that stands by alone, as in its other answers: how
    many records it knows of and has not folded, and for how long it may be behind.
    """

    head_sequence: int
    head_hash: str
    log_id: str
    version: int
    request_id: RequestId = UNSET
    behind_records: int | UnsetType = UNSET
    behind_ns: int | UnsetType = UNSET


class StatsReply(Struct, tag="stats", tag_field="type"):
    """Counters and gauges by name; how many syncs, and how many batches of answers, took at most so
    many nanoseconds; what runs.
    """

    counters: dict[str, int]
    syncs_by_latency_ns: list[tuple[int, int]]
    # What the daemon runs; empty where it does not say so.
    build: dict[str, str] = field(default_factory=dict)
    # Where the daemon does not count them: empty.
    answers_by_latency_ns: list[tuple[int, int]] = field(default_factory=list)
    request_id: RequestId = UNSET


class InstrumentSizes(Struct):
    """An instrument: price of a tick, lots' size and value, as decimal text."""

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str


class VenueOffered(Struct):
    """A venue of the policy in force; one that is not enabled is never chosen."""

    venue: int
    provider: int
    enabled: bool


class HelloReply(Struct, tag="hello", tag_field="type"):
    """Version, requests with their keys, bounds, and pages of what is traded, in ascending order.

    `next_symbol`, `next_desk`, `next_venue`: where the next page begins; None where this one ends
    the list.
    """

    version: int
    software_version: str
    log_id: str
    currency: str
    requests: dict[str, list[str]]
    limits: dict[str, int]
    instruments: list[InstrumentSizes]
    desks: list[str]
    venues: list[VenueOffered]
    next_symbol: str | None = None
    next_desk: str | None = None
    next_venue: int | None = None
    request_id: RequestId = UNSET


class Marked(Struct, tag="marked", tag_field="type", gc=False):
    """The price is the symbol's mark from now on; or it waits to be confirmed, and the one
    `in_force` counts meanwhile.
    """

    symbol: str
    price: int
    in_force: int | UnsetType = UNSET
    request_id: RequestId = UNSET


def marked_reply(symbol: str, price: int, in_force: int) -> Marked:
    """What a mark is answered, of which the price `in_force` counts now."""
    return Marked(symbol, price, UNSET if in_force == price else in_force)


class ErrorReply(Struct, tag="error", tag_field="type", gc=False):
    """The request was refused as malformed or impossible, and changed nothing.

    The ids are the request's, where they could be read. `serving`: of `not_serving`, the endpoint
    of the guard that serves, where it is known.
    """

    code: str
    field: str
    message: str
    desk: str | UnsetType = UNSET
    client_order_id: str | UnsetType = UNSET
    fill_id: str | UnsetType = UNSET
    reduce_id: str | UnsetType = UNSET
    execution_id: str | UnsetType = UNSET
    request_id: RequestId = UNSET
    serving: str | UnsetType = UNSET


Request: TypeAlias = (
    Order
    | Fill
    | Cancel
    | Status
    | Ping
    | Stats
    | Hello
    | Mark
    | ShowLimits
    | ShowPositions
    | Reduce
    | Execution
    | CancelAll
    | Replace
    | Replaced
    | ReplaceRejected
)
# What a message's body may be alone, and no part of an array.
AnyRequest: TypeAlias = Request | AllOrNone
# Every reply but an error.
Answer: TypeAlias = (
    Admit
    | Reject
    | Filled
    | Released
    | Reduced
    | StatusReply
    | Pong
    | StatsReply
    | HelloReply
    | Marked
    | LimitsReply
    | PositionsReply
    | Executed
    | CanceledAll
    | ReplaceSettled
    | AllOrNoneAnswer
)
Reply: TypeAlias = Answer | ErrorReply

# What a reply says and the answer inside a record does not: of an admit and a reject.
REPLY_FIELDS = ("desk", "received_at_ns", "request_id")

REQUEST_TYPES: dict[str, type[Request]] = {
    "order": Order,
    "fill": Fill,
    "cancel": Cancel,
    "status": Status,
    "ping": Ping,
    "stats": Stats,
    "hello": Hello,
    "mark": Mark,
    "limits": ShowLimits,
    "positions": ShowPositions,
    "reduce": Reduce,
    "execution": Execution,
    "cancel_all": CancelAll,
    "replace": Replace,
    "replaced": Replaced,
    "replace_rejected": ReplaceRejected,
}
