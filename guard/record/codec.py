"""The `data` of log records ↔ types: what a record is, in words of msgspec's. Pure.

Owns the form of a record's text (`wal/FORMAT.md` describes the chain around it, the section
"Records of the guard" the events): a decision record has the published format's four keys, with the
guard's event as its `metadata`; every other event is its own object. The text is canonical:
encoding what was decoded gives the same bytes, which is what replay compares. Administrative events
are written and read here; what answers a request is written by `guard.record.writer` and read by
`guard.record.reader`, and decoded here for who wants to hold it, or says what is wrong with it.

How it fails: `RecordError` for data that is no record of ours, naming what is wrong with it.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from guard.engine.events import (
    Decided,
    KernelRows,
    Outcome,
    PlainEvent,
)
from guard.engine.key_handover import KeyHandover
from guard.engine.request_events import OrderDecided
from guard.record.words import explain
from kernel.layout import DECISION, INPUT
from kernel.reasons import ACTION_OF_CAMEL, REASON_OF_CAMEL
from wal import KEY_ID_UNKEYED, Dialect, KeyChange


class RecordError(ValueError):
    """A record's data that the guard cannot have written."""


class AuditBundle(Struct, forbid_unknown_fields=True, gc=False):
    """The published format's audit bundle; the digests are lower-case hex."""

    schema_version: str
    digest_algorithm: str
    proof_version: int
    policy_epoch: int
    catalog_epoch: int
    created_by: str
    policy_digest_hex: str
    input_digest_hex: str
    decision_digest_hex: str
    replay_valid: bool


class InputFields(Struct, forbid_unknown_fields=True, gc=False):
    """The kernel's input, in the format's order."""

    request_sequence: int
    requested_model_id: int
    input_tokens: int
    output_tokens: int
    business_value_microunits: int
    budget_limit_microunits: int
    risk_bps: int
    confidence_bps: int
    minimum_quality_bps: int
    max_p95_latency_ms: int
    required_capabilities: int
    allowed_provider_mask: int
    required_region_mask: int


class DecisionFields(Struct, forbid_unknown_fields=True, gc=False):
    """The kernel's decision, in the format's order, its enums in CamelCase."""

    request_sequence: int
    action: str
    reason: str
    selected_model_id: int
    selected_model_index: int
    estimated_cost_microunits: int
    expected_utility_microunits: int
    counterfactual_model_id: int
    counterfactual_utility_microunits: int
    evaluated_models: int
    eligible_models: int
    policy_epoch: int
    catalog_epoch: int


class DecisionRecord(Struct, forbid_unknown_fields=True, gc=False):
    """A decision record: exactly these four keys, in this order."""

    audit: AuditBundle
    input: InputFields
    decision: DecisionFields
    metadata: OrderDecided


_DECISION_HEAD: Final = b'{"audit":'
_METADATA_KEY: Final = b'},"metadata":'
_METADATA_KEY_BYTES: Final = len(_METADATA_KEY)
_ORDER_METADATA: Final = _METADATA_KEY + b'{"event":"order",'
_LOG_OPENED_HEAD: Final = b'{"event":"log_opened",'
_SESSION_CLOSED_HEAD: Final = b'{"event":"session_closed",'
# What may begin a segment under another key.
_KEY_HEADS: Final = (b'{"event":"session_started",', b'{"event":"key_changed",')

# Unions of types, which are values to the decoder.
_PLAIN_EVENT: Any = PlainEvent
_ANY_EVENT: Any = Outcome


class _EventOfRecord(Struct):
    metadata: OrderDecided


_encode = msgspec.json.Encoder().encode
_decode_decision = msgspec.json.Decoder(DecisionRecord).decode
_decode_event = msgspec.json.Decoder(_PLAIN_EVENT).decode
_decode_order = msgspec.json.Decoder(OrderDecided).decode
_decode_any = msgspec.json.Decoder(_ANY_EVENT).decode
_decode_metadata = msgspec.json.Decoder(_EventOfRecord).decode


def encode_event(event: Outcome) -> bytes:
    """The canonical text of an event: of an administrative one, its record's data."""
    return _encode(event)


def decode_own_event(text: bytes) -> Outcome:
    """An event whose text was just written, as an object."""
    event: Outcome = _decode_any(text)
    return event


def decode_data(data: bytes) -> Decided:
    """The outcome of a record, with the kernel's rows as the record has them.

    The output row's gate counts are not recorded: they are zeros here. Raises RecordError.
    """
    try:
        if not data.startswith(_DECISION_HEAD):
            return Decided(_decode_event(data))
        record = _decode_decision(data)
        return Decided(record.metadata, _rows_of(record))
    # ValueError: bad UTF-8, or a value that does not fit the format's integer types.
    except (msgspec.DecodeError, ValueError, RecursionError, KeyError) as error:
        raise RecordError(f"no record of this guard: {explain(data, error)}") from error


def decode_event(data: bytes) -> Outcome:
    """The event alone: of a decision record, whatever the rest of it says. Raises RecordError.

    For who applies it, or makes the record again and compares its bytes.
    """
    try:
        if data.startswith(_DECISION_HEAD):
            # Nothing but a key stands between such marks: a string's quotation mark is escaped.
            at = data.find(_ORDER_METADATA)
            if at > 0:
                try:
                    return _decode_order(data[at + _METADATA_KEY_BYTES : -1])
                except msgspec.DecodeError:
                    pass  # no text of ours: the whole of it is looked at
            return _decode_metadata(data).metadata
        event: Outcome = _decode_event(data)
        return event
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"no record of this guard: {explain(data, error)}") from error


def _rows_of(record: DecisionRecord) -> KernelRows:
    decision = record.decision
    _, action, reason, *rest = msgspec.structs.astuple(decision)
    decision_row = DECISION.pack(
        (
            decision.request_sequence,
            int(ACTION_OF_CAMEL[action]),
            int(REASON_OF_CAMEL[reason]),
            *rest,
        )
    )
    input_row = INPUT.pack(msgspec.structs.astuple(record.input))
    return KernelRows(input_row, decision_row, record.audit.policy_digest_hex)


class _BatchOfEvent(Struct):
    batch_first_sequence: int | None = None


class _BatchOfRecord(Struct):
    batch_first_sequence: int | None = None
    metadata: _BatchOfEvent | None = None


class _KeyOfOpening(Struct):
    key_id: str
    key_number: int = 0


class _KeyOfBeginning(Struct):
    key: KeyHandover | None = None


_decode_batch = msgspec.json.Decoder(_BatchOfRecord).decode
_decode_key_id = msgspec.json.Decoder(_KeyOfOpening).decode
_decode_key = msgspec.json.Decoder(_KeyOfBeginning).decode


def _is_log_opened(data: bytes) -> bool:
    return data.startswith(_LOG_OPENED_HEAD)


def _is_session_closed(data: bytes) -> bool:
    return data.startswith(_SESSION_CLOSED_HEAD)


def _batch_first_sequence(data: bytes) -> int | None:
    """The first sequence of the batch that a record was written in; None if it does not say."""
    try:
        record = _decode_batch(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # damaged or foreign: the caller asks precisely to learn that
    if record.metadata is not None:
        return record.metadata.batch_first_sequence
    return record.batch_first_sequence


def _named_key_id(data: bytes) -> str | None:
    """The id of the key that a log of ours says it was opened with; None for any other record."""
    if not _is_log_opened(data):
        return None
    try:
        return _decode_key_id(data).key_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # damaged: the reader says so, by its hash


def _key_change(data: bytes) -> KeyChange | None:
    """The key that a record which begins a segment is under, where it says one."""
    try:
        if _is_log_opened(data):
            opening = _decode_key_id(data)
            is_keyed = opening.key_id != KEY_ID_UNKEYED
            return KeyChange(opening.key_id, opening.key_number) if is_keyed else None
        key = _decode_key(data).key if data.startswith(_KEY_HEADS) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # damaged: the reader says so, by its hash
    if key is None:
        return None
    number = 0 if key.key_number is UNSET else key.key_number
    return KeyChange(key.key_id, number, key.previous_key_id, key.sealed_bytes, key.sealed_sha256)


# What the log needs to know of its records, which are opaque to it otherwise.
DIALECT: Final = Dialect(
    is_native_head=_is_log_opened,
    batch_first_sequence=_batch_first_sequence,
    is_clean_close=_is_session_closed,
    named_key_id=_named_key_id,
    key_change=_key_change,
)
