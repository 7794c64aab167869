# cython: annotation_typing=False
"""Whose the remembered ids are: what each desk may have of them, and what it has. Pure.

Owns the rule that one desk's ids never stop another's (`guard/PROTOCOL.md`, 10). Half of
`remembered_orders_max` is shared out to the desks in equal minima, which nobody else can take; the
other half is a pool, of which a desk may take half of what the others leave of it. One desk alone
has all of it. Orders for desks that do not exist have a small part beside it, all of them together.
Fills have bounds of their own, for each order and for each desk.

How it works: an id and a fill belong to the share of their desk, which has a number: 0 is that of
desks that do not exist, and the desks' follow in the order in which they were opened. Who adds an
id or takes one away counts it here, so that a question costs the same however many there are. Under
rules before version 2 there is one share, number 0, which is everybody's (`is_split` says which).

Must not: forget anything, or refuse anything by itself.
"""

from collections.abc import Iterable
from typing import Final

from guard.engine.row_map import NO_ROW

SHARES_SINCE_RULES: Final = 2
# Beside so many ids of desks, one more is remembered of desks that do not exist.
UNKNOWN_PART = 64
# An order that is filled more often than this is none: a hundred fills a minute, all day.
FILLS_PER_ORDER_MAX = 65_536
# What a desk may have of fills: as many as one order may, and so many for each id of its part.
FILLS_PER_ID = 4
# Entries stop where an eighth of the room for fills is left, so that those under way still fit.
NEAR_NUMERATOR, NEAR_DENOMINATOR = 7, 8
FILLS_PER_ORDER_NEAR = FILLS_PER_ORDER_MAX * NEAR_NUMERATOR // NEAR_DENOMINATOR

# Beside so many ids that a desk has for itself, one more is left to its reducing orders.
EXITS_PART = 8

_NO_ROW = NO_ROW
_UNKNOWN = 0
# What a checkpoint holds of a share, in this order.
SHARE_FIELDS: Final = (
    "ids", "fills", "crowded", "closed_first", "closed_last", "last_expires_at_ns",
)  # fmt: skip


class DeskIds:
    """What is remembered of one desk.

    `open_count`: its open orders; not dumped, `guard.engine.remembered_whole` counts them anew.
    `crowded`: those of them that have nearly as many fills as one may have. The queue of its
    closed orders, from `closed_first` to `closed_last`: the next one to be forgotten stands first.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.ids = self.fills = self.crowded = self.open_count = 0
        self.closed_first = self.closed_last = _NO_ROW
        self.last_expires_at_ns = 0

    def values(self) -> tuple[int, ...]:
        """As a checkpoint holds it."""
        return tuple(getattr(self, name) for name in SHARE_FIELDS)

    def take_values(self, values: Iterable[int]) -> None:
        """Becomes what a checkpoint holds."""
        for name, value in zip(SHARE_FIELDS, values, strict=True):
            setattr(self, name, value)


class Shares:
    """All shares, by number, and what of them is free."""

    def __init__(self) -> None:
        self.is_split = False
        self.all = [DeskIds(_UNKNOWN)]
        self.ids_max = self.unknown_max = self.minimum = self.pool = 0
        self.fills_max = self.fills_near = 0
        self.fills_per_order_max = FILLS_PER_ORDER_MAX
        self.fills_per_order_near = FILLS_PER_ORDER_NEAR
        self.pool_used = 0
        self.exits_extra = 0  # so many more ids each may have for orders that but reduce

    def of(self, number: int) -> DeskIds:
        """The share of that number."""
        share: DeskIds = self.all[number]
        return share

    def open_desk(self) -> int:
        """The number of a further desk's share."""
        if not self.is_split:
            return _UNKNOWN
        self.all.append(DeskIds(len(self.all)))
        self.set_ids_max(self.ids_max)
        return len(self.all) - 1

    def set_ids_max(self, ids_max: int) -> None:
        """So many ids may be remembered from now on: what that is for each is worked out anew."""
        desk_count = max(1, len(self.all) - 1)
        self.ids_max = ids_max
        self.unknown_max = max(1, ids_max // UNKNOWN_PART)
        self.minimum = ids_max if desk_count == 1 else ids_max // (2 * desk_count)
        self.exits_extra = max(1, self.minimum // EXITS_PART)
        self.pool = ids_max - self.minimum * desk_count
        self.fills_max = FILLS_PER_ORDER_MAX + FILLS_PER_ID * ids_max // desk_count
        self.fills_near = self.fills_max * NEAR_NUMERATOR // NEAR_DENOMINATOR
        self.pool_used = sum(max(0, share.ids - self.minimum) for share in self.all[1:])

    def ids_limit(self, share: DeskIds) -> int:
        """How many ids it may have now."""
        if share.number == _UNKNOWN:
            return self.unknown_max
        used = share.ids - self.minimum if share.ids > self.minimum else 0
        left = self.pool - (self.pool_used - used)
        return self.minimum + (left + 1) // 2 if left > 0 else self.minimum

    def ids_expected(self) -> int:
        """The most ids that there can come to be, with those that there are."""
        desks = sum(max(share.ids, self.minimum) for share in self.all[1:])
        unknown = max(self.all[0].ids, self.unknown_max)
        return unknown + max(self.ids_max, desks + max(0, self.pool - self.pool_used))

    def add_id(self, share: DeskIds) -> int:
        """One more id is remembered of that share."""
        if share.ids >= self.minimum and share.number != _UNKNOWN:
            self.pool_used += 1
        share.ids += 1
        return 0

    def drop_id(self, share: DeskIds) -> int:
        """One fewer is."""
        if share.ids > self.minimum and share.number != _UNKNOWN:
            self.pool_used -= 1
        share.ids -= 1
        return 0
