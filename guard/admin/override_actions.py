"""What an override of one order would do: the event, and the difference in words. Pure.

A part of `guard.admin.actions`. What an override is, `guard.engine.overrides` says.

How it fails: `AdminError` for what cannot be overridden.
"""

from typing import Any

from guard.admin.errors import AdminError
from guard.admin.people_messages import OverrideOrder
from guard.admin.plans import Plan, named
from guard.engine.actor import Actor
from guard.engine.overrides import OVERRIDABLE, OVERRIDES_MAX, order_digest_hex
from guard.engine.people_events import OrderOverridden
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.messages import Order
from guard.protocol.request import Request
from guard.protocol.request_reader import RequestReader
from guard.protocol.wire import check_request


def plan_override(state: GuardState, action: OverrideOrder, actor: Actor) -> Plan:
    """One order is to pass. Raises AdminError."""
    if state.people.terms is None:
        words = "an order is overridden by two people alone; allowed: with [approvals] configured"
        raise AdminError("not_permitted", "type", words)
    order = action.order
    for field, name, names in (
        ("desk", order.desk, state.desks),
        ("symbol", order.symbol, state.instruments),
    ):
        if name not in names:
            raise AdminError(f"unknown_{field}", "order", f"order.{field}: there is no {name!r}")
    for word in action.checks or [""]:
        if word not in OVERRIDABLE:
            allowed = ", ".join(OVERRIDABLE)
            raise AdminError("invalid", "checks", f"checks: {word!r} is none; allowed: {allowed}")
    request = read_order(state, order)
    request.received_at_ns = actor.received_at_ns
    if state.orders.find(request, actor.received_at_ns) != NO_ROW:
        words = f"order {order.desk}/{order.client_order_id} was answered; allowed: another id"
        raise AdminError("already_so", "order", words)
    event = overridden(state, action, actor)
    waiting = state.people.overrides
    if event.order_digest_hex in waiting or len(waiting) >= OVERRIDES_MAX:
        words = f"{len(waiting)} overrides wait for their orders, this one among them or too many"
        raise AdminError("too_many", "order", words)
    side = f"{order.side} {order.quantity} {order.symbol} at {order.price}"
    words = f"order {order.desk}/{order.client_order_id} ({side}) passes {', '.join(event.checks)}"
    return Plan(event, [f"{words}, once"])


def overridden(state: GuardState, action: OverrideOrder, actor: Actor) -> Any:
    """The event of that."""
    return named(
        actor,
        OrderOverridden,
        action,
        desk=action.order.desk,
        client_order_id=action.order.client_order_id,
        order_digest_hex=order_digest_hex(read_order(state, action.order)),
        checks=sorted(set(action.checks)),
    )


def read_order(state: GuardState, order: Order) -> Request:
    """The order as a guard reads it. Raises AdminError for one that it would not take."""
    request = Request()
    try:
        check_request(order, state.currency)
    except ValueError as error:
        raise AdminError("invalid", "order", f"order.{error}") from error
    RequestReader("local").take(request, order)
    return request
