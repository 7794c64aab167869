"""Decision records for any program: the `data` of one audited decision, with free metadata.

Owns: making a record's exact bytes, fail-closed (a decision that does not replay gets none), and
what metadata may be: JSON without floats, since two writers print a float in two ways.

Must not: write files; `guard.record.writer` writes the guard's own records, whose metadata is its
events.

Fails: `ReplayMismatchError` for a decision that does not replay, `MetadataError` naming the place.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guard.record.writer import RecordWriter as TextWriter
from kernel import (
    DECISION_ROW_BYTES,
    KernelDecision,
    KernelInput,
    KernelInputError,
    PolicySnapshot,
    ReplayMismatchError,
    verify_decision,
)
from kernel.strict_json import check_text, shown

# The reference gives up at 128 levels, of which the record itself takes two.
METADATA_DEPTH_MAX: Final = 64
RECORD_BYTES_MAX: Final = 16 * 1024 * 1024  # half of what a line of the log may have
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1  # beyond, the reference reads a float

_encode: Final = msgspec.json.Encoder().encode


class MetadataError(KernelInputError):
    """Metadata that no record can hold."""


class RecordWriter:
    """Writes records, one at a time, into a buffer of its own. One thread uses it."""

    def __init__(self) -> None:
        self._text = TextWriter()

    def record(
        self,
        policy: PolicySnapshot,
        request: KernelInput,
        decision: KernelDecision,
        metadata: Any = None,
    ) -> bytes:
        """The record's data: audit, input, decision, metadata, compact, in this order.

        Raises `ReplayMismatchError`, `MetadataError`.
        """
        check_metadata(metadata)
        if policy.decide_row(request.row)[:DECISION_ROW_BYTES] != decision.row:
            first = verify_decision(policy, request, decision).mismatches[0]
            raise ReplayMismatchError(
                f"decision {decision.request_sequence} does not replay: {first.field} is"
                f" {first.actual}; must be {first.expected}"
            )
        opening = self._text.opening(request.row, decision.row, policy.digest.hex())
        data = b'%b},"metadata":%b}' % (opening, _encode(metadata))
        if len(data) > RECORD_BYTES_MAX:
            raise MetadataError(
                f"metadata makes a record of {len(data)} bytes; must be at most {RECORD_BYTES_MAX}"
            )
        return data


def audited_record(
    policy: PolicySnapshot, request: KernelInput, decision: KernelDecision, metadata: Any = None
) -> bytes:
    """One record's data: see `RecordWriter.record`, which is faster for many."""
    return RecordWriter().record(policy, request, decision, metadata)


def check_metadata(value: object, place: str = "metadata", depth: int = 0) -> None:
    """Refuse what is not made of objects, lists, text, integers, true, false and null."""
    if depth > METADATA_DEPTH_MAX:
        raise MetadataError(f"metadata is nested deeper than {METADATA_DEPTH_MAX} levels")
    if value is None or type(value) is bool:
        return
    if type(value) is int:
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise MetadataError(
                f"{place} is {shown(value)}; must be from {INTEGER_MIN} to {INTEGER_MAX}"
            )
    elif isinstance(value, str):
        check_text(place, value, MetadataError)
    elif isinstance(value, dict):
        for name, member in value.items():
            check_text(f"a name in {place}", name, MetadataError)
            check_metadata(member, f"{place}.{name}" if depth < 2 else f"{place}.…", depth + 1)
    elif isinstance(value, list | tuple):
        for member in value:
            check_metadata(member, f"{place}[]", depth + 1)
    else:
        raise MetadataError(
            f"{place} is {shown(value)}; must be an object, a list, text, an integer,"
            " true, false or null"
        )
