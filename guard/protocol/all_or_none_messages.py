"""Orders that stand or fall together, as types of messages. Pure.

Owns the shape of the request and of its reply (`guard/PROTOCOL.md`, 3.6), and how many orders there
may be; they stand among the others in `guard.protocol.messages`. How a body with such a request is
taken apart, `guard.protocol.all_or_none` says.
"""

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.order_messages import Admit, Order, Reject
from guard.protocol.value_types import RequestId

TYPE: Final = "all_or_none"
# Others wait while one record decides all of them, each twice: some ten microseconds an order.
ORDERS_MAX: Final = 64


class AllOrNone(Struct, tag=TYPE, tag_field="type", forbid_unknown_fields=True):
    """Orders of one desk, 1 to 64: all of them are admitted, or none is."""

    orders: list[Order]
    request_id: RequestId = UNSET


class AllOrNoneAnswer(Struct, tag=TYPE, tag_field="type"):
    """What became of them, in one record. `answers`: each order's own, in their order.

    `refused_index`: the place, from 0, of the order that was refused for itself, where one was; all
    others then are refused because of it. Left out where they are admitted.
    """

    desk: str
    wal_sequence: int
    admitted: bool
    repeat: bool
    answers: list[Admit | Reject]
    refused_index: int | UnsetType = UNSET
    request_id: RequestId = UNSET
