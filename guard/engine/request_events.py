"""What the log says of a request: one type an event. Pure.

Owns the beginning of every event, and the events that answer requests; all others are
`guard.engine.events`'. One holds the request as it was sent, without its id, and the answer as it
was given. `clock_ns`, at its end: what the system's clock said, where that is not about the time
that the record has.
"""

from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from guard.protocol.messages import (
    Admit,
    Cancel,
    CanceledAll,
    CancelScope,
    Executed,
    Execution,
    Fill,
    Filled,
    Order,
    Reduce,
    Reduced,
    Reject,
    Released,
    Replaced,
    ReplaceRejected,
    ReplaceSettled,
)
from guard.protocol.ranges import (
    Client,
    DeskName,
    ElapsedNs,
    MarkAgeNs,
    MarkPrice,
    OrderName,
    ReceivedAtNs,
    Sequence,
)


class Event(Struct, tag_field="event", forbid_unknown_fields=True):
    """The fields that every event begins with."""

    received_at_ns: ReceivedAtNs
    client: Client
    batch_first_sequence: Sequence


class OrderDecided(Event, tag="order", gc=False):
    """An order that the kernel was asked about, admitted or rejected.

    Since version 3 of the rules, each left out where there is none: the price of its symbol that
    was known then, how old that was, the price to which it has jumped, if that is not confirmed
    yet; and the log's count of time, where there are limits; and `replaces`, of an order that is to
    take that one's place.
    """

    order: Order
    answer: Admit | Reject
    replaces: OrderName | UnsetType = UNSET
    mark_price: MarkPrice | UnsetType = UNSET
    mark_age_ns: MarkAgeNs | UnsetType = UNSET
    mark_jump: MarkPrice | UnsetType = UNSET
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class OrderRefused(Event, tag="order_refused", gc=False):
    """An order refused before the kernel could be asked."""

    order: Order
    answer: Reject
    replaces: OrderName | UnsetType = UNSET
    mark_price: MarkPrice | UnsetType = UNSET
    mark_age_ns: MarkAgeNs | UnsetType = UNSET
    mark_jump: MarkPrice | UnsetType = UNSET
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class FillRecorded(Event, tag="fill", gc=False):
    """An execution. `halts_desk`: its fee could not be paid, the desk's entries stop.

    `elapsed_ns`, as of a cancel: the log's count of time, where limits have rates of facts.
    """

    fill: Fill
    answer: Filled
    halts_desk: bool
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class OrderReleased(Event, tag="release", gc=False):
    """A cancel that freed what its order still held."""

    cancel: Cancel
    answer: Released
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class ReductionRecorded(Event, tag="reduce", gc=False):
    """So many lots were taken off an order, and their share of its hold was freed."""

    reduce: Reduce
    answer: Reduced
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class CanceledAllRecorded(Event, tag="cancel_all", gc=False):
    """So many orders of a scope were closed, and what they held was freed (`engine.cancel_all`)."""

    cancel_all: CancelScope
    answer: CanceledAll


class AllOrNoneRecorded(Event, tag="all_or_none"):
    """Orders of that desk that were admitted together, or refused together (`order_group`).

    `records`: what each order's own record would be, had it come alone, in their order.
    """

    desk: DeskName
    records: list[Raw]


class ExecutionRecorded(Event, tag="execution", gc=False):
    """A trade as a drop copy reported it. `elapsed_ns`: as of a fill."""

    execution: Execution
    answer: Executed
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class ReplaceDone(Event, tag="replaced", gc=False):
    """The venue has replaced: another order stands, and what it does not need is free."""

    replaced: Replaced
    answer: ReplaceSettled
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


class ReplaceFailed(Event, tag="replace_rejected", gc=False):
    """The venue has not replaced: the order stands as it did."""

    replace_rejected: ReplaceRejected
    answer: ReplaceSettled
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET


# What is read back as a request and its outcome. These are not; clients ask for them, too.
REQUEST_EVENTS: Final = (
    OrderDecided,
    OrderRefused,
    FillRecorded,
    OrderReleased,
    ReductionRecorded,
    ExecutionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
CLIENT_EVENTS: Final = (*REQUEST_EVENTS, CanceledAllRecorded, AllOrNoneRecorded)
