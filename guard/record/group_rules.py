"""What a record of orders that stand or fall together must be in itself. Pure.

Owns the rules for such a record's parts (`wal/FORMAT.md`, "Records of the guard"): each is what an
order's own record would be, of the same time, client, batch and desk, under an id of its own; all
are admitted, or one is refused for itself and every other because of that one. What each order is
held to by itself, `guard.record.rules` says.

How it fails: `RecordError` naming the part, the field, the value and what is allowed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from guard.engine.events import Decided
from guard.engine.request_events import AllOrNoneRecorded, OrderDecided, OrderRefused
from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.messages import Admit, Reject
from guard.protocol.reasons import Refusal
from guard.record.checking import check_is, refused
from guard.record.codec import RecordError, decode_data

BECAUSE_OF: Final = Refusal.ALL_OR_NONE_REFUSED.word
# What all of them have in common with the record.
_COMMON: Final = ("received_at_ns", "client", "batch_first_sequence")


@contextmanager
def at(place: int) -> Iterator[None]:
    """What is wrong within is of the part at that place."""
    try:
        yield
    except RecordError as error:
        raise RecordError(f"records[{place}].{error}") from error


def check(event: AllOrNoneRecorded) -> list[OrderDecided | OrderRefused]:
    """The orders of a record whose parts can stand together. Raises RecordError."""
    count = len(event.records)
    if not 0 < count <= ORDERS_MAX:
        raise refused("records", f"{count} records", f"1 to {ORDERS_MAX}")
    orders = []
    for place, raw in enumerate(event.records):
        with at(place):
            orders.append(_order_of(decode_data(bytes(raw))))
            _check_common(event, orders[0], orders[place])
    ids = [each.order.client_order_id for each in orders]
    for place, name in enumerate(ids):
        if name in ids[:place]:
            with at(place):
                raise refused("order.client_order_id", name, "each id once")
    _check_answers([each.answer for each in orders])
    return orders


def _order_of(decided: Decided) -> OrderDecided | OrderRefused:
    """The order of a part."""
    order = decided.outcome
    if not isinstance(order, OrderDecided | OrderRefused):
        raise refused("event", order.__struct_config__.tag, "order or order_refused")
    if (decided.kernel is None) != isinstance(order, OrderRefused):
        raise refused("event", order.__struct_config__.tag, "as the kernel was asked")
    return order


def _check_common(
    event: AllOrNoneRecorded,
    first: OrderDecided | OrderRefused,
    each: OrderDecided | OrderRefused,
) -> None:
    for name in _COMMON:
        check_is(name, getattr(each, name), getattr(event, name))
    for name in ("elapsed_ns", "clock_ns"):
        check_is(name, getattr(each, name), getattr(first, name))
    check_is("order.desk", each.order.desk, event.desk)
    if each.replaces:
        raise refused("replaces", each.replaces, "none: it is an order")


def _check_answers(answers: list[Admit | Reject]) -> None:
    """All admitted; or one refused for itself, and every other because of it."""
    if all(isinstance(answer, Admit) for answer in answers):
        return
    places = [
        place for place, answer in enumerate(answers)
        if isinstance(answer, Reject) and answer.reason != BECAUSE_OF
    ]  # fmt: skip
    if len(places) != 1:
        raise refused("records", f"{len(places)} refused for themselves", "one, or none refused")
    for place, answer in enumerate(answers):
        if place == places[0]:
            continue
        with at(place):
            check_is("answer.reason", answer.reason, BECAUSE_OF)
            if isinstance(answer, Reject):
                check_is("answer.detail", answer.detail, {"refused_index": places[0]})
