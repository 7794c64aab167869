"""What the log says of locates: one type an event. Pure.

A part of `guard.engine.events`, which names them all.
"""

from msgspec import UNSET, UnsetType

from guard.engine.administrative import Administrative
from guard.protocol.ranges import ActionId, CountAboveZero, DeskName, OrderName, Symbol


class LocateAdded(Administrative, tag="locate_added"):
    """A desk may sell so many lots of a symbol short, under that id."""

    locate_id: OrderName
    desk: DeskName
    symbol: Symbol
    quantity_lots: CountAboveZero
    action_id: ActionId | UnsetType = UNSET


class LocateRemoved(Administrative, tag="locate_removed"):
    """That locate is there no more. What was sold short out of it stays sold."""

    locate_id: OrderName
    action_id: ActionId | UnsetType = UNSET
