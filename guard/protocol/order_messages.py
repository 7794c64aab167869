"""An order and what it is answered, as types of messages. Pure.

Owns their shape (`guard/PROTOCOL.md`, 3); they stand among the others in
`guard.protocol.messages`, from where everybody takes them.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.value_types import (
    U64_MAX,
    BasisPoints,
    Count,
    Identifier,
    Name,
    OrderType,
    RequestId,
    Side,
    TimeInForce,
    Unsigned32,
    Unsigned64,
)


class Order(Struct, tag="order", tag_field="type", forbid_unknown_fields=True, gc=False):
    """A candidate order. Quantity in lots, price in ticks, fee ceiling in microcents."""

    client_order_id: Identifier
    desk: Name
    symbol: Name
    side: Side
    quantity: Count
    price: Count
    venue: Unsigned32
    risk_bps: BasisPoints
    confidence_bps: BasisPoints
    minimum_quality_bps: BasisPoints = 0
    max_p95_latency_ms: Unsigned32 = 0
    required_capabilities: Unsigned64 = 0
    allowed_providers: Unsigned64 = U64_MAX
    required_regions: Unsigned64 = 0
    max_fee_microcents: Unsigned64 = U64_MAX
    allow_substitute: bool = True
    order_type: OrderType = "limit"
    time_in_force: TimeInForce = "day"
    currency: str | None = None
    sent_at_ns: Count | None = None
    locate_id: Identifier | UnsetType = UNSET
    account: Name | UnsetType = UNSET
    trader: Name | UnsetType = UNSET
    algo: Name | UnsetType = UNSET
    request_id: RequestId = UNSET


class Admit(Struct, tag="admit", tag_field="type", gc=False):
    """The order may go to `venue`; `notional_microcents` of its desk's budget are held.

    Of the reply alone, here and in `Reject` (`REPLY_FIELDS`): `desk`, and `received_at_ns`, when
    the guard received the order that it decided; the latter is left out where that is not known any
    more. `reducing`: it can but reduce a position, and nothing is held for it; `self_match`: it may
    trade against an order of the firm itself; `located_lots`: how many it may sell short, of its
    locate. Each is left out where it is not so.
    """

    client_order_id: str
    wal_sequence: int
    reservation_id: int
    venue: int
    substituted: bool
    notional_microcents: int
    fee_microcents: int
    reason: str
    repeat: bool
    reducing: bool | UnsetType = UNSET
    self_match: bool | UnsetType = UNSET
    located_lots: int | UnsetType = UNSET
    desk: str | UnsetType = UNSET
    received_at_ns: int | UnsetType = UNSET
    request_id: RequestId = UNSET


class Reject(Struct, tag="reject", tag_field="type", gc=False):
    """The order may not go anywhere. `field` is set for `client_order_id_reused` alone."""

    client_order_id: str
    wal_sequence: int
    stage: Literal["order", "kernel", "ledger"]
    reason: str
    detail: dict[str, int]
    repeat: bool
    field: str | UnsetType = UNSET
    desk: str | UnsetType = UNSET
    received_at_ns: int | UnsetType = UNSET
    request_id: RequestId = UNSET
