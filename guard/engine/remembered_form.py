"""The form in which an order or a fill and its answer are remembered, as tables of fields.

Owns what a payload of `guard.engine.remembered` holds: a MessagePack array, first an array of the
request's fields without those in the key, then the answer's without those that the request has.
Reasons, stages and flags are numbers, but for reasons of rules that this version does not know. It
is kept in memory and in checkpoints, not in the log: a change of it is a new checkpoint version.
"""

from typing import Any, Final

import msgspec

from guard.protocol import fields
from guard.protocol.fields import Field, ValueKind, answer_field
from guard.protocol.layout import Layout, Step, encode_pack
from guard.protocol.messages import Admit, Reject
from kernel import InvariantError


def _steps(values: list[Field], opening: bytes) -> list[Step]:
    """An array's elements; `opening`: what stands before the first one."""
    return [
        Step(b"" if index else opening, field, [encode_pack(word) for word in field.words])
        for index, field in enumerate(values)
    ]


def _as_number(field: Field) -> Field:
    """A word, kept as its number."""
    return field._replace(kind=ValueKind.NUMBER, high=len(field.words) - 1)


# An array of the order's fields but for the two of its key, then of its answer's.
_ORDER_CONTENT: Final = list(fields.RECORDED_FIELDS[fields.ORDER][2:])
_REASON, _STAGE = (_as_number(answer_field(Reject, name)) for name in ("reason", "stage"))
_ADMIT_REST: Final = [_REASON, *(
    answer_field(Admit, name)
    for name in (
        "wal_sequence", "reservation_id", "venue", "substituted", "notional_microcents",
        "fee_microcents",
    )
)]  # fmt: skip
_REJECT_REST: Final = [
    _REASON, answer_field(Reject, "wal_sequence"), _STAGE, answer_field(Reject, "detail")
]  # fmt: skip
_CONTENT_HEAD: Final = b"\xdc" + len(_ORDER_CONTENT).to_bytes(2, "big")
_ADMIT_HEAD: Final = bytes([0x90 + 1 + len(_ADMIT_REST)])
ADMITTED = Layout(_steps(_ORDER_CONTENT, _ADMIT_HEAD + _CONTENT_HEAD) + _steps(_ADMIT_REST, b""))
REJECTED = Layout(
    _steps(_ORDER_CONTENT, bytes([0x90 + 1 + len(_REJECT_REST)]) + _CONTENT_HEAD)
    + _steps(_REJECT_REST, b"")
)
# The same of a fill and the three of its key.
_FILL_CONTENT: Final = list(fields.RECORDED_FIELDS[fields.FILL][3:])
_FLAGS: Final = _as_number(answer_field(Reject, "flags"))
_FILL_REST: Final = [*(
    answer_field(Reject, name)
    for name in (
        "wal_sequence", "open_quantity", "hold_microcents", "released_microcents",
        "unpaid_fee_microcents",
    )
), _FLAGS]  # fmt: skip
FILL = Layout(
    _steps(_FILL_CONTENT, bytes([0x90 + 1 + len(_FILL_REST), 0x90 + len(_FILL_CONTENT)]))
    + _steps(_FILL_REST, b"")
)
ADMIT_MARK = _ADMIT_HEAD[0]
CONTENT = Layout(_steps(_ORDER_CONTENT, _CONTENT_HEAD))
_REJECT_VALUES: Final = 2  # of a reject behind its sequence: its stage and its detail


def put_foreign_rest(answer: Admit | Reject) -> tuple[int, bytes]:
    """Of an answer of other rules: how many elements the array has, and those behind the order.

    Raises InvariantError for an integer that no request can hold.
    """
    code = fields.CODE_OF_REASON.get(answer.reason, answer.reason)
    rest: tuple[Any, ...] = msgspec.structs.astuple(answer)[1:7]
    if isinstance(answer, Reject):
        rest = (answer.wal_sequence, fields.STAGES.index(answer.stage), answer.detail)
    try:
        return 2 + len(rest), b"".join(map(encode_pack, (code, *rest)))
    except OverflowError as error:
        raise InvariantError(f"a record holds an impossible integer: {error}") from error


def read_foreign(payload: bytes) -> Admit | Reject:
    """The answer that is remembered in a payload, without its order's id."""
    code, sequence, *rest = msgspec.msgpack.decode(payload)[1:]
    word = code if isinstance(code, str) else fields.REASON_WORDS[code]
    if len(rest) == _REJECT_VALUES:
        return Reject("", sequence, fields.STAGES[rest[0]], word, rest[1], False)
    reservation_id, venue, substituted, notional, fee = rest
    return Admit("", sequence, reservation_id, venue, substituted, notional, fee, word, False)


def fill_sequence(payload: bytes) -> int:
    """The sequence of the record of a remembered fill."""
    sequence: int = msgspec.msgpack.decode(payload)[1]
    return sequence
