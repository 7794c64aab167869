"""A replace, and the two facts that end it, as types of messages. Pure.

Owns their shape (`guard/PROTOCOL.md`, 5.2); they stand among the others in
`guard.protocol.messages`, from where everybody takes them. A replace is answered as an order is.
"""

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.value_types import (
    Count,
    Identifier,
    Name,
    OrderType,
    RequestId,
    TimeInForce,
)


class Replace(Struct, tag="replace", tag_field="type", forbid_unknown_fields=True, gc=False):
    """Another order is to take the place of an open one, `original_client_order_id`.

    `quantity`: the new total, in lots, what is filled included. All else is the open order's.
    """

    client_order_id: Identifier
    desk: Name
    original_client_order_id: Identifier
    quantity: Count
    price: Count
    order_type: OrderType
    time_in_force: TimeInForce
    sent_at_ns: Count | None = None
    request_id: RequestId = UNSET


class Replaced(Struct, tag="replaced", tag_field="type", forbid_unknown_fields=True, gc=False):
    """The venue has replaced: the order of that id stands, and that one alone."""

    desk: Name
    client_order_id: Identifier
    request_id: RequestId = UNSET


class ReplaceRejected(
    Struct, tag="replace_rejected", tag_field="type", forbid_unknown_fields=True, gc=False
):
    """The venue has not replaced: the order of that id is none, and the old one stands."""

    desk: Name
    client_order_id: Identifier
    request_id: RequestId = UNSET


class ReplaceSettled(Struct, tag="replace_settled", tag_field="type", gc=False):
    """One order stands now: so many lots of it are open, and so much is held for it.

    `flags`: `late` where it was closed already; `collected_microcents`: as of a fill.
    """

    desk: str
    client_order_id: str
    wal_sequence: int
    open_quantity: int
    hold_microcents: int
    released_microcents: int
    flags: list[str]
    repeat: bool
    collected_microcents: int | UnsetType = UNSET
    request_id: RequestId = UNSET
