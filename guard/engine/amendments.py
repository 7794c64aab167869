"""What a person says of a recorded fill: accepted, busted, corrected. Pure.

Owns which of these may be said of which fill, and what it moves: `assess_…` gives the fields of the
event that says so, and `apply_…` folds that event into the state. Whoever submits one (a start's
options, an operator while the guard serves) asks, records and applies: nothing else is needed. The
rules for records (`guard.record.rules`) ask the same of an event that a log holds.

Of money the fee alone moves. Accepted, it is charged; busted, what was charged of it returns as a
top-up of the budget, since what is spent never falls; corrected, the difference is charged or
returns. What returns pays what the desk owes first. Quantity and hold that the fill freed stay
freed, and no more is freed. Positions: `guard.engine.amended_positions`.

How it fails: `AmendmentError` naming the fill and what is in the way; None where the same has been
said already, and nothing is to be recorded.
"""

from typing import Any, Final, NamedTuple

from msgspec import UNSET, UnsetType, structs

from guard.engine.amended_positions import Traded, note_amended
from guard.engine.events import FillAccepted, FillBusted, FillCorrected
from guard.engine.facts import Amendment
from guard.engine.found import Desk
from guard.engine.positions import NO_POSITION
from guard.engine.remembered_rows import fill_key_of, find_fill, is_fill_remembered
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import UNCHARGED
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome
from guard.protocol.request import TEXTS, Request
from kernel import Charged, InvariantError, ToppedUp

# The rules' version from which on what comes free pays a debt.
COLLECTING_SINCE_RULES: Final = 2
_KEY_NAMES: Final = ("desk", "client_order_id", "fill_id")


class AmendmentError(ValueError):
    """It cannot be said of that fill."""


class FillName(NamedTuple):
    """The identity of a fill."""

    desk: str
    client_order_id: str
    fill_id: str

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def key(self) -> bytes:
        """As `guard.engine.remembered` has it."""
        return "\0".join(self).encode()


class Correction(NamedTuple):
    """What a fill should have said; None: what it said is right. Lots, ticks, microcents."""

    quantity: int | None = None
    price: int | None = None
    fee_microcents: int | None = None


class _Fill(NamedTuple):
    """A remembered fill as it stands: with what was said of it since. `price`: None if unsaid."""

    sequence: int
    quantity: int
    price: int | None
    fee_microcents: int
    is_uncharged: bool
    amendment: Amendment

    @property
    def charged_microcents(self) -> int:
        """What was charged for it, be it paid or owed."""
        return 0 if self.is_uncharged else max(self.fee_microcents, 0)


def _key(state: GuardState, name: FillName) -> bytes:
    """The key under which that fill is remembered."""
    return fill_key_of(state.orders, name.key)


def is_known(state: GuardState, name: FillName, at_ns: int) -> bool:
    """Is a fill of that name remembered, or an execution whose fill has not come?"""
    return _key(state, name) in state.executions.unreported or _row_of(state, name, at_ns) != NO_ROW


def assess_acceptance(state: GuardState, name: FillName, at_ns: int) -> dict[str, Any] | None:
    """The fields of `FillAccepted`: the fee of a fill that was not charged, and what is unpaid."""
    fill, desk = _find(state, name, at_ns)
    if fill.amendment.is_accepted:
        return None
    if not fill.is_uncharged:
        raise AmendmentError(f"fill {name}: its fee was charged when it was recorded")
    fee = max(fill.fee_microcents, 0)
    unpaid = fee - min(fee, _free(state, desk))
    return {
        **_identity(name, fill),
        "fee_microcents": fee,
        "unpaid_fee_microcents": unpaid,
    }


def assess_bust(state: GuardState, name: FillName, at_ns: int) -> dict[str, Any] | None:
    """The fields of `FillBusted`: what was charged returns, and pays what is owed.

    So may an execution be named whose fill has not come: it charged nothing.
    """
    execution = state.executions.unreported.get(_key(state, name))
    if execution is not None and name.desk in state.desks:
        returning = _returning(state, name, state.desks[name.desk], 0)
        return {**name._asdict(), "fill_sequence": execution.sequence, **returning}
    fill, desk = _find(state, name, at_ns, may_be_busted=True)
    if fill.amendment.is_busted:
        return None
    returned = min(fill.charged_microcents, _returnable(state, desk))
    return {**_identity(name, fill), **_returning(state, name, desk, returned)}


def assess_correction(
    state: GuardState, name: FillName, at_ns: int, correction: Correction
) -> dict[str, Any] | None:
    """The fields of `FillCorrected`: the fill as it is then, and what its fee's change moves."""
    fill, desk = _find(state, name, at_ns)
    quantity = fill.quantity if correction.quantity is None else correction.quantity
    price = fill.price if correction.price is None else correction.price
    fee = fill.fee_microcents
    if correction.fee_microcents is not None:
        fee = correction.fee_microcents
    if (quantity, price, fee) == (fill.quantity, fill.price, fill.fee_microcents):
        return None
    corrected = fill._replace(fee_microcents=fee)
    more = corrected.charged_microcents - fill.charged_microcents
    unpaid = max(more, 0) - min(max(more, 0), _free(state, desk))
    return {
        **_identity(name, fill),
        "quantity": quantity,
        "price": price,
        "fee_microcents": fee,
        "charged_microcents": max(more, 0),
        "unpaid_fee_microcents": unpaid,
        **_returning(state, name, desk, min(max(-more, 0), _returnable(state, desk))),
    }


def assess(
    state: GuardState,
    kind: type,
    name: FillName,
    at_ns: int,
    correction: Correction,
) -> dict[str, Any] | None:
    """The fields of an event of that kind, one of the three; `correction` is of one alone."""
    if kind is FillCorrected:
        return assess_correction(state, name, at_ns, correction)
    return (assess_acceptance if kind is FillAccepted else assess_bust)(state, name, at_ns)


def assess_again(state: GuardState, event: FillAccepted | FillBusted | FillCorrected) -> Any:
    """The same of what an event says: on the state before it, its own fields."""
    correction = Correction()
    if isinstance(event, FillCorrected):
        correction = Correction(event.quantity, event.price, event.fee_microcents)
    return assess(state, type(event), _name_of(event), event.received_at_ns, correction)


def retold(state: GuardState, event: Any) -> Any:
    """The event as it would have been on another state; None where nothing would have been said."""
    try:
        fields = assess_again(state, event)
    except AmendmentError:
        return None
    return None if fields is None else structs.replace(event, **fields)


def apply_accepted(state: GuardState, event: FillAccepted) -> None:
    """The fee is charged."""
    name = _name_of(event)
    amendment = _amendment(state, name, event)
    _charge(state, name.desk, event.fee_microcents, event.unpaid_fee_microcents)
    _amend(state, name, amendment._replace(is_accepted=True))


def apply_busted(state: GuardState, event: FillBusted) -> None:
    """What was charged returns."""
    name = _name_of(event)
    if _key(state, name) in state.executions.unreported:
        _apply_busted_execution(state, name, event)
        return
    amendment = _amendment(state, name, event)
    _return(state, event)
    note_amended(
        state, _key(state, name), event.fill_sequence, _traded(state, name, amendment), None
    )
    _amend(state, name, amendment._replace(is_busted=True))


def _apply_busted_execution(state: GuardState, name: FillName, event: FillBusted) -> None:
    """What it moved is moved back; a fill that comes of it yet counts as one without execution."""
    execution = state.executions.unreported.pop(_key(state, name))
    if execution.sequence != event.fill_sequence:
        raise InvariantError(f"execution {name} is of record {execution.sequence}")
    if execution.position_row != NO_POSITION:
        state.positions.undo(
            execution.position_row,
            execution.side,
            execution.quantity,
            execution.confirmed,
            execution.microcents,
        )


def apply_corrected(state: GuardState, event: FillCorrected) -> None:
    """The difference is charged, or returns."""
    name = _name_of(event)
    amendment = _amendment(state, name, event)
    _charge(state, name.desk, event.charged_microcents, event.unpaid_fee_microcents)
    _return(state, event)
    corrected = amendment._replace(
        quantity=event.quantity, price=event.price, fee_microcents=event.fee_microcents
    )
    traded = Traded(event.quantity, event.price)
    note_amended(
        state, _key(state, name), event.fill_sequence, _traded(state, name, amendment), traded
    )
    _amend(state, name, corrected)


def _traded(state: GuardState, name: FillName, amendment: Amendment) -> Traded:
    """The fill as it stands."""
    fields = Request()
    state.orders.read_fill(find_fill(state.orders, _key(state, name)), fields, Outcome())
    quantity = fields.quantity if amendment.quantity is None else amendment.quantity
    price = fields.price or None if amendment.price is None else amendment.price
    return Traded(quantity, price)


def _find(
    state: GuardState, name: FillName, at_ns: int, *, may_be_busted: bool = False
) -> tuple[_Fill, Desk]:
    row = _row_of(state, name, at_ns)
    if row == NO_ROW:
        raise AmendmentError(f"fill {name}: no such fill is known, or it was forgotten")
    desk = state.desks.get(name.desk)
    if desk is None:
        raise AmendmentError(
            f"fill {name}: the log has no desk {name.desk!r} that could be charged"
        )
    fields, answer = Request(), Outcome()
    state.orders.read_fill(row, fields, answer)
    amendment = state.facts.amendment_of(_key(state, name), answer.sequence)
    if amendment.is_busted and not may_be_busted:
        raise AmendmentError(f"fill {name}: it was busted")
    price = fields.price if amendment.price is None else amendment.price
    fee = fields.fee_microcents
    if amendment.fee_microcents is not None:
        fee = amendment.fee_microcents
    return (
        _Fill(
            answer.sequence,
            fields.quantity if amendment.quantity is None else amendment.quantity,
            price or None,
            fee,
            answer.flags & UNCHARGED != 0 and not amendment.is_accepted,
            amendment,
        ),
        desk,
    )


def _row_of(state: GuardState, name: FillName, at_ns: int) -> int:
    fields = Request()
    for key, value in zip(_KEY_NAMES, name, strict=True):
        if len(value.encode()) > TEXTS[key][1]:
            return NO_ROW
        fields.set_text(key, value.encode())
    return state.orders.find_fill(fields, at_ns)


def _identity(name: FillName, fill: _Fill) -> dict[str, Any]:
    return {**name._asdict(), "fill_sequence": fill.sequence}


def _free(state: GuardState, desk: Desk) -> int:
    return state.ledger.remaining_microcents(desk.name) or 0


def _returnable(state: GuardState, desk: Desk) -> int:
    """What the desk has spent and owes, less what returned: a forgiven fee was never paid."""
    spent = state.ledger.committed_microcents(desk.name) or 0
    return max(0, spent + desk.unpaid_fees_microcents - desk.returned_microcents)


def _returning(
    state: GuardState, name: FillName, desk: Desk, returned_microcents: int
) -> dict[str, Any]:
    granted = state.ledger.initial_microcents(desk.name) or 0
    if granted + returned_microcents > I64_MAX:
        owed = desk.unpaid_fees_microcents
        remedy = f"; what it owes, {owed}, can be forgiven first (resume)" if owed else ""
        raise AmendmentError(
            f"fill {name}: {returned_microcents} microcents cannot return to {desk.name}, which "
            f"was granted {granted}: together at most {I64_MAX}{remedy}"
        )
    collected = 0
    if returned_microcents:
        collected = desk.debt_paid_by(_free(state, desk) + returned_microcents)
    return {
        "returned_microcents": returned_microcents,
        "collected_microcents": collected or UNSET,
    }


def _name_of(event: FillAccepted | FillBusted | FillCorrected) -> FillName:
    return FillName(event.desk, event.client_order_id, event.fill_id)


def _amendment(
    state: GuardState, name: FillName, event: FillAccepted | FillBusted | FillCorrected
) -> Amendment:
    """What was said before. Raises InvariantError for a fill that is none."""
    if not is_fill_remembered(state.orders, _key(state, name), event.fill_sequence):
        raise InvariantError(f"fill {name} of record {event.fill_sequence} is not known")
    return state.facts.amendment_of(_key(state, name), event.fill_sequence)


def _amend(state: GuardState, name: FillName, amendment: Amendment) -> None:
    state.facts.amend(
        _key(state, name),
        amendment,
        lambda key, sequence: is_fill_remembered(state.orders, key, sequence),
    )
    state.note_facts()


def _charge(state: GuardState, desk: str, fee_microcents: int, unpaid_microcents: int) -> None:
    result = state.ledger.charge(desk, fee_microcents - unpaid_microcents)
    if not isinstance(result, Charged):
        raise InvariantError(f"fee of {desk}: the ledger answers {result!r}")
    if unpaid_microcents:
        state.desks[desk].is_halted = True
        state.desks[desk].unpaid_fees_microcents += unpaid_microcents


def _return(state: GuardState, event: FillBusted | FillCorrected) -> None:
    if not event.returned_microcents:
        return
    result = state.ledger.top_up_tenant(event.desk, event.returned_microcents)
    if not isinstance(result, ToppedUp):
        raise InvariantError(f"return to {event.desk}: the ledger answers {result!r}")
    desk = state.desks[event.desk]
    desk.returned_microcents += event.returned_microcents
    pay_debt(state, desk, event.collected_microcents or 0)


def collected_by(state: GuardState, name: str, freed_microcents: int) -> int | UnsetType:
    """What of a desk's debt is paid by what comes free."""
    desk = state.desks.get(name)
    if desk is None:
        return UNSET
    free = (state.ledger.remaining_microcents(name) or 0) + freed_microcents
    return desk.debt_paid_by(free) or UNSET


def pay_debt(state: GuardState, desk: Desk, collected_microcents: int) -> None:
    """What came free pays so much of what the desk owes."""
    if collected_microcents:
        _charge(state, desk.name, collected_microcents, 0)
        desk.collect(collected_microcents)
