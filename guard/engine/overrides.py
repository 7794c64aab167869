"""Overrides: one order that passes checks which two people have named. Pure.

Owns what an override names, who may use it, and its end. It names its order's content by a digest:
all that the order says but its own stamp of time and its currency, its id included; so it lets
that order pass and no other, and under its id an order is answered once. It is used up by the
record of that order, whatever that says, and ends at its time. Only checks of limits can be named:
not a halt, an identity, the kernel's decision, the budget or the cap.

How it works: a decision asks here where there are overrides at all (`GuardState.has_overrides`).

How it fails: `InvariantError` for an event that names what cannot be overridden.
"""

import hashlib
from typing import Final, NamedTuple

import msgspec

from guard.engine.checks import CHECKS_BEHIND_KERNEL
from guard.engine.people import note_due
from guard.engine.people_events import OrderOverridden
from guard.engine.state import GuardState
from guard.protocol import fields
from guard.protocol.fields import TEXT_NAMES
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from kernel import InvariantError

OVERRIDES_MAX: Final = 64
_LEFT_OUT: Final = ("sent_at_ns", "currency", "locate_id", *fields.ORDER_NAMES)
_NAMES: Final = tuple(
    field.name for field in fields.RECORDED_FIELDS[fields.ORDER] if field.name not in _LEFT_OUT
)
# What stands whatever two people say, by the keys of limits: what is unsaid, restricted symbols,
# rates and duplicates, a day's loss.
_STANDING: Final = ("", "restricted_symbols", "rates", "duplicate_window_ms", "day_loss_max")
# All other checks of limits, by the words of their reasons.
OVERRIDABLE: Final = {
    Refusal(check.number).word: int(check.number)
    for check in CHECKS_BEHIND_KERNEL
    if check.scope == "limits" and check.key not in _STANDING
}


class Override(NamedTuple):
    """An override that waits for its order: the numbers of its checks, and its event."""

    checks: frozenset[int]
    event: OrderOverridden


def order_digest_hex(request: Request) -> str:
    """The digest of an order's content."""
    said = [request.text(name) if name in TEXT_NAMES else getattr(request, name) for name in _NAMES]
    if request.locate_id:
        said.append(request.locate_id)
    if request.account_bytes or request.trader_bytes or request.algo_bytes:
        said.append([request.text(name) for name in fields.ORDER_NAMES])
    return hashlib.sha256(b"guardord\0" + msgspec.json.encode(said)).hexdigest()


def add(state: GuardState, event: OrderOverridden) -> None:
    """It waits for its order from now on."""
    unknown = [word for word in event.checks if word not in OVERRIDABLE]
    overrides = state.people.overrides
    if unknown or event.checks != sorted(set(event.checks)) or not event.checks:
        raise InvariantError(f"an override names {event.checks}, not checks of limits, ascending")
    if event.order_digest_hex in overrides or len(overrides) >= OVERRIDES_MAX:
        raise InvariantError(f"override {event.order_digest_hex} is one too many")
    numbers = frozenset(OVERRIDABLE[word] for word in event.checks)
    overrides[event.order_digest_hex] = Override(numbers, event)
    state.has_overrides = True


def checks_for(state: GuardState, request: Request) -> frozenset[int] | None:
    """The numbers of the checks that do not count for this order; None where all do."""
    found = state.people.overrides.get(order_digest_hex(request))
    return None if found is None else found.checks


def use(state: GuardState, request: Request, sequence: int) -> None:
    """The order's record is applied: its override, if it had one, is used up."""
    found = state.people.overrides.get(order_digest_hex(request))
    if found is not None:
        state.people.used = (sequence, found.event)
        forget(state, found.event.order_digest_hex)


def forget(state: GuardState, digest_hex: str) -> None:
    """It waits no more."""
    if state.people.overrides.pop(digest_hex, None) is None:
        raise InvariantError(f"override {digest_hex} ends, and does not wait")
    state.has_overrides = bool(state.people.overrides)
    note_due(state)
