"""What the rules of records hold a field to, in words. Pure.

Owns the forms of a refusal that `guard.record.rules` has in common: a field that is another one, or
out of its range; what an answer repeats of its record and its request; a cut's place.

How it fails: `RecordError` naming the field, the value and what is allowed.
"""

from typing import Any

from msgspec import UNSET

from guard.engine.events import CutNoted
from guard.protocol.messages import REPLY_FIELDS, Admit, Reject
from guard.record.codec import RecordError
from guard.record.words import refusal


def refused(field: str, value: object, allowed: object) -> RecordError:
    """An error that names the field, the value and what is allowed."""
    return RecordError(refusal(field, value, allowed))


def check_is(field: str, value: object, wanted: object) -> None:
    """It has that value."""
    if value != wanted:
        raise refused(field, value, wanted)


def check_range(field: str, value: int, low: int, high: int) -> None:
    """It is an integer of that range."""
    if not low <= value <= high:
        raise refused(field, value, f"an integer from {low} to {high}")


def check_answer(answer: Any, request: Any, sequence: int) -> None:
    """What an answer has of its record and its request is what these say themselves."""
    if answer.wal_sequence != sequence:
        raise refused("answer.wal_sequence", answer.wal_sequence, sequence)
    if answer.client_order_id != request.client_order_id:
        check_is("answer.client_order_id", answer.client_order_id, request.client_order_id)
    if answer.repeat:
        raise refused("answer.repeat", True, "false")
    for name in REPLY_FIELDS if isinstance(answer, Admit | Reject) else ("request_id",):
        value = getattr(answer, name)
        if value is not UNSET:
            raise refused(f"answer.{name}", value, "none: it belongs to the reply alone")


def check_noted(answer: Admit, order: Any) -> None:
    """What an admit says where it is so, and a locate's lots are an order's own."""
    if answer.self_match is False:
        raise refused("answer.self_match", False, "true, or left out")
    if answer.located_lots is not UNSET:
        high = 0 if order.locate_id is UNSET else order.quantity
        check_range("answer.located_lots", answer.located_lots, 1, high)


def check_cut(place: str, cut: CutNoted, sequence: int) -> None:
    """What was cut had stood where this session begins; its copy is named after its place."""
    check_is(f"{place}.first_sequence_lost", cut.first_sequence_lost, sequence)
    name = f"{cut.segment}.cut-{sequence}-{cut.offset}"
    if not (cut.copy_name == name or cut.copy_name.startswith(f"{name}-")):
        raise refused(f"{place}.copy_name", cut.copy_name, f"{name}, or that and a number")
