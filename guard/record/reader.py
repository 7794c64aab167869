# cython: annotation_typing=False, nonecheck=True
"""The text of a record, read into a request and its outcome. Pure.

Owns the way back from what `guard.record.writer` writes, over the same tables. It reads that very
text and no other; a record that is written otherwise goes through msgspec's types first
(`guard.record.codec`), whose text of it is then read.

What is no record of a request is not read.
"""

from guard.protocol import slots
from guard.protocol.fields import (
    CANCEL,
    EXECUTION,
    FILL,
    ORDER,
    REDUCE,
    REPLACE,
    REPLACE_REJECTED,
    REPLACED,
)
from guard.protocol.json_reader import JsonReader
from guard.protocol.messages import ID_LENGTH_MAX
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request
from guard.record import layouts

NOT_PLAIN = -1
_ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED = map(int, list(OutcomeKind)[:5])
_REDUCED = int(OutcomeKind.REDUCED)
_ORDER_KIND, _FILL_KIND, _CANCEL_KIND, _REDUCE_KIND = ORDER, FILL, CANCEL, REDUCE
_EXECUTED, _EXECUTION_KIND = int(OutcomeKind.EXECUTED), EXECUTION
_OUTCOME_REPLACED, _OUTCOME_REJECTED = map(
    int, (OutcomeKind.REPLACED, OutcomeKind.REPLACE_REJECTED)
)
_REPLACE_KIND, _REPLACED_KIND, _REPLACE_REJECTED_KIND = REPLACE, REPLACED, REPLACE_REJECTED
_REPLACED, _REPLACED_REQUEST = layouts.REPLACED, layouts.REPLACED_REQUEST
_REPLACE_REJECTED, _REPLACES = layouts.REPLACE_REJECTED, layouts.REPLACES
_REPLACE_REJECTED_REQUEST = layouts.REPLACE_REJECTED_REQUEST
_REPLACES_PIECE = layouts.REPLACES.pieces[0]
_REPLACES_BYTES_MAX = len(_REPLACES_PIECE) + 2 + 6 * ID_LENGTH_MAX
_EXECUTION, _EXECUTION_REQUEST = layouts.EXECUTION, layouts.EXECUTION_REQUEST
_ORDER_DECIDED, _ORDER_REFUSED = layouts.ORDER_DECIDED, layouts.ORDER_REFUSED
_ADMIT, _REJECT, _REJECT_REUSED = layouts.ADMIT, layouts.REJECT, layouts.REJECT_REUSED
_FILL, _RELEASE = layouts.FILL, layouts.RELEASE
_FILL_REQUEST, _RELEASE_REQUEST = layouts.FILL_REQUEST, layouts.RELEASE_REQUEST
_REDUCTION, _REDUCTION_REQUEST = layouts.REDUCTION, layouts.REDUCTION_REQUEST
_AUDIT, _END = layouts.AUDIT, b"}"
_TAIL, _TAIL_SLOTS, _TAIL_COUNT = layouts.TAIL, layouts.TAIL_SLOTS, len(layouts.TAIL)
_TAIL_MAXES = layouts.TAIL_MAXES
_END_CODE, _QUOTE_CODE, _DIGITS_MAX = 0x7D, 0x22, 19
_TAIL_BYTES_MAX = max(map(len, layouts.TAIL)) + _DIGITS_MAX
_METADATA, _METADATA_BYTES = layouts.METADATA, len(layouts.METADATA)


class RecordReader:
    """A reader of records."""

    def __init__(self) -> None:
        self._json = JsonReader()

    def read(self, data: bytes, request: Request, outcome: Outcome) -> bool:
        """Reads a record of a request: false where it is none, or written otherwise."""
        data = self._without_tail(data, request)
        at = event_at(data)
        if at < 0:
            return False
        is_decision = at > 0
        end = len(data) - is_decision
        if is_decision and data[end : end + 1] != _END:
            return False
        if self._read_event(data, at, end, request, outcome) != end:
            return False
        is_asked = outcome.kind == _ADMITTED or outcome.kind == _REJECTED
        return is_decision == is_asked and outcome.repeat == 0

    def read_event(self, event: bytes, request: Request, outcome: Outcome) -> bool:
        """The same of the event alone, whatever stood around it."""
        event = self._without_tail(event, request)
        end = len(event)
        return self._read_event(event, 0, end, request, outcome) == end and outcome.repeat == 0

    def read_request(self, data: bytes, request: Request) -> bool:
        """Reads no more than the request: for who decides it again and compares the text."""
        data = self._without_tail(data, request)
        at = event_at(data)
        if at < 0:
            return False
        outcome, end = _unused, len(data)
        if self._json.read(_ORDER_DECIDED, data, at, end, request, outcome) > 0:
            request.kind = _order_kind(request)
        elif self._json.read(_FILL_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _FILL_KIND
        elif self._json.read(_RELEASE_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _CANCEL_KIND
        elif self._json.read(_REDUCTION_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _REDUCE_KIND
        elif self._json.read(_EXECUTION_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _EXECUTION_KIND
        elif self._json.read(_ORDER_REFUSED, data, at, end, request, outcome) > 0:
            request.kind = _order_kind(request)
        elif self._json.read(_REPLACED_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _REPLACED_KIND
        elif self._json.read(_REPLACE_REJECTED_REQUEST, data, at, end, request, outcome) > 0:
            request.kind = _REPLACE_REJECTED_KIND
        else:
            return False
        request.echo_bytes = 0
        return True

    def _without_tail(self, data: bytes, request: Request) -> bytes:
        """The text as it would be with nothing at its end; what stands there, in `request`."""
        for index in range(_TAIL_COUNT):
            slots.set_number(request, _unused, _TAIL_SLOTS[index], 0)
        request.original_client_order_id_bytes = 0
        end = len(data) - 1
        if end > 0 and data[end - 1] == _END_CODE:
            end -= 1
        cut = end
        for index in range(_TAIL_COUNT - 1, -1, -1):
            # No event ends in a digit otherwise: an answer's end, or a word, stands there.
            if cut < 1 or not 0x30 <= data[cut - 1] <= 0x39:
                break
            piece = _TAIL[index]
            at = data.rfind(piece, max(cut - _TAIL_BYTES_MAX, 0), cut)
            if at < 0:
                continue
            digits = data[at + len(piece) : cut]
            if not digits.isdigit() or digits[0] == 0x30 or len(digits) > _DIGITS_MAX:
                return data
            value = int(digits)
            if value > _TAIL_MAXES[index]:
                return data
            slots.set_number(request, _unused, _TAIL_SLOTS[index], value)
            cut = at
        if cut > 0 and data[cut - 1] == _QUOTE_CODE:
            at = data.rfind(_REPLACES_PIECE, max(cut - _REPLACES_BYTES_MAX, 0), cut)
            if at >= 0 and self._json.read(_REPLACES, data, at, cut, request, _unused) != cut:
                return data
            cut = at if at >= 0 else cut
        return data if cut == end else data[:cut] + data[end:]

    def _read_event(
        self, data: bytes, at: int, end: int, request: Request, outcome: Outcome
    ) -> int:
        behind = self._json.read(_ORDER_DECIDED, data, at, end, request, outcome)
        if behind > 0:
            request.kind = _order_kind(request)
            return self._read_answer(data, behind, end, request, outcome, _REJECTED)
        behind = self._json.read(_FILL, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _FILL_KIND, _FILLED
            return behind
        behind = self._json.read(_RELEASE, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _CANCEL_KIND, _RELEASED
            return behind
        behind = self._json.read(_REDUCTION, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _REDUCE_KIND, _REDUCED
            return behind
        behind = self._json.read(_EXECUTION, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _EXECUTION_KIND, _EXECUTED
            return behind
        behind = self._json.read(_ORDER_REFUSED, data, at, end, request, outcome)
        if behind > 0:
            request.kind = _order_kind(request)
            return self._read_answer(data, behind, end, request, outcome, _REFUSED)
        behind = self._json.read(_REPLACED, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _REPLACED_KIND, _OUTCOME_REPLACED
            return behind
        behind = self._json.read(_REPLACE_REJECTED, data, at, end, request, outcome)
        if behind > 0:
            request.kind, outcome.kind = _REPLACE_REJECTED_KIND, _OUTCOME_REJECTED
            return behind
        return NOT_PLAIN

    def _read_answer(
        self, data: bytes, at: int, end: int, request: Request, outcome: Outcome, kind: int
    ) -> int:
        """The answer to an order; `kind`: what its refusal is then."""
        outcome.kind = kind
        if kind == _REJECTED:
            behind = self._json.read(_ADMIT, data, at, end, request, outcome)
            if behind > 0:
                outcome.kind = _ADMITTED
                return behind
        behind = self._json.read(_REJECT, data, at, end, request, outcome)
        if behind > 0:
            return behind
        return self._json.read(_REJECT_REUSED, data, at, end, request, outcome)


def _order_kind(request: Request) -> int:
    """An order's, or a replace's, which says whose place it is to take."""
    return _REPLACE_KIND if request.original_client_order_id_bytes > 0 else _ORDER_KIND


_unused = Outcome()


def event_at(data: bytes) -> int:
    """Where the event stands: at 0, or as a decision record's metadata; NOT_PLAIN for nowhere."""
    if not data.startswith(_AUDIT):
        return 0
    # Nothing but a key stands between such marks: a string's quotation mark is escaped.
    at = data.find(_METADATA)
    return at + _METADATA_BYTES if at > 0 else NOT_PLAIN
