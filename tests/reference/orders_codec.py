"""An order or a fill with its answer ↔ the bytes in which they are remembered. Pure.

Owns the keys and payloads of `reference.orders`. A payload is a MessagePack array: first an array
of the request's fields without those in the key, then the answer's without those that the request
has; flags are numbers, and so are reasons, except those of rules that this version does not know.
It is kept in memory and in checkpoints, not in the log: a change of it is a new checkpoint version.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.protocol.messages import (
    ORDER_TYPES,
    SIDES,
    TIMES_IN_FORCE,
    Admit,
    Fill,
    Filled,
    Order,
    Reject,
)
from guard.protocol.reasons import Refusal, Stage
from kernel import InvariantError, Reason

_encoder = msgspec.msgpack.Encoder()
_fields_of = msgspec.structs.astuple
_decode = msgspec.msgpack.Decoder(list[Any]).decode

CODE_OF_WORD: Final[dict[str, int]] = {
    **{reason.snake: int(reason) for reason in Reason},
    **{refusal.word: int(refusal) for refusal in Refusal},
}
_WORD_OF_CODE: Final = {code: word for word, code in CODE_OF_WORD.items()}
_STAGES: Final[tuple[Stage, ...]] = ("order", "kernel", "ledger")
FLAGS: Final = ("overfill", "late", "unknown", "refused", "uncharged", "early", "uncounted")

# Of an order's fields the first two are its key's, of a fill's the first three; the last one of
# both is the request id, which belongs to a sending. Before that an order has its locate and whose
# it is, of rules that this engine does not have.
_ORDER_CONTENT: Final = slice(2, -5)
_FILL_CONTENT: Final = slice(3, -1)
_REJECT_FIELDS: Final = 2  # of a reject's answer: its stage and its detail


# The same bytes piece by piece, for who writes and reads them in place: what an admission begins
# with (an array of eight, the first the array of an order's fields from its symbol to the time it
# was sent), and the words of the choices.
ADMITTED_HEAD: Final = b"\x98\xdc\x00\x12"
PACKED_SIDES, PACKED_ORDER_TYPES, PACKED_TIMES_IN_FORCE = (
    [_encoder.encode(word.decode()) for word in words]
    for words in (SIDES, ORDER_TYPES, TIMES_IN_FORCE)
)


def _encode(values: tuple[Any, ...]) -> bytes:
    try:
        return _encoder.encode(values)
    except OverflowError as error:
        raise InvariantError(f"a record holds an integer that no request can: {error}") from error


def order_key(desk: str, client_order_id: str) -> bytes:
    """Neither part can hold a NUL: two orders have one key only if they have one id."""
    return f"{desk}\0{client_order_id}".encode()


def fill_key(desk: str, client_order_id: str, fill_id: str) -> bytes:
    """A fill's identity as a key."""
    return f"{desk}\0{client_order_id}\0{fill_id}".encode()


def encode_order(order: Order, answer: Admit | Reject) -> bytes:
    """An order's content and its first answer, without what its key says."""
    content = _fields_of(order)[_ORDER_CONTENT]
    time = () if answer.received_at_ns is UNSET else (answer.received_at_ns,)
    if isinstance(answer, Admit):
        (_, wal_sequence, reservation_id, venue, substituted, notional_microcents, fee_microcents,
         reason, *_) = _fields_of(answer)  # fmt: skip
        code = CODE_OF_WORD.get(reason, reason)
        return _encode(
            (
                content,
                code,
                wal_sequence,
                reservation_id,
                venue,
                substituted,
                notional_microcents,
                fee_microcents,
                *time,
            )
        )
    code = CODE_OF_WORD.get(answer.reason, answer.reason)
    stage = _STAGES.index(answer.stage)
    return _encode((content, code, answer.wal_sequence, stage, answer.detail, *time))


def decode_order(desk: str, client_order_id: str, payload: bytes) -> tuple[Order, Admit | Reject]:
    """What `encode_order` was given."""
    content, code, sequence, *said = _decode(payload)
    order = Order(client_order_id, desk, *content)
    word = _WORD_OF_CODE.get(code, code)
    if len(said) <= _REJECT_FIELDS + 1:
        stage, detail, *time = said
        reject = Reject(client_order_id, sequence, _STAGES[stage], word, detail, False)
        return order, _timed(reject, time)
    reservation_id, venue, substituted, notional, fee, *time = said
    admit = Admit(
        client_order_id,
        sequence,
        reservation_id,
        venue,
        substituted,
        notional,
        fee,
        word,
        False,
    )
    return order, _timed(admit, time)


def _timed(answer: Admit | Reject, time: list[int]) -> Admit | Reject:
    """With when its order was received, where that is remembered."""
    answer.received_at_ns = time[0] if time else UNSET
    return answer


def encode_fill(fill: Fill, answer: Filled) -> bytes:
    """A fill's content and its answer, without what its key says."""
    flags = 0
    for flag in answer.flags:
        flags |= 1 << FLAGS.index(flag)
    return _encode(
        (
            _fields_of(fill)[_FILL_CONTENT],
            answer.wal_sequence,
            answer.open_quantity,
            answer.hold_microcents,
            answer.released_microcents,
            answer.unpaid_fee_microcents,
            flags,
            *((answer.collected_microcents,) if answer.collected_microcents else ()),
        )
    )


def fill_sequence(payload: bytes) -> int:
    """The sequence of the record of a fill, out of what `encode_fill` gave."""
    _, sequence, *_ = _decode(payload)
    return int(sequence)


def decode_fill(
    desk: str, client_order_id: str, fill_id: str, payload: bytes
) -> tuple[Fill, Filled]:
    """What `encode_fill` was given."""
    content, sequence, open_quantity, hold, released, unpaid, flags, *more = _decode(payload)
    fill = Fill(desk, client_order_id, fill_id, *content)
    return fill, Filled(
        desk,
        client_order_id,
        fill_id,
        sequence,
        open_quantity,
        hold,
        released,
        fill.fee_microcents,
        unpaid,
        [flag for bit, flag in enumerate(FLAGS) if flags >> bit & 1],
        False,
        more[0] if more else msgspec.UNSET,
    )
