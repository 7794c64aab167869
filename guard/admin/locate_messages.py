"""The messages about locates. Pure.

A part of `guard.admin.messages`, which names them all.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct

from guard.admin.message_base import PAGE_MAX, Action, Query
from guard.protocol.messages import RequestId
from guard.protocol.ranges import CountAboveZero, DeskName, OrderName, Symbol


class AddLocate(Action, tag="add_locate"):
    """A lender has promised a desk so many lots of a symbol: it may sell them short."""

    locate_id: OrderName
    desk: DeskName
    symbol: Symbol
    quantity_lots: CountAboveZero


class RemoveLocate(Action, tag="remove_locate"):
    """The promise has ended: no order is admitted out of it any more."""

    locate_id: OrderName


class ListLocates(Query, tag="locates"):
    """Locates by id, behind `after_locate`."""

    desk: DeskName | None = None
    after_locate: OrderName | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class LocateLine(Struct):
    """A locate, and how many of its lots admitted orders use."""

    locate_id: str
    desk: str
    symbol: str
    quantity_lots: int
    used_lots: int
    wal_sequence: int


class LocatesReply(Struct, tag="locates", tag_field="type"):
    """A page of locates; `next_after`: where the next page begins, null behind the last one."""

    locates: list[LocateLine]
    next_after: str | None
    head_sequence: int
    request_id: RequestId = UNSET
