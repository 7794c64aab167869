"""What a record says, for someone who holds that one record. Pure.

Owns the few fields of a record's `data` that name it to people: which event, of which desk and
order, answered how and when. Must not: check anything (the proof around the record does), or need
the record to be of this version: a proof is read years later, and what it does not know it passes
over. `guard.record.codec` is the strict reader.

How it fails: never; what is not there is None.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

ORDER_EVENTS: Final = ("order", "order_refused")
TOGETHER: Final = "all_or_none"


@dataclass(frozen=True, slots=True)
class Claim:
    """The fields by which people know a record; None where it does not have one.

    `answer` is the kind of the reply (`admit`, `reject`, `filled`, `released`, `reduced`,
    `executed`, `replace_settled`), `reason` the one in it, `venue` where an admitted order may go.
    `orders`: of orders that stand or fall together, by one record, what each one's part says.
    Times are nanoseconds since 1970-01-01 UTC.
    """

    event: str | None = None
    desk: str | None = None
    client_order_id: str | None = None
    fill_id: str | None = None
    answer: str | None = None
    reason: str | None = None
    venue: int | None = None
    received_at_ns: int | None = None
    client: str | None = None
    orders: tuple["Claim", ...] = ()


class _Request(Struct):
    desk: str | None = None
    client_order_id: str | None = None
    fill_id: str | None = None


class _Answer(Struct):
    type: str | None = None
    reason: str | None = None
    venue: int | None = None


class _Event(Struct):
    event: str | None = None
    received_at_ns: int | None = None
    client: str | None = None
    order: _Request | None = None
    fill: _Request | None = None
    cancel: _Request | None = None
    reduce: _Request | None = None
    execution: _Request | None = None
    replaced: _Request | None = None
    replace_rejected: _Request | None = None
    answer: _Answer | None = None


class _Data(_Event):
    metadata: _Event | None = None
    desk: str | None = None
    records: list[msgspec.Raw] = []


_decode = msgspec.json.Decoder(_Data).decode


def read_claim(data: bytes) -> Claim:
    """What the record with this `data` says; an empty claim of one that is not the guard's."""
    try:
        record = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Claim()
    if record.event != TOGETHER:
        return _claim_of(record)
    try:
        parts = tuple(_claim_of(_decode(part)) for part in record.records)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Claim()
    return Claim(
        TOGETHER,
        record.desk,
        received_at_ns=record.received_at_ns,
        client=record.client,
        orders=parts,
    )


def _claim_of(record: _Data) -> Claim:
    event = record.metadata or record
    if event.event is None:
        return Claim()
    request = event.order or event.fill or event.cancel or event.reduce or event.execution
    request = request or event.replaced or event.replace_rejected or _Request()
    answer = event.answer or _Answer()
    return Claim(
        event.event,
        request.desk,
        request.client_order_id,
        request.fill_id,
        answer.type,
        answer.reason,
        answer.venue,
        event.received_at_ns,
        event.client,
    )
