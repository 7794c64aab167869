"""Decide: what of the facts that came early, and of what was said of fills since, bears on a
request. Pure; changes nothing but the outcome.

Owns the questions that seldom have an answer and that `guard.engine.decide` asks where there are
facts at all (`guard.engine.facts` keeps them): which fill is due, whether a cancel came before its
order or may be kept until that comes, what people said of a fill.

How it fails: it does not.
"""

from guard.engine.remembered_rows import fills_of, find_fill, key_of_fill
from guard.engine.state import GuardState
from guard.protocol.fields import ACCEPTED, BUSTED, CORRECTED, FILL, FILL_FIELDS
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

_KEY_NAMES = FILL_FIELDS[:3]
_CONTENT = FILL_FIELDS[3:]


def is_in_turn(state: GuardState, request: Request) -> bool:
    """May the request be decided now? Where an early fill is due it alone may, as it was reported.

    It follows its order's record, in the same batch.
    """
    due = state.facts.due
    if not due:
        return True
    if request.kind != FILL or state.orders.said_fill_key(request) != due[0]:
        return False
    known = Request()
    state.orders.read_fill(find_fill(state.orders, due[0]), known, Outcome())
    return all(getattr(known, name) == getattr(request, name) for name in _CONTENT)


def put_due(state: GuardState, request: Request) -> bool:
    """Puts the fill that is to be recorded next, if any; its time and batch are the caller's."""
    due = state.facts.due
    if not due:
        return False
    state.orders.read_fill(find_fill(state.orders, due[0]), request, Outcome())
    request.kind = FILL
    for name, value in zip(_KEY_NAMES, due[0].split(b"\0"), strict=True):
        request.set_text(name, value)
    return True


def early_cancel(state: GuardState, request: Request) -> int:
    """The record of a cancel of the request's order that came before it; 0 where none did."""
    key = state.orders.order_key(request)
    if key not in state.facts.canceled:
        return 0
    return state.facts.cancel_of(key, request.received_at_ns)


def may_keep_cancel(state: GuardState, request: Request) -> bool:
    """Is there such a desk, and room for one more cancel of an order that it may yet send?"""
    desk = state.desks.get(request.desk)
    if desk is None:
        return False
    return state.facts.has_room_for_cancel(desk.name.encode(), request.received_at_ns)


def amended_flags(state: GuardState, request: Request, outcome: Outcome) -> int:
    """What was said of a fill since, which was answered so."""
    amendment = state.facts.amendment_of(state.orders.fill_key(request), outcome.sequence)
    flags = ACCEPTED if amendment.is_accepted else 0
    flags |= BUSTED if amendment.is_busted else 0
    return flags | CORRECTED if amendment.is_corrected else flags


def count_amended(state: GuardState, order_row: int, outcome: Outcome) -> None:
    """Puts how many of the order's fills were busted, and how many corrected."""
    if not state.facts.has_amendments:
        return
    orders = state.orders
    fill, answer = Request(), Outcome()
    for row in fills_of(orders, order_row):
        orders.read_fill(row, fill, answer)
        amendment = state.facts.amendment_of(key_of_fill(orders, row), answer.sequence)
        outcome.busted_fills += amendment.is_busted
        outcome.corrected_fills += amendment.is_corrected
