"""Orders that end with their day: which are open, and the event that frees one. Pure.

Owns what the day's close releases (`close.release_day_orders`): open orders whose time in force is
`day`, each by an event of its own, as `free_hold` frees one; and the whole close of a day where
nobody is served (`guard.server.closing` has the other).
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from guard.admin.actions import plan
from guard.admin.messages import CloseDay
from guard.engine import chains, remembered_rows
from guard.engine.actor import Actor
from guard.engine.amendments import collected_by
from guard.engine.events import HoldFreed
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol import fields

_DAY: Final = next(
    field.words.index("day")
    for field in fields.RECORDED_FIELDS[fields.ORDER]
    if field.name == "time_in_force"
)


def find_day_order(state: GuardState, row: int, end: int) -> int:
    """The first open `day` order from `row` on and before `end`; NO_ROW where there is none."""
    orders = state.orders
    while (row := orders.find_open(row, end)) != NO_ROW:
        orders.read(chains.standing(orders, row))
        if orders.known.time_in_force == _DAY and not remembered_rows.is_member(orders, row):
            return row
        row += 1
    return NO_ROW


def freed_event(state: GuardState, row: int, actor: Actor) -> Any:
    """The event that closes the open order of that row and frees what it holds."""
    desk, client_order_id = remembered_rows.id_of(state.orders, row)
    held = state.orders.hold_microcents(row)
    return actor.event(
        HoldFreed,
        desk=desk,
        client_order_id=client_order_id,
        released_microcents=held,
        collected_microcents=collected_by(state, desk, held),
    )


def close_changes(
    state: GuardState, action: CloseDay, actor: Actor, *, releases: bool
) -> list[str]:
    """What the whole close would change, in words. Raises AdminError."""
    plan(state, action, actor)
    end = state.orders.row_end() if releases else 0
    return changes_of(state, action, count_day_orders(state, 0, end, end))


class DayOrders(NamedTuple):
    """Day orders that are open: so many, of which so many have a hold; `row`: count on there."""

    row: int
    orders: int
    holds: int


def count_day_orders(state: GuardState, row: int, end: int, orders_max: int) -> DayOrders:
    """Those from `row` on and before `end`, so many at most."""
    orders = holds = 0
    while orders < orders_max:
        found = find_day_order(state, row, end)
        if found == NO_ROW:
            return DayOrders(end, orders, holds)
        row = found + 1
        orders += 1
        holds += state.orders.known_outcome.reservation_id != 0
    return DayOrders(row, orders, holds)


def changes_of(state: GuardState, action: CloseDay, counted: DayOrders) -> list[str]:
    """The same in words, of the day orders that are open now."""
    kept = state.ledger.active_reservations - counted.holds
    return [
        f"{counted.orders} day orders would be released",
        f"day {action.day}: would be closed, {kept} holds stay",
    ]


def close_now(
    state: GuardState,
    action: CloseDay,
    actor: Callable[[], Actor],
    log: Callable[[Any], object],
    *,
    releases: bool,
) -> int:
    """The same where nobody is served: by `log`, which records and applies. How many it released.

    Raises AdminError.
    """
    row, released = 0, 0
    plan(state, action, actor())
    while releases and (row := find_day_order(state, row, state.orders.row_end())) != NO_ROW:
        log(freed_event(state, row, actor()))
        row += 1
        released += 1
    log(plan(state, action, actor()).event)
    return released
