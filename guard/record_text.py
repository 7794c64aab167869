# cython: annotation_typing=False, nonecheck=True
"""The text of a decision record, written piece by piece. Pure.

Owns the fast way from what was decided to the `data` of its record. `guard.journal` owns the form:
its types and the JSON encoder over them say what a record is, and this writes the same bytes, from
the kernel's rows and the event, without making those types. It runs as it stands, or compiled with
the types of `record_text.pxd` beside it.

How it works: what depends on the policy alone is kept from one record to the next. Everything else
is put into one buffer, in order, which is then copied out.

How it fails: it does not. For what it is not made for (a string that is not printable ASCII, an
integer beyond 64 bits, a request id) it gives None, and the caller takes the encoder.
"""

from typing import Any

import msgspec

from guard import text
from guard.messages import Admit
from guard.outcomes import Outcome
from guard.text import Buffer
from kernel import digest as kernel_digest
from kernel import little_endian as le
from kernel.layout import DECISION_ROW_BYTES, INPUT_ROW_BYTES
from kernel.little_endian import Row
from kernel.reasons import ACTION_OF_CODE, REASON_OF_CODE

# Every constant piece, every integer and every string at its longest: about 7,000 bytes.
TEXT_BYTES_MAX = 16_384
_DETAIL_MAX = 16  # members of a reject's detail; the most that a rule gives is 11
_DIGEST_HEX_LENGTH = 64
_NOT_PLAIN = -1  # as in guard.text: once given, every further write gives it again

_DECISION_BYTES = DECISION_ROW_BYTES
_INPUT_BYTES = INPUT_ROW_BYTES
_ACTION = {code: f'"{action.camel}"'.encode() for code, action in ACTION_OF_CODE.items()}
_REASON = {code: f'"{reason.camel}"'.encode() for code, reason in REASON_OF_CODE.items()}
_ALLOWED, _NOT_ALLOWED = b',"allow_substitute":true', b',"allow_substitute":false'
_fields_of = msgspec.structs.astuple
_UNSET = msgspec.UNSET


class RecordText:
    """The buffer, and what is kept of the last record's policy."""

    def __init__(self) -> None:
        self.buffer = bytearray(TEXT_BYTES_MAX)
        self._audit = b""
        self._policy_digest_hex = ""
        self._policy_epoch = 0
        self._catalog_epoch = 0

    def decision(
        self, event: Outcome, input_row: bytes, output_row: bytes, policy_digest_hex: str
    ) -> bytes | None:
        """The `data` of a decision record; None where the encoder has to write it."""
        if not are_rows(input_row, output_row, policy_digest_hex):
            return None
        at = self.put_opening(input_row, output_row, policy_digest_hex)
        try:
            at = _put_event(self.buffer, at, event)
        except OverflowError:
            return None
        return None if at < 0 else le.bytes_of(self.buffer, at)

    def opening(self, input_row: bytes, output_row: bytes, policy_digest_hex: str) -> bytes | None:
        """The same up to the decision's last value, for a record with other metadata."""
        if not are_rows(input_row, output_row, policy_digest_hex):
            return None
        at = self.put_opening(input_row, output_row, policy_digest_hex)
        return le.bytes_of(self.buffer, at)

    def put_opening(self, input_row: Row, decision_row: Row, policy_digest_hex: str) -> int:
        """Audit, input and decision, into `buffer`; the offset behind them. Checks no length."""
        out = self.buffer
        policy_epoch = le.load_u64(decision_row, 49)
        catalog_epoch = le.load_u64(decision_row, 57)
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
        at = text.put(out, at, b'","decision_digest_hex":"')
        kernel_digest.decision_digest_into(decision_row, digest)
        at = text.put_hex(out, at, digest, 32)
        at = _put_input(out, at, input_row)
        return _put_decision(out, at, decision_row)

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


def are_rows(input_row: bytes, output_row: bytes, policy_digest_hex: str) -> bool:
    """Have the rows and the digest their lengths?"""
    return (
        len(input_row) == _INPUT_BYTES
        and len(output_row) >= _DECISION_BYTES
        and len(policy_digest_hex) == _DIGEST_HEX_LENGTH
    )


def _put_input(out: Buffer, at: int, row: Row) -> int:
    """The end of the audit bundle, then the input's fields."""
    at = text.put(out, at, b'","replay_valid":true},"input":{"request_sequence":')
    at = text.put_u64(out, at, le.load_u64(row, 0))
    at = text.put(out, at, b',"requested_model_id":')
    at = text.put_u64(out, at, le.load_u32(row, 8))
    at = text.put(out, at, b',"input_tokens":')
    at = text.put_u64(out, at, le.load_u32(row, 12))
    at = text.put(out, at, b',"output_tokens":')
    at = text.put_u64(out, at, le.load_u32(row, 16))
    at = text.put(out, at, b',"business_value_microunits":')
    at = text.put_i64(out, at, le.load_i64(row, 20))
    at = text.put(out, at, b',"budget_limit_microunits":')
    at = text.put_u64(out, at, le.load_u64(row, 28))
    at = text.put(out, at, b',"risk_bps":')
    at = text.put_u64(out, at, le.load_u16(row, 36))
    at = text.put(out, at, b',"confidence_bps":')
    at = text.put_u64(out, at, le.load_u16(row, 38))
    at = text.put(out, at, b',"minimum_quality_bps":')
    at = text.put_u64(out, at, le.load_u16(row, 40))
    at = text.put(out, at, b',"max_p95_latency_ms":')
    at = text.put_u64(out, at, le.load_u32(row, 42))
    at = text.put(out, at, b',"required_capabilities":')
    at = text.put_u64(out, at, le.load_u64(row, 46))
    at = text.put(out, at, b',"allowed_provider_mask":')
    at = text.put_u64(out, at, le.load_u64(row, 54))
    at = text.put(out, at, b',"required_region_mask":')
    return text.put_u64(out, at, le.load_u64(row, 62))


def _put_decision(out: Buffer, at: int, row: Row) -> int:
    """The decision's fields."""
    at = text.put(out, at, b'},"decision":{"request_sequence":')
    at = text.put_u64(out, at, le.load_u64(row, 0))
    at = text.put(out, at, b',"action":')
    at = text.put(out, at, _ACTION[row[8]])
    at = text.put(out, at, b',"reason":')
    at = text.put(out, at, _REASON[le.load_u16(row, 9)])
    at = text.put(out, at, b',"selected_model_id":')
    at = text.put_u64(out, at, le.load_u32(row, 11))
    at = text.put(out, at, b',"selected_model_index":')
    at = text.put_u64(out, at, le.load_u16(row, 15))
    at = text.put(out, at, b',"estimated_cost_microunits":')
    at = text.put_u64(out, at, le.load_u64(row, 17))
    at = text.put(out, at, b',"expected_utility_microunits":')
    at = text.put_i64(out, at, le.load_i64(row, 25))
    at = text.put(out, at, b',"counterfactual_model_id":')
    at = text.put_u64(out, at, le.load_u32(row, 33))
    at = text.put(out, at, b',"counterfactual_utility_microunits":')
    at = text.put_i64(out, at, le.load_i64(row, 37))
    at = text.put(out, at, b',"evaluated_models":')
    at = text.put_u64(out, at, le.load_u16(row, 45))
    at = text.put(out, at, b',"eligible_models":')
    at = text.put_u64(out, at, le.load_u16(row, 47))
    at = text.put(out, at, b',"policy_epoch":')
    at = text.put_u64(out, at, le.load_u64(row, 49))
    at = text.put(out, at, b',"catalog_epoch":')
    return text.put_u64(out, at, le.load_u64(row, 57))


def _put_event(out: Buffer, at: int, event: Any) -> int:
    """The event as the record's metadata, and the record's end; or NOT_PLAIN."""
    received_at_ns, client, batch_first_sequence, order, answer = _fields_of(event)
    at = text.put(out, at, b'},"metadata":{"event":"order","received_at_ns":')
    at = text.put_i64(out, at, received_at_ns)
    at = text.put(out, at, b',"client":')
    at = text.put_string(out, at, client)
    at = text.put(out, at, b',"batch_first_sequence":')
    at = text.put_u64(out, at, batch_first_sequence)
    at = text.put(out, at, b',"order":{"type":"order","client_order_id":')
    at = _put_order(out, at, _fields_of(order))
    if type(answer) is Admit:
        at = text.put(out, at, b'},"answer":{"type":"admit","client_order_id":')
        (client_order_id, wal_sequence, reservation_id, venue, substituted, notional_microcents,
         fee_microcents, reason, repeat, request_id) = _fields_of(answer)  # fmt: skip
        if request_id is not _UNSET:
            return _NOT_PLAIN
        at = text.put_string(out, at, client_order_id)
        at = put_admit(
            out, at, wal_sequence, reservation_id, venue, substituted, notional_microcents,
            fee_microcents, reason, repeat,
        )  # fmt: skip
    else:
        at = text.put(out, at, b'},"answer":{"type":"reject","client_order_id":')
        at = _put_reject(out, at, _fields_of(answer))
    return text.put(out, at, b"}}}")


def _put_order(out: Buffer, at: int, fields: tuple[Any, ...]) -> int:
    """An order's fields, in the protocol's order."""
    (client_order_id, desk, symbol, side, quantity, price, venue, risk_bps, confidence_bps,
     minimum_quality_bps, max_p95_latency_ms, required_capabilities, allowed_providers,
     required_regions, max_fee_microcents, allow_substitute, order_type, time_in_force, currency,
     sent_at_ns, request_id) = fields  # fmt: skip
    at = text.put_string(out, at, client_order_id)
    at = text.put(out, at, b',"desk":')
    at = text.put_string(out, at, desk)
    at = text.put(out, at, b',"symbol":')
    at = text.put_string(out, at, symbol)
    at = text.put(out, at, b',"side":')
    at = text.put_string(out, at, side)
    at = text.put(out, at, b',"quantity":')
    at = text.put_u64(out, at, quantity)
    at = text.put(out, at, b',"price":')
    at = text.put_u64(out, at, price)
    at = text.put(out, at, b',"venue":')
    at = text.put_u64(out, at, venue)
    at = text.put(out, at, b',"risk_bps":')
    at = text.put_u64(out, at, risk_bps)
    at = text.put(out, at, b',"confidence_bps":')
    at = text.put_u64(out, at, confidence_bps)
    at = text.put(out, at, b',"minimum_quality_bps":')
    at = text.put_u64(out, at, minimum_quality_bps)
    at = text.put(out, at, b',"max_p95_latency_ms":')
    at = text.put_u64(out, at, max_p95_latency_ms)
    at = text.put(out, at, b',"required_capabilities":')
    at = text.put_u64(out, at, required_capabilities)
    at = text.put(out, at, b',"allowed_providers":')
    at = text.put_u64(out, at, allowed_providers)
    at = text.put(out, at, b',"required_regions":')
    at = text.put_u64(out, at, required_regions)
    at = text.put(out, at, b',"max_fee_microcents":')
    at = text.put_u64(out, at, max_fee_microcents)
    if request_id is not _UNSET:
        return _NOT_PLAIN
    at = text.put(out, at, _ALLOWED if allow_substitute else _NOT_ALLOWED)
    at = text.put(out, at, b',"order_type":')
    at = text.put_string(out, at, order_type)
    at = text.put(out, at, b',"time_in_force":')
    at = text.put_string(out, at, time_in_force)
    at = text.put(out, at, b',"currency":')
    at = text.put(out, at, b"null") if currency is None else text.put_string(out, at, currency)
    at = text.put(out, at, b',"sent_at_ns":')
    if sent_at_ns is None:
        return text.put(out, at, b"null")
    return text.put_u64(out, at, sent_at_ns)


def put_admit(
    out: Buffer,
    at: int,
    wal_sequence: int,
    reservation_id: int,
    venue: int,
    substituted: bool,
    notional_microcents: int,
    fee_microcents: int,
    reason: str,
    repeat: bool,
) -> int:
    """An admission's fields, from behind its order's id on."""
    at = text.put(out, at, b',"wal_sequence":')
    at = text.put_u64(out, at, wal_sequence)
    at = text.put(out, at, b',"reservation_id":')
    at = text.put_u64(out, at, reservation_id)
    at = text.put(out, at, b',"venue":')
    at = text.put_u64(out, at, venue)
    at = text.put(out, at, b',"substituted":true' if substituted else b',"substituted":false')
    at = text.put(out, at, b',"notional_microcents":')
    at = text.put_u64(out, at, notional_microcents)
    at = text.put(out, at, b',"fee_microcents":')
    at = text.put_u64(out, at, fee_microcents)
    at = text.put(out, at, b',"reason":')
    at = text.put_string(out, at, reason)
    return text.put(out, at, b',"repeat":true' if repeat else b',"repeat":false')


def _put_reject(out: Buffer, at: int, fields: tuple[Any, ...]) -> int:
    """A refusal's fields, of which `field` may be missing."""
    client_order_id, wal_sequence, stage, reason, detail, repeat, field, request_id = fields
    if request_id is not _UNSET or field is not _UNSET or len(detail) > _DETAIL_MAX:
        return _NOT_PLAIN
    at = text.put_string(out, at, client_order_id)
    at = text.put(out, at, b',"wal_sequence":')
    at = text.put_u64(out, at, wal_sequence)
    at = text.put(out, at, b',"stage":')
    at = text.put_string(out, at, stage)
    at = text.put(out, at, b',"reason":')
    at = text.put_string(out, at, reason)
    at = text.put(out, at, b',"detail":{')
    separator = b""
    for name, value in detail.items():
        at = text.put(out, at, separator)
        at = text.put_string(out, at, name)
        at = text.put(out, at, b":")
        at = text.put_u64(out, at, value)
        separator = b","
    at = text.put(out, at, b"}")
    return text.put(out, at, b',"repeat":true' if repeat else b',"repeat":false')
