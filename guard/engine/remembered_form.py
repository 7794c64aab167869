"""The form in which an order or a fill and its answer are remembered, as tables of fields.

Owns which integers a row of `guard.engine.remembered` has, and what its payload holds: a
MessagePack array, first an array of the request's fields without those in the key, then the
answer's without those that the request has. Reasons, stages and flags are numbers, but for reasons
of rules that this version does not know. It is kept in memory and in checkpoints, not in the log: a
change of it is a new checkpoint version.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from guard.protocol import fields
from guard.protocol.fields import TEXT_NAMES, Field, ValueKind, answer_field
from guard.protocol.layout import Layout, Step, encode_pack
from guard.protocol.messages import Admit, Filled, Reduced, Reject
from kernel import InvariantError


class OrderPhase(IntEnum):
    """Where an order is in its life. All kinds of closed are `closed` to a client.

    REPLACED: another one of its chain stands in its place.
    """

    OPEN = 1
    FILLED = 2
    CANCELED = 3
    REFUSED = 4
    REPLACED = 5


# An order's integers in its row. A release sequence of 0: not canceled. Rows: those closed next and
# before in its desk's queue, and its last fill. `closed_at_ns`: or when it was sent, if that is
# later. `share`: a number. What comes behind `first_fill` is only kept since rules version 2.
ORDER_ROW: Final = (
    "phase", "hold_microcents", "filled_quantity", "expires_at_ns", "release_sequence",
    "released_microcents", "next_closed", "first_fill",
    "closed_before", "closed_at_ns", "fill_count", "share",
    "reduced_quantity", "chain",
)  # fmt: skip
# A chain's integers (`guard.engine.chains`): the rows of its first order, of the one that stands,
# of the one that waits for the venue's word, or NO_ROW; how many lots of both may be filled at
# most, what is filled included, and how many that ever were. An order's `chain` is 0 where it is of
# none; of the first one it is the chain's row and one more, of all others that below zero.
CHAIN_ROW: Final = ("first", "standing", "pending", "lots", "lots_ever")
# How many of them there are of orders none of which was ever reduced or replaced.
NARROW_FIELDS: Final = 12
# A fill's integers: the order's next fill, or the next orphan; NEVER where it goes with its order.
FILL_ROW: Final = ("next_fill", "expires_at_ns")


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
# (Its locate stands behind the answer, of those that have one.)
_ORDER_CONTENT: Final = [
    field for field in fields.RECORDED_FIELDS[fields.ORDER][2:] if not field.is_sparse
]
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
# When the order was received: of those that are answered under these rules or later ones. What is
# remembered of earlier ones is part of digests that stand in logs.
TIMED_SINCE_RULES_VERSION: Final = 2
_TIME: Final = answer_field(Admit, "received_at_ns")
_CONTENT_HEAD: Final = b"\xdc" + len(_ORDER_CONTENT).to_bytes(2, "big")


def _order_layout(rest: list[Field], head: bytes = b"") -> Layout:
    head = head or bytes([0x90 + 1 + len(rest)])
    return Layout(_steps(_ORDER_CONTENT, head + _CONTENT_HEAD) + _steps(rest, b""))


ADMITTED, ADMITTED_TIMED = _order_layout(_ADMIT_REST), _order_layout([*_ADMIT_REST, _TIME])
# One that may trade against the firm's own, or that names a locate, says that, too.
_NOTED: Final = [
    _as_number(answer_field(Admit, "self_match"))._replace(is_sparse=False),
    answer_field(Admit, "located_lots")._replace(is_sparse=False, low=0),
]
_LOCATE, *_NAMES = (
    field._replace(kind=ValueKind.OPTIONAL_TEXT, is_sparse=False)
    for field in fields.RECORDED_FIELDS[fields.ORDER]
    if field.name in ("locate_id", *fields.ORDER_NAMES)
)
# Before all else of an order that says whose it is: an array of those names, null for none. It
# begins as no order does.
NAMES_MARK: Final = 0x90 + len(_NAMES)
NAMES: Final = Layout(_steps(_NAMES, bytes([NAMES_MARK])))
ADMITTED_NOTED: Final = _order_layout([*_ADMIT_REST, _TIME, *_NOTED, _LOCATE])
REJECTED_NOTED: Final = _order_layout([*_REJECT_REST, _TIME, _LOCATE])
REJECTED, REJECTED_TIMED = _order_layout(_REJECT_REST), _order_layout([*_REJECT_REST, _TIME])
# Of a replace the same, and last whose place it is to take. It begins as no order does: with a head
# of three bytes or of five.
REPLACE_MARK, REPLACE_REJECTED_MARK = 0xDC, 0xDD
_ORIGINAL: Final = Field(
    "original_client_order_id", ValueKind.TEXT, TEXT_NAMES.index("original_client_order_id")
)
_REPLACE_RESTS: Final = (
    [*_ADMIT_REST, _TIME, _NOTED[0], _ORIGINAL],
    [*_REJECT_REST, _TIME, _ORIGINAL],
)
REPLACE_HEADS: Final = {REPLACE_MARK: 3, REPLACE_REJECTED_MARK: 5}  # how many bytes
REPLACE_ADMITTED, REPLACE_REJECTED = (
    _order_layout(rest, bytes([mark]) + (1 + len(rest)).to_bytes(REPLACE_HEADS[mark] - 1, "big"))
    for mark, rest in zip(REPLACE_HEADS, _REPLACE_RESTS, strict=True)
)
# By the first byte of a payload.
ORDER_LAYOUTS: Final = {
    layout.pieces[0][0]: layout
    for layout in (
        ADMITTED,
        ADMITTED_TIMED,
        ADMITTED_NOTED,
        REJECTED,
        REJECTED_TIMED,
        REJECTED_NOTED,
        REPLACE_ADMITTED,
        REPLACE_REJECTED,
    )
}
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
_COLLECTED: Final = answer_field(Filled, "collected_microcents")._replace(is_sparse=False)


def _fill_layout(rest: list[Field]) -> Layout:
    heads = bytes([0x90 + 1 + len(rest), 0x90 + len(_FILL_CONTENT)])
    return Layout(_steps(_FILL_CONTENT, heads) + _steps(rest, b""))


# One that collected a debt says that, too.
FILL: Final = _fill_layout(_FILL_REST)
FILL_COLLECTING: Final = _fill_layout([*_FILL_REST, _COLLECTED])
COLLECTING_MARK: Final = 0x90 + 2 + len(_FILL_REST)
# Of a reduction the same: its content, then its answer's. It begins as nothing else does.
REDUCTION: Final = Layout(
    _steps(
        [
            fields.RECORDED_FIELDS[fields.REDUCE][-1],
            *(
                answer_field(Reduced, name)
                for name in (
                    "wal_sequence", "open_quantity", "hold_microcents", "released_microcents"
                )
            ),
            _as_number(answer_field(Reduced, "flags")),
            _COLLECTED._replace(low=0),
        ],
        b"\xdc\x00\x07",
    )
)  # fmt: skip
REDUCTION_MARK: Final = 0xDC
CONTENT = Layout(_steps(_ORDER_CONTENT, _CONTENT_HEAD))
_ADMIT_VALUES: Final = len(_ADMIT_REST) - 2  # of an admit behind its reason and its sequence


def foreign_parts(answer: Admit | Reject, original: str, *time: int) -> tuple[bytes, bytes]:
    """Of an answer of other rules: the array's head, and its elements behind the order.

    `original`: whose place the order is to take; empty: nobody's. `time`: when it was received,
    where that is remembered.

    Raises InvariantError for an integer that no request can hold.
    """
    code = fields.CODE_OF_REASON.get(answer.reason, answer.reason)
    rest: tuple[Any, ...] = msgspec.structs.astuple(answer)[1:7]
    if isinstance(answer, Reject):
        rest = (answer.wal_sequence, fields.STAGES.index(answer.stage), answer.detail)
    rest += (*time, original) if original else time
    head = bytes([0x90 + 2 + len(rest)])
    if original:
        mark = REPLACE_MARK if isinstance(answer, Admit) else REPLACE_REJECTED_MARK
        head = bytes([mark]) + (2 + len(rest)).to_bytes(REPLACE_HEADS[mark] - 1, "big")
    try:
        return head, b"".join(map(encode_pack, (code, *rest)))
    except OverflowError as error:
        raise InvariantError(f"a record holds an impossible integer: {error}") from error


def read_foreign(payload: bytes) -> tuple[Admit | Reject, int, str]:
    """The answer that is remembered in a payload, without its order's id; when that was received.

    0 where it is not remembered. Last whose place the order is to take; empty: nobody's.
    """
    code, sequence, *rest = msgspec.msgpack.decode(payload)[1:]
    original = rest.pop() if payload[0] in REPLACE_HEADS else ""
    word = code if isinstance(code, str) else fields.REASON_WORDS[code]
    if len(rest) < _ADMIT_VALUES:
        stage, detail, *time = rest
        return Reject("", sequence, fields.STAGES[stage], word, detail, False), sum(time), original
    reservation_id, venue, substituted, notional, fee, *time = rest
    admit = Admit("", sequence, reservation_id, venue, substituted, notional, fee, word, False)
    return admit, sum(time), original


def fill_sequence(payload: bytes) -> int:
    """The sequence of the record of a remembered fill."""
    sequence: int = msgspec.msgpack.decode(payload)[1]
    return sequence
