"""The text of every record of a request, as tables of fields.

Owns which events answer requests and what stands in each, in which order (`wal/FORMAT.md`, "Records
of the guard"): made from the types of `guard.protocol.messages`. Writing and reading walk over
these tables (`guard.record.writer`, `guard.record.reader`). Administrative events are
`guard.engine.events`' types.
"""

from collections.abc import Sequence
from typing import Final

from guard.protocol import fields
from guard.protocol.fields import TEXT_NAMES, Field, ValueKind, answer_field, fields_of_answer
from guard.protocol.layout import Layout, Step, encode_json, json_steps
from guard.protocol.messages import (
    I64_MAX,
    REPLY_FIELDS,
    Admit,
    Executed,
    Filled,
    Reduced,
    Reject,
    Released,
    ReplaceSettled,
)
from guard.protocol.ranges import TIME_NS_MAX
from guard.protocol.request import REQUEST_NUMBERS

# What every event begins with.
EVENT_FIELDS: Final = (
    Field(
        "received_at_ns",
        ValueKind.NUMBER,
        REQUEST_NUMBERS.index("received_at_ns"),
        (),
        0,
        TIME_NS_MAX,
    ),
    Field("client", ValueKind.TEXT, TEXT_NAMES.index("client")),
    Field("batch_first_sequence", ValueKind.NUMBER, REQUEST_NUMBERS.index("batch_first_sequence")),
)


def _request(event: str, key: str, kind: int) -> list[Step]:
    """The event up to the last field of its request, without that's id."""
    opening = b'{"event":%b,' % encode_json(event)
    of_request = b',"%b":{"type":"%b",' % (key.encode(), fields.KINDS[kind].encode())
    return json_steps(EVENT_FIELDS, opening) + json_steps(fields.RECORDED_FIELDS[kind], of_request)


def _answer(type_: str, answer_fields: Sequence[Field]) -> list[Step]:
    return json_steps(answer_fields, b'},"answer":{"type":"%b",' % type_.encode())


ORDER_DECIDED: Final = Layout(_request("order", "order", fields.ORDER))
ORDER_REFUSED: Final = Layout(_request("order_refused", "order", fields.ORDER))
ADMIT: Final = Layout(_answer("admit", fields_of_answer(Admit, *REPLY_FIELDS)), b"}}")
REJECT: Final = Layout(_answer("reject", fields_of_answer(Reject, "field", *REPLY_FIELDS)), b"}}")
REJECT_REUSED: Final = Layout(_answer("reject", fields_of_answer(Reject, *REPLY_FIELDS)), b"}}")
_HALTS_DESK: Final = answer_field(Filled, "halts_desk")
FILL: Final = Layout(
    _request("fill", "fill", fields.FILL)
    + _answer("filled", fields_of_answer(Filled))
    + json_steps([_HALTS_DESK], b"},"),
    b"}",
)
RELEASE: Final = Layout(
    _request("release", "cancel", fields.CANCEL) + _answer("released", fields_of_answer(Released)),
    b"}}",
)
REDUCTION: Final = Layout(
    _request("reduce", "reduce", fields.REDUCE) + _answer("reduced", fields_of_answer(Reduced)),
    b"}}",
)
EXECUTION: Final = Layout(
    _request("execution", "execution", fields.EXECUTION)
    + _answer("executed", fields_of_answer(Executed)),
    b"}}",
)
EXECUTION_REQUEST: Final = Layout(_request("execution", "execution", fields.EXECUTION))
FILL_REQUEST: Final = Layout(_request("fill", "fill", fields.FILL))
RELEASE_REQUEST: Final = Layout(_request("release", "cancel", fields.CANCEL))
REDUCTION_REQUEST: Final = Layout(_request("reduce", "reduce", fields.REDUCE))

REPLACED_REQUEST: Final = Layout(_request("replaced", "replaced", fields.REPLACED))
REPLACE_REJECTED_REQUEST: Final = Layout(
    _request("replace_rejected", "replace_rejected", fields.REPLACE_REJECTED)
)
_SETTLED: Final = _answer("replace_settled", fields_of_answer(ReplaceSettled))
REPLACED: Final = Layout(
    _request("replaced", "replaced", fields.REPLACED) + _SETTLED,
    b"}}",
)
REPLACE_REJECTED: Final = Layout(
    _request("replace_rejected", "replace_rejected", fields.REPLACE_REJECTED) + _SETTLED,
    b"}}",
)

# Of a replace, which is an order's record: whose place the order is to take, where an order's ends.
REPLACES: Final = Layout(
    json_steps(
        [Field("replaces", ValueKind.TEXT, TEXT_NAMES.index("original_client_order_id"))], b","
    )
)
# At the end of an event's text, each where it is not 0: the mark of the order's symbol, how old it
# was, the price to which it has jumped, if that is not confirmed; the log's count of time; what the
# system's clock said, where that was something else.
TAIL_NAMES: Final = ("mark_price", "mark_age_ns", "mark_jump", "elapsed_ns", "clock_ns")
TAIL: Final = [b',"%b":' % name.encode() for name in TAIL_NAMES]
TAIL_SLOTS: Final = [REQUEST_NUMBERS.index(name) for name in TAIL_NAMES]
TAIL_MAXES: Final = [
    I64_MAX if name in ("mark_price", "mark_jump") else TIME_NS_MAX for name in TAIL_NAMES
]

# A decision record: the published format's four keys, with the event as its `metadata`.
AUDIT: Final = b'{"audit":'
METADATA: Final = b'},"metadata":'
