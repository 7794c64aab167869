# cython: annotation_typing=False, nonecheck=True
"""Replies, written from a request and its outcome in the request's encoding. Pure.

Owns one table of fields a type of reply and encoding, made from the types of
`guard.protocol.messages`. The bytes are those that msgspec writes of these types. A reply that is
seldom asked for, or known only when it leaves (errors, `pong`, `stats`), is written by msgspec
itself: see `guard.server`.

Must not: check the buffer's room, which is the caller's: REPLY_BYTES_MAX.
"""

from collections.abc import Sequence

import msgspec

from guard.protocol import json_text as text
from guard.protocol import layout as tables
from guard.protocol import message_pack as pack
from guard.protocol.fields import STATUS_BEFORE, STATUS_BEHIND, Field, fields_of_answer
from guard.protocol.json_text import Buffer
from guard.protocol.layout import (
    Layout,
    encode_json,
    encode_pack,
    json_steps,
    pack_steps,
)
from guard.protocol.messages import (
    Admit,
    Executed,
    Filled,
    Reduced,
    Reject,
    Released,
    ReplaceSettled,
)
from guard.protocol.outcome import FOREIGN, Outcome, OutcomeKind
from guard.protocol.reasons import Refusal
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

# The longest: a status with an order's reject of eleven members, its texts all escaped.
REPLY_BYTES_MAX = 2_048

_ECHO_AT = TEXTS["echo"][0]
_JSON_ECHO, _PACK_ECHO = b',"request_id":', encode_pack("request_id")
_JSON_END = b"}"
_ADMITTED, _FILLED, _RELEASED, _STATUS, _REDUCED = map(
    int,
    (
        OutcomeKind.ADMITTED,
        OutcomeKind.FILLED,
        OutcomeKind.RELEASED,
        OutcomeKind.STATUS,
        OutcomeKind.REDUCED,
    ),
)
_EXECUTED = int(OutcomeKind.EXECUTED)
_REPLACED, _REPLACE_REJECTED = int(OutcomeKind.REPLACED), int(OutcomeKind.REPLACE_REJECTED)
_FOREIGN, _REFUSED = FOREIGN, int(OutcomeKind.REFUSED)
_REUSED = int(Refusal.CLIENT_ORDER_ID_REUSED)
_UNKNOWN_STATE = 0
_REFUSED_STATE = 3
_JSON_ANSWER, _PACK_ANSWER = b',"answer":', encode_pack("answer")
_JSON_NULL, _PACK_NIL = b"null", b"\xc0"
_SHORT_MAP_MAX = 15
_ARRAY = 0x5B


def _json_layout(type_: str, fields: Sequence[Field]) -> Layout:
    return Layout(json_steps(fields, b'{"type":' + encode_json(type_) + b","))


def _pack_layout(type_: str, fields: Sequence[Field]) -> Layout:
    """But for the map's head, which counts the request's id too."""
    return Layout(pack_steps(fields, encode_pack("type") + encode_pack(type_)))


_TIME = "received_at_ns"
_ANSWERS = (
    ("admit", fields_of_answer(Admit)),
    ("reject", fields_of_answer(Reject, "field")),
    ("admit", fields_of_answer(Admit, _TIME)),
    ("reject", fields_of_answer(Reject, "field", _TIME)),
    ("reject", fields_of_answer(Reject)),
    ("filled", fields_of_answer(Filled)),
    ("released", fields_of_answer(Released)),
    ("status", STATUS_BEFORE),
    ("reduced", fields_of_answer(Reduced)),
    ("executed", fields_of_answer(Executed)),
    ("replace_settled", fields_of_answer(ReplaceSettled)),
)
_ADMIT, _REJECT, _ADMIT_UNTIMED, _REJECT_UNTIMED = range(4)
_REJECT_REUSED, _FILL, _RELEASE, _STATUS_BEFORE, _REDUCE, _EXECUTION, _SETTLED = range(4, 11)
_JSON = [_json_layout(*answer) for answer in _ANSWERS]
_PACK = [_pack_layout(*answer) for answer in _ANSWERS]
_JSON_BEHIND = Layout(json_steps(STATUS_BEHIND, b","))
_PACK_BEHIND = Layout(pack_steps(STATUS_BEHIND))
_STATUS_MEMBERS = len(STATUS_BEFORE) + 2  # and those behind its answer


def put_reply(out: Buffer, at: int, request: Request, outcome: Outcome, is_json: bool) -> int:
    """Writes the reply to a request that was answered so; the offset behind it."""
    if outcome.kind == _STATUS:
        at = _put_status(out, at, request, outcome, is_json)
    else:
        at = _put_answer(out, at, request, outcome, is_json, request.echo_bytes > 0)
    if request.echo_bytes > 0:
        at = text.put(out, at, _JSON_ECHO if is_json else _PACK_ECHO)
        at = text.put_slice(out, at, request.texts, _ECHO_AT, request.echo_bytes)
    return text.put(out, at, _JSON_END) if is_json else at


def reply_body(request: Request, outcome: Outcome) -> bytes:
    """The reply in MessagePack, by itself."""
    out = bytearray(REPLY_BYTES_MAX)
    return le.bytes_of(out, put_reply(out, 0, request, outcome, False))


def _put_answer(
    out: Buffer, at: int, request: Request, outcome: Outcome, is_json: bool, has_echo: bool
) -> int:
    """The members but for the request's id, and no end."""
    if outcome.reason == _FOREIGN and outcome.kind <= _REFUSED:
        return _put_foreign(out, at, request, outcome, is_json, has_echo)
    answer = _answer_of(outcome)
    if is_json:
        return tables.write_json(_JSON[answer], out, at, request, outcome)
    layout = _PACK[answer]
    count = tables.count_written(layout, request, outcome)
    at = put_map_head(out, at, count + 1 + has_echo)
    return tables.write_pack(layout, out, at, request, outcome)


def _put_foreign(
    out: Buffer, at: int, request: Request, outcome: Outcome, is_json: bool, has_echo: bool
) -> int:
    """The same of an answer that rules of another version gave, as msgspec writes it."""
    assert outcome.foreign is not None
    answer = msgspec.structs.replace(
        outcome.foreign,
        client_order_id=request.client_order_id,
        repeat=outcome.repeat != 0,
        desk=request.desk,
        received_at_ns=outcome.received_at_ns or msgspec.UNSET,
    )
    # As a map of what is said: of a type with more than 15 keys msgspec writes a longer head.
    body = encode_json(answer) if is_json else encode_pack(msgspec.to_builtins(answer))
    count = len(body) - (1 if is_json else 0)
    at = text.put_slice(out, at, body, 0, count)
    if not is_json:
        out[at - count] += has_echo
    return at


def _answer_of(outcome: Outcome) -> int:
    kind = outcome.kind
    is_timed = outcome.received_at_ns > 0
    if kind == _ADMITTED:
        return _ADMIT if is_timed else _ADMIT_UNTIMED
    if kind == _FILLED:
        return _FILL
    if kind == _RELEASED:
        return _RELEASE
    if kind == _REDUCED:
        return _REDUCE
    if kind == _EXECUTED:
        return _EXECUTION
    if kind in (_REPLACED, _REPLACE_REJECTED):
        return _SETTLED
    if outcome.reason == _REUSED:
        return _REJECT_REUSED
    return _REJECT if is_timed else _REJECT_UNTIMED


def _put_status(out: Buffer, at: int, request: Request, outcome: Outcome, is_json: bool) -> int:
    """What is known of an order: its own answer stands in the middle."""
    state = outcome.state
    if is_json:
        at = tables.write_json(_JSON[_STATUS_BEFORE], out, at, request, outcome)
        at = text.put(out, at, _JSON_ANSWER)
    else:
        members = _STATUS_MEMBERS + tables.count_written(_PACK_BEHIND, request, outcome)
        at = put_map_head(out, at, members + (request.echo_bytes > 0))
        at = tables.write_pack(_PACK[_STATUS_BEFORE], out, at, request, outcome)
        at = text.put(out, at, _PACK_ANSWER)
    if state == _UNKNOWN_STATE:
        at = text.put(out, at, _JSON_NULL if is_json else _PACK_NIL)
    else:
        outcome.kind = _ADMITTED if state != _REFUSED_STATE else 0
        at = _put_answer(out, at, request, outcome, is_json, False)
        if is_json:
            at = text.put(out, at, _JSON_END)
        outcome.kind = _STATUS
    if is_json:
        return tables.write_json(_JSON_BEHIND, out, at, request, outcome)
    return tables.write_pack(_PACK_BEHIND, out, at, request, outcome)


def put_map_head(out: Buffer, at: int, count: int) -> int:
    """What stands before so many pairs, at most 255."""
    if count <= _SHORT_MAP_MAX:
        out[at] = 0x80 | count
        return at + 1
    out[at] = 0xDE
    out[at + 1] = 0
    out[at + 2] = count
    return at + 3


def put_array_head(out: Buffer, count: int, is_json: bool) -> int:
    """What stands before so many replies; the offset behind it."""
    if is_json:
        out[0] = _ARRAY
        return 1
    return pack.put_array_head(out, 0, count)
