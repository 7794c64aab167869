"""One decision record, whoever wrote it, examined field by field under a policy. Pure.

Owns: what the published format lets stand in a decision record, in both generations of its audit
bundle (crate 0.3.10 wrote the three digests and `replay_valid` only), and in which order it is
checked. Must not: know of files or of the chain.

How it works: the record is read as any JSON text, its keys in any order; what must be there, must
be there once, and nothing else. The input in it is decided again. Accepted and refused is what the
reference's replay accepts and refuses, but for two things: that takes no bundle of 0.3.10 any more,
and it takes arrays for objects, which the format does not have.

How it fails: `RecordError` naming the field, what it holds and what it must.
"""

import json
from collections.abc import Iterable
from math import isinf
from typing import Any, Final, NoReturn

from kernel import (
    DECISION,
    INPUT,
    KernelInputError,
    PolicySnapshot,
    decision_digest_of_row,
    input_digest_of_row,
)
from kernel.layout import DECISION_ROW_BYTES, Layout
from kernel.reasons import ACTION_OF_CAMEL, REASON_OF_CAMEL

# The reference's reader nests 127 deep at most, and the line and `data` are two of these.
METADATA_DEPTH_MAX: Final = 125
_U64_DIGITS: Final = 20
_CONSTANTS: Final = {
    "schema_version": "calybris.audit.v1",
    "digest_algorithm": "sha256",
    "proof_version": 1,
    "created_by": "calybris",
}
_EPOCHS: Final = ("policy_epoch", "catalog_epoch")
_DIGESTS: Final = ("policy_digest_hex", "input_digest_hex", "decision_digest_hex")
_OLD_BUNDLE: Final = frozenset((*_DIGESTS, "replay_valid"))
_BUNDLE: Final = _OLD_BUNDLE | {*_CONSTANTS, *_EPOCHS}
_HEX_DIGITS: Final = frozenset("0123456789abcdef")


class RecordError(ValueError):
    """What is wrong with a decision record. `field`: its name; `metadata` and `data` for wholes."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, as they stand."""


def examine_record(data: bytes, policy: PolicySnapshot) -> int:
    """The number of the reason of a right record. Raises `RecordError`."""
    record = _object("data", _parsed(data), frozenset(("audit", "input", "decision", "metadata")))
    members = record["audit"]
    is_old = isinstance(members, _Members) and {name for name, _ in members} == _OLD_BUNDLE
    audit = _object("audit", members, _OLD_BUNDLE if is_old else _BUNDLE)
    input_row = _row(INPUT, record["input"])
    decision_row = _row(DECISION, record["decision"])
    _check_metadata(record["metadata"])
    _check_bundle(audit, policy)
    again = policy.decide_row(input_row)[:DECISION_ROW_BYTES]
    if again != decision_row:
        have, want = DECISION.unpack(decision_row), DECISION.unpack(again)
        pairs = zip(DECISION.field_names, have, want, strict=True)
        name, found, right = next(pair for pair in pairs if pair[1] != pair[2])
        raise RecordError(name, f"is {found} in the decision; the policy gives {right}")
    for name, digest in (
        ("input_digest_hex", input_digest_of_row(input_row)),
        ("decision_digest_hex", decision_digest_of_row(decision_row)),
    ):
        if audit[name] != digest.hex():
            raise RecordError(name, f"is {audit[name]}; must be {digest.hex()}")
    return DECISION.unpack(decision_row)[2]


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_Members,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise RecordError("metadata", "is nested too deep") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordError("data", f"is not JSON: {error}") from None


def _integer(text: str) -> int | float:
    # As the reference: what fits no integer is a float, and so is minus zero.
    if text == "-0" or len(text) > _U64_DIGITS:
        return _finite(text)
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise RecordError("data", f"the number {text[:40]} is out of range")
    return number


def _no_constant(text: str) -> NoReturn:
    raise RecordError("data", f"{text} is not JSON")


def _object(name: str, value: Any, names: frozenset[str]) -> dict[str, Any]:
    """The members of an object that has exactly these, each once."""
    if not isinstance(value, _Members):
        raise RecordError(name, "must be an object")
    members = dict(value)
    for member, _ in value:
        if member not in names:
            raise RecordError(name, f"has the unknown field {member!r}")
    if len(members) != len(value):
        twice = next(m for m in members if sum(other == m for other, _ in value) > 1)
        raise RecordError(twice, f"stands twice in {name}")
    missing = sorted(names - members.keys())
    if missing:
        raise RecordError(missing[0], f"is missing in {name}")
    return members


def _row(layout: Layout, value: Any) -> bytes:
    members = _object(layout.name, value, frozenset(layout.field_names))
    if layout is DECISION:
        for name, numbers in (("action", ACTION_OF_CAMEL), ("reason", REASON_OF_CAMEL)):
            word = members[name]
            if not isinstance(word, str) or word not in numbers:
                raise RecordError(name, f"is {word!r}; must be one of {', '.join(numbers)}")
            members[name] = int(numbers[word])
    try:
        return layout.pack([members[name] for name in layout.field_names])
    except KernelInputError as error:
        name, _, reason = str(error).partition(" ")
        raise RecordError(name, f"{reason} ({layout.name})") from None


def _check_bundle(audit: dict[str, Any], policy: PolicySnapshot) -> None:
    for name, constant in _CONSTANTS.items():
        found = audit.get(name, constant)
        if found != constant or type(found) is not type(constant):
            raise RecordError(name, f"is {found!r}; must be {constant!r}")
    for name in _DIGESTS:
        text = audit[name]
        if not isinstance(text, str) or len(text) != 64 or not _HEX_DIGITS.issuperset(text):
            raise RecordError(name, f"is {text!r}; must be 64 lower-case hexadecimal characters")
    if audit["replay_valid"] is not True:
        raise RecordError("replay_valid", f"is {audit['replay_valid']!r}; must be true")
    for name in _EPOCHS:
        right = getattr(policy, name)
        found = audit.get(name, right)
        if found != right or type(found) is not int:
            raise RecordError(name, f"is {found!r} in the bundle; the policy's is {right}")
    if audit["policy_digest_hex"] != policy.digest.hex():
        raise RecordError(
            "policy_digest_hex",
            f"is {audit['policy_digest_hex']}; the policy's is {policy.digest.hex()}",
        )


def _check_metadata(metadata: Any) -> None:
    """Refuse what the reference's reader does: nested too deep, half of a surrogate pair."""
    level: list[Any] = [metadata]
    depth = 0
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, list):
                inner.extend(_inside(value))
        is_nested = any(isinstance(value, list) for value in level)
        depth += is_nested
        if depth > METADATA_DEPTH_MAX:
            raise RecordError("metadata", f"is nested more than {METADATA_DEPTH_MAX} deep")
        level = inner


def _inside(value: list[Any]) -> Iterable[Any]:
    if not isinstance(value, _Members):
        return value
    return [part for member in value for part in member]


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RecordError("metadata", "holds half of a surrogate pair") from None
