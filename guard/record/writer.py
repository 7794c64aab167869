# cython: annotation_typing=False, nonecheck=True
"""The text of a record, from a request and its outcome. Pure.

Owns the one way in which what was decided becomes the `data` of its record: the tables of
`guard.record.layouts`, and before an order's event, where the kernel was asked, the published
format's audit bundle, input and decision. `guard.record.codec` says with msgspec's types what a
record is; the bytes are theirs.

How it works: what depends on the policy alone is kept from one record to the next. Everything else
is put into one buffer, in order.

What stands in the fields of a request and an outcome can be written, and fits the buffer.
"""

import msgspec

from guard.protocol import fields, slots
from guard.protocol import json_text as text
from guard.protocol import layout as tables
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from guard.record import layouts
from guard.record.kernel_rows import DECISION_TEXT, INPUT_TEXT
from kernel import digest as kernel_digest
from kernel import little_endian as le
from kernel.layout import DECISION
from kernel.little_endian import Row

# Every constant piece, every integer and every string at its longest: about 7,000 bytes.
TEXT_BYTES_MAX = 16_384

_ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED = map(int, list(OutcomeKind)[:5])
_REDUCED = int(OutcomeKind.REDUCED)
_EXECUTED, _EXECUTION = int(OutcomeKind.EXECUTED), layouts.EXECUTION
_REPLACED, _REPLACE_REJECTED = int(OutcomeKind.REPLACED), int(OutcomeKind.REPLACE_REJECTED)
_REPLACED_LAYOUT, _REPLACE_REJECTED_LAYOUT = layouts.REPLACED, layouts.REPLACE_REJECTED
_REPLACE, _REPLACES = fields.REPLACE, layouts.REPLACES
_REUSED = int(Refusal.CLIENT_ORDER_ID_REUSED)
_ORDER_DECIDED, _ORDER_REFUSED = layouts.ORDER_DECIDED, layouts.ORDER_REFUSED
_ADMIT, _REJECT, _REJECT_REUSED = layouts.ADMIT, layouts.REJECT, layouts.REJECT_REUSED
_FILL, _RELEASE, _REDUCTION = layouts.FILL, layouts.RELEASE, layouts.REDUCTION
_METADATA, _END = layouts.METADATA, b"}"
_TAIL, _TAIL_SLOTS, _TAIL_COUNT = layouts.TAIL, layouts.TAIL_SLOTS, len(layouts.TAIL)
_DECISION_DIGEST = b'","decision_digest_hex":"'
_INPUT, _DECISION = b'","replay_valid":true},"input":{', b'},"decision":{'
_POLICY_EPOCH_AT, _CATALOG_EPOCH_AT = (
    DECISION.field(name).offset for name in ("policy_epoch", "catalog_epoch")
)
_INPUT_TEXT, _DECISION_TEXT = INPUT_TEXT, DECISION_TEXT


class RecordWriter:
    """The buffer, and what is kept of the last record's policy."""

    def __init__(self) -> None:
        self.buffer = bytearray(TEXT_BYTES_MAX)
        self._audit = b""
        self._policy_digest_hex = ""
        self._policy_epoch = 0
        self._catalog_epoch = 0

    def write(self, request: Request, outcome: Outcome, policy_digest_hex: str) -> int:
        """The record's data, in `buffer`; how many bytes it has."""
        kind = outcome.kind
        if kind != _ADMITTED and kind != _REJECTED:
            return self.write_event(request, outcome, 0)
        at = self.put_opening(outcome.input_row, outcome.output_row, policy_digest_hex)
        at = text.put(self.buffer, at, _METADATA)
        at = self.write_event(request, outcome, at)
        return text.put(self.buffer, at, _END)

    def write_event(self, request: Request, outcome: Outcome, at: int) -> int:
        """The event alone, from `at` on; the offset behind it."""
        at = self._put_event(request, outcome, at)
        if request.kind == _REPLACE:
            at = tables.write_json(_REPLACES, self.buffer, at - 1, request, outcome)
            at = text.put(self.buffer, at, _END)
        if request.mark_price == 0 and request.elapsed_ns == 0 and request.clock_ns == 0:
            return at
        at -= 1
        for index in range(_TAIL_COUNT):
            value = slots.request_number(request, _TAIL_SLOTS[index])
            if value != 0:
                at = text.put(self.buffer, at, _TAIL[index])
                at = text.put_u64(self.buffer, at, value)
        return text.put(self.buffer, at, _END)

    def _put_event(self, request: Request, outcome: Outcome, at: int) -> int:
        """The same without what stands at its end."""
        out, kind = self.buffer, outcome.kind
        if kind == _FILLED:
            return tables.write_json(_FILL, out, at, request, outcome)
        if kind == _RELEASED:
            return tables.write_json(_RELEASE, out, at, request, outcome)
        if kind == _REDUCED:
            return tables.write_json(_REDUCTION, out, at, request, outcome)
        if kind == _EXECUTED:
            return tables.write_json(_EXECUTION, out, at, request, outcome)
        if kind == _REPLACED:
            return tables.write_json(_REPLACED_LAYOUT, out, at, request, outcome)
        if kind == _REPLACE_REJECTED:
            return tables.write_json(_REPLACE_REJECTED_LAYOUT, out, at, request, outcome)
        if kind == _REFUSED:
            at = tables.write_json(_ORDER_REFUSED, out, at, request, outcome)
        else:
            at = tables.write_json(_ORDER_DECIDED, out, at, request, outcome)
        if kind == _ADMITTED:
            return tables.write_json(_ADMIT, out, at, request, outcome)
        if outcome.reason == _REUSED:
            return tables.write_json(_REJECT_REUSED, out, at, request, outcome)
        return tables.write_json(_REJECT, out, at, request, outcome)

    def data(self, request: Request, outcome: Outcome, policy_digest_hex: str) -> bytes:
        """The record's data, as a copy."""
        return le.bytes_of(self.buffer, self.write(request, outcome, policy_digest_hex))

    def event(self, request: Request, outcome: Outcome) -> bytes:
        """The event alone, as a copy."""
        return le.bytes_of(self.buffer, self.write_event(request, outcome, 0))

    def opening(self, input_row: bytes, decision_row: bytes, policy_digest_hex: str) -> bytes:
        """Audit, input and decision, for a record with other metadata."""
        return le.bytes_of(
            self.buffer, self.put_opening(input_row, decision_row, policy_digest_hex)
        )

    def put_opening(self, input_row: Row, decision_row: Row, policy_digest_hex: str) -> int:
        """The same, into `buffer`; the offset behind it. The rows' lengths are the caller's."""
        out = self.buffer
        policy_epoch = le.load_u64(decision_row, _POLICY_EPOCH_AT)
        catalog_epoch = le.load_u64(decision_row, _CATALOG_EPOCH_AT)
        if (
            policy_digest_hex != self._policy_digest_hex
            or policy_epoch != self._policy_epoch
            or catalog_epoch != self._catalog_epoch
        ):
            self._keep_policy(policy_digest_hex, policy_epoch, catalog_epoch)
        at = text.put(out, 0, self._audit)
        digest = [0] * 32  # compiled: an array on the stack
        kernel_digest.input_digest_into(input_row, digest)
        at = text.put_hex(out, at, digest, 32)
        at = text.put(out, at, _DECISION_DIGEST)
        kernel_digest.decision_digest_into(decision_row, digest)
        at = text.put_hex(out, at, digest, 32)
        at = text.put(out, at, _INPUT)
        at = _INPUT_TEXT.put(out, at, input_row)
        at = text.put(out, at, _DECISION)
        return _DECISION_TEXT.put(out, at, decision_row)

    def _keep_policy(self, digest_hex: str, policy_epoch: int, catalog_epoch: int) -> None:
        quoted = msgspec.json.encode(digest_hex)
        self._audit = (
            b'{"audit":{"schema_version":"calybris.audit.v1","digest_algorithm":"sha256",'
            b'"proof_version":1,"policy_epoch":%d,"catalog_epoch":%d,"created_by":"calybris",'
            b'"policy_digest_hex":%b,"input_digest_hex":"' % (policy_epoch, catalog_epoch, quoted)
        )
        self._policy_digest_hex = digest_hex
        self._policy_epoch = policy_epoch
        self._catalog_epoch = catalog_epoch
