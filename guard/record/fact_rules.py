"""What no guard writes of a fact (fill, cancel, reduction, execution) and of its answer. Pure.

Owns that part of the rules for records (`guard.record.rules`) which the state alone is asked for:
what an answer repeats of its request, the ranges of its numbers, its flags, and that no more of a
debt is paid than is owed.

How it fails: `RecordError` naming the field, the value and what is allowed.
"""

from typing import Any, Final

from msgspec import UNSET

from guard.engine.cancel_all import ORDERS_MAX, SINCE_RULES
from guard.engine.request_events import (
    CanceledAllRecorded,
    ExecutionRecorded,
    FillRecorded,
    OrderReleased,
    ReductionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
from guard.engine.state import GuardState
from guard.protocol.fields import (
    EXECUTION_FLAG_SETS,
    EXECUTION_FLAGS,
    RECORDED_FLAGS,
    REDUCED_FLAGS,
    SETTLED_FLAGS,
)
from guard.protocol.messages import I64_MAX
from guard.record.checking import check_answer, check_is, check_range, refused

_CANCEL_FLAGS: Final = (["early"], ["rate"], ["early", "rate"])
_HELD: Final = ("open_quantity", "hold_microcents", "released_microcents")


def check_fill(state: GuardState, sequence: int, event: FillRecorded) -> None:
    """A fill's record."""
    fill, answer = event.fill, event.answer
    _check_answer(state, answer, fill, sequence, _HELD)
    check_is("answer.fill_id", answer.fill_id, fill.fill_id)
    check_is("answer.fee_microcents", answer.fee_microcents, fill.fee_microcents)
    unpaid, fee = answer.unpaid_fee_microcents, max(fill.fee_microcents, 0)
    check_range("answer.unpaid_fee_microcents", unpaid, 0, fee)
    for flag in answer.flags:
        if flag not in RECORDED_FLAGS:
            raise refused("answer.flags", flag, ", ".join(RECORDED_FLAGS))
    if "uncharged" in answer.flags and unpaid:
        raise refused("answer.unpaid_fee_microcents", unpaid, "0 of a fee that is not charged")


def check_release(state: GuardState, sequence: int, event: OrderReleased) -> None:
    """A cancel's."""
    answer = event.answer
    _check_answer(state, answer, event.cancel, sequence, _HELD[2:])
    if answer.flags is not UNSET and answer.flags not in _CANCEL_FLAGS:
        raise refused("answer.flags", ", ".join(answer.flags), "early, rate")


def check_execution(state: GuardState, sequence: int, event: ExecutionRecorded) -> None:
    """An execution's."""
    execution, answer = event.execution, event.answer
    _check_answer(state, answer, execution, sequence, _HELD)
    check_is("answer.execution_id", answer.execution_id, execution.execution_id)
    if answer.flags not in EXECUTION_FLAG_SETS:
        raise refused("answer.flags", ", ".join(answer.flags), ", ".join(EXECUTION_FLAGS))


def check_canceled_all(state: GuardState, sequence: int, event: CanceledAllRecorded) -> None:
    """What ends many orders: names that there are, a record that there is, what it says again."""
    if state.rules_version < SINCE_RULES:
        raise refused("event", "cancel_all", f"since version {SINCE_RULES} of the rules")
    asked, answer = event.cancel_all, event.answer
    check_is("answer.wal_sequence", answer.wal_sequence, sequence)
    check_is("answer.request_id", answer.request_id, UNSET)
    for name in ("through_sequence", "of_desk", "of_symbol", "of_venue"):
        check_is(f"answer.{name}", getattr(answer, name), getattr(asked, name))
    check_range("cancel_all.through_sequence", asked.through_sequence, 1, sequence - 1)
    for name, known in (("of_desk", state.desks), ("of_symbol", state.instruments)):
        said = getattr(asked, name)
        if said is not None and said not in known:
            raise refused(f"cancel_all.{name}", said, "one that there is")
    check_range("answer.orders", answer.orders, 0, ORDERS_MAX)
    check_range("answer.released_microcents", answer.released_microcents, 0, I64_MAX)


def check_reduction(state: GuardState, sequence: int, event: ReductionRecorded) -> None:
    """A reduction's."""
    reduction, answer = event.reduce, event.answer
    _check_answer(state, answer, reduction, sequence, _HELD)
    check_is("answer.reduce_id", answer.reduce_id, reduction.reduce_id)
    if answer.flags not in REDUCED_FLAGS:
        raise refused("answer.flags", ", ".join(answer.flags), "one of late, overreduced, or none")


def check_settled(
    state: GuardState, sequence: int, request: Any, event: ReplaceDone | ReplaceFailed
) -> None:
    """What ends a replace."""
    answer = event.answer
    _check_answer(state, answer, request, sequence, _HELD)
    if answer.flags not in SETTLED_FLAGS:
        raise refused("answer.flags", ", ".join(answer.flags), "late, or none")


def _check_answer(
    state: GuardState, answer: Any, request: Any, sequence: int, names: tuple[str, ...]
) -> None:
    """What all facts' answers have; `names`: of the amounts. A debt that is paid is owed."""
    check_answer(answer, request, sequence)
    check_is("answer.desk", answer.desk, request.desk)
    for name in names:
        check_range(f"answer.{name}", getattr(answer, name), 0, I64_MAX)
    collected = answer.collected_microcents
    if collected is UNSET:
        return
    desk = state.desks.get(request.desk)
    owed = 0 if desk is None else desk.unpaid_fees_microcents
    if not 0 < collected <= min(owed, I64_MAX):
        allowed = f"an integer from 1 to the debt, {owed}" if owed else "none: nothing is owed"
        raise refused("answer.collected_microcents", collected, allowed)
