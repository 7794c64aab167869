"""One record of orders that stand or fall together ↔ the orders. Pure.

Owns the text of such a record (`wal/FORMAT.md`, "Records of the guard"): each order's part is what
`guard.record.writer` writes of one that comes alone, byte for byte, so that whoever reads records
of orders reads these, too: `parts_of` gives them.

How it fails: `RecordError` for parts that no guard writes.
"""

from typing import Final

import msgspec
from msgspec import Raw

from guard.engine.order_group import NONE_REFUSED, OrderGroup
from guard.engine.request_events import AllOrNoneRecorded
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from guard.record.codec import RecordError, decode_data, encode_event
from guard.record.reader import RecordReader
from guard.record.unusual import read_event
from guard.record.writer import RecordWriter

_ADMITTED: Final = int(OutcomeKind.ADMITTED)
_TOGETHER: Final = int(Refusal.ALL_OR_NONE_REFUSED)
_HEAD: Final = b'{"event":"all_or_none",'


class _Parts(msgspec.Struct):
    records: list[Raw]


_decode_parts = msgspec.json.Decoder(_Parts).decode


def text_of(writer: RecordWriter, group: OrderGroup, policy_digest_hex: str) -> bytes:
    """The record's data, of orders that were decided."""
    first = group.requests[0]
    event = AllOrNoneRecorded(
        received_at_ns=first.received_at_ns,
        client=first.client,
        batch_first_sequence=first.batch_first_sequence,
        desk=first.desk,
        records=[
            Raw(writer.data(request, outcome, policy_digest_hex))
            for request, outcome in group.pairs
        ],
    )
    return encode_event(event)


def read_group(reader: RecordReader, event: AllOrNoneRecorded, group: OrderGroup) -> None:
    """Puts what the record says into the group. Raises RecordError where it cannot stand."""
    requests, outcomes = [Request() for _ in event.records], [Outcome() for _ in event.records]
    for raw, request, outcome in zip(event.records, requests, outcomes, strict=True):
        data = bytes(raw)
        if not reader.read(data, request, outcome):
            read_event(reader, decode_data(data).outcome, request, outcome)
    group.outcomes = outcomes
    group.begin(requests)
    for place, outcome in enumerate(outcomes):
        if outcome.kind != _ADMITTED and outcome.reason != _TOGETHER:
            group.refused_index = place
    is_refused = any(outcome.kind != _ADMITTED for outcome in outcomes)
    if is_refused != (group.refused_index != NONE_REFUSED):
        raise RecordError("orders are refused because of one that is not")


def parts_of(data: bytes) -> list[bytes]:
    """The records of orders that a record holds; of any other record itself alone."""
    if not data.startswith(_HEAD):
        return [data]
    try:
        return [bytes(part) for part in _decode_parts(data).records]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"no record of this guard: {error}") from error
