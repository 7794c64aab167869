"""The orders remembered, so that a resend gets its first answer and a fill finds its hold. Pure.

Owns the map from (desk, client order id) to what became of the order, and when an id may be
forgotten: never while its order is open, and after that not before `expires_at_ns`. Times that an
order may be forgotten never run backwards along the queue, so the ids that have expired are always
those at its front.

Fills that name no order of ours are remembered here too, for as long as a closed order.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from guard.messages import Admit, Fill, Filled, Order, Reject, Released

NEVER: Final = 2**63 - 1  # expires_at_ns of an open order

OrderKey: TypeAlias = tuple[str, str]
RecordedFill: TypeAlias = tuple[Fill, Filled]


class OrderPhase(IntEnum):
    """Where an order is in its life. Both kinds of closed are `closed` to a client."""

    OPEN = 1
    FILLED = 2
    CANCELED = 3
    REFUSED = 4


@dataclass(slots=True)
class OrderState:
    """An order, its first answer, and what has happened to it since. Sizes in lots."""

    order: Order
    answer: Admit | Reject
    phase: OrderPhase
    hold_microcents: int = 0  # what is held now
    filled_quantity: int = 0
    release: Released | None = None
    fills: dict[str, RecordedFill] | None = None
    expires_at_ns: int = NEVER

    @property
    def open_quantity(self) -> int:
        """Lots that may still trade; 0 once the order is closed."""
        if self.phase is not OrderPhase.OPEN:
            return 0
        return self.order.quantity - self.filled_quantity


@dataclass(slots=True)
class OrphanFills:
    """Fills under an id that was not admitted here."""

    fills: dict[str, RecordedFill]
    expires_at_ns: int


class RememberedOrders:
    """The map of ids. Bounded by the caller, who asks `is_full` before it adds."""

    def __init__(self) -> None:
        self._orders: dict[OrderKey, OrderState] = {}
        self._closed: deque[tuple[OrderKey, OrderState]] = deque()
        self._orphans: dict[OrderKey, OrphanFills] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def find(self, desk: str, client_order_id: str, now_ns: int) -> OrderState | None:
        """The order under that id, or None where it is unknown or may be forgotten by now."""
        state = self._orders.get((desk, client_order_id))
        if state is None or state.expires_at_ns <= now_ns:
            return None
        return state

    def is_full(self, orders_max: int, now_ns: int) -> bool:
        """Are `orders_max` ids remembered of which none may be forgotten by now?"""
        if len(self._orders) < orders_max:
            return False
        return not (self._closed and self._closed[0][1].expires_at_ns <= now_ns)

    def add(self, state: OrderState) -> None:
        """Remembers a new order."""
        self._orders[(state.order.desk, state.order.client_order_id)] = state

    def close(self, state: OrderState, phase: OrderPhase, expires_at_ns: int) -> None:
        """Closes an order: from `expires_at_ns` on, and after all closed before it, it may go."""
        state.phase = phase
        if self._closed:
            expires_at_ns = max(expires_at_ns, self._closed[-1][1].expires_at_ns)
        state.expires_at_ns = expires_at_ns
        self._closed.append(((state.order.desk, state.order.client_order_id), state))

    def forget_expired(self, now_ns: int) -> None:
        """Forgets what may be forgotten by `now_ns`."""
        closed = self._closed
        while closed and closed[0][1].expires_at_ns <= now_ns:
            key, state = closed.popleft()
            if self._orders.get(key) is state:
                del self._orders[key]
        orphans = self._orphans
        while orphans:
            oldest = next(iter(orphans))
            if orphans[oldest].expires_at_ns > now_ns:
                break
            del orphans[oldest]

    def find_fill(
        self, desk: str, client_order_id: str, fill_id: str, now_ns: int
    ) -> RecordedFill | None:
        """The fill recorded under that identity, of an order of ours or not."""
        state = self.find(desk, client_order_id, now_ns)
        if state is not None and state.fills is not None and fill_id in state.fills:
            return state.fills[fill_id]
        orphan = self._orphans.get((desk, client_order_id))
        if orphan is None or orphan.expires_at_ns <= now_ns:
            return None
        return orphan.fills.get(fill_id)

    def add_orphan_fill(self, fill: Fill, answer: Filled, expires_at_ns: int, ids_max: int) -> None:
        """Remembers a fill of no order of ours; beyond `ids_max` ids the oldest one goes."""
        key = (fill.desk, fill.client_order_id)
        earlier = self._orphans.pop(key, None)
        fills = earlier.fills if earlier is not None else {}
        fills[fill.fill_id] = (fill, answer)
        self._orphans[key] = OrphanFills(fills, expires_at_ns)
        if len(self._orphans) > ids_max:
            del self._orphans[next(iter(self._orphans))]
