"""What the log says of accounts: one type an event. Pure.

A part of `guard.engine.events`, which names them all.
"""

from msgspec import UNSET, UnsetType

from guard.engine.people_events import Approvable
from guard.protocol.ranges import ActionId, DeskName


class AccountSet(Approvable, tag="account_set"):
    """A desk has that account, which is that customer's from here on; nobody's where none is said.

    The first one of an account adds it. Its desk never changes.
    """

    account: DeskName
    desk: DeskName
    customer: DeskName | UnsetType = UNSET
    action_id: ActionId | UnsetType = UNSET
