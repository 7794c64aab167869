"""The replay of decision logs, ours and the wheel's: what it accepts, and what it names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import calybris._core as wheel
import pytest

from guard.audit.audited_log import AuditedLog
from guard.audit.decision_log import DecisionMismatch
from guard.audit.replay_audited import replay_audited_wal
from kernel import KernelInputError
from library_support import policy_of, request_of, wheel_case, wheel_policy
from wal import ChainHasher, WalDamage, WalKeyMismatch, encode_line

KEY = b"k" * 32
POLICY = policy_of()
Edit = Callable[[dict[str, Any]], Any]


def records(directory: Path) -> list[dict[str, Any]]:
    """The data of three records."""
    with AuditedLog.open(directory, None) as log:
        for sequence in (1, 2, 3):
            request = request_of(sequence)
            log.append_verified_audited(POLICY, request, POLICY.prescribe(request), {"b": 1})
    lines = (directory / "00000001.jsonl").read_bytes().splitlines()
    return [json.loads(line)["data"] for line in lines]


def chained(path: Path, texts: list[bytes]) -> Path:
    """A log with these records, its chain as it must be."""
    hasher, previous = ChainHasher(None), "genesis"
    with path.open("wb") as file:
        for sequence, text in enumerate(texts, 1):
            entry_hash = hasher.entry_hash(previous, text)
            file.write(encode_line(sequence, previous, entry_hash, text))
            previous = entry_hash
    return path


def wheel_accepts(path: Path) -> bool:
    try:
        replayed = wheel.replay_verify_audited_wal(path, wheel_policy(POLICY))
    except wheel.CalybrisError:
        return False
    matches = ("replay_valid", "policy_digest_match", "input_digest_match", "decision_digest_match")
    return all(each[name] for each in replayed for name in matches)


def compact(record: object) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def test_the_wheels_log_replays_here(tmp_path: Path) -> None:
    theirs = wheel.AuditedWal(tmp_path / "log", hmac_key=KEY)
    second = policy_of(2)
    for sequence, policy in enumerate((POLICY, POLICY, second), 1):
        theirs.append_verified(*wheel_case(policy, request_of(sequence)), '{"a":1.5,"b":[]}')
    theirs.flush()
    last_hash = theirs.last_hash
    theirs.close()
    replayed = replay_audited_wal(tmp_path / "log", [POLICY, second], KEY)
    assert replayed.head == (3, last_hash)
    assert replayed.record_count == 3
    assert replayed.record_count_by_policy == {POLICY.digest.hex(): 2, second.digest.hex(): 1}
    with pytest.raises(DecisionMismatch, match="record 3: policy_epoch: is 2 in the"):
        replay_audited_wal(tmp_path / "log", POLICY, KEY)
    with pytest.raises(DecisionMismatch, match=r"record 1: policy_digest_hex: is .*; no such"):
        replay_audited_wal(tmp_path / "log", [second, policy_of(3)], KEY)
    with pytest.raises(KernelInputError, match="policies is empty; must have at least one"):
        replay_audited_wal(tmp_path / "log", [], KEY)
    assert replayed.record_count_by_reason == {"requested_model_maximizes_utility": 3}
    with pytest.raises(WalKeyMismatch):
        replay_audited_wal(tmp_path / "log", POLICY)


def test_the_first_generation_of_bundles(tmp_path: Path) -> None:
    made = records(tmp_path / "made")
    for record in made:
        audit = record["audit"]
        names = ("policy_digest_hex", "input_digest_hex", "decision_digest_hex", "replay_valid")
        record["audit"] = {name: audit[name] for name in names}
    path = chained(tmp_path / "log", [compact(record) for record in made])
    assert replay_audited_wal(path, POLICY).record_count == 3


def put(*place: str, value: Any) -> Edit:
    def edit(record: dict[str, Any]) -> Any:
        target: Any = record
        for name in place[:-1]:
            target = target[name]
        target[place[-1]] = value
        return record

    return edit


FORGED: list[tuple[str, Edit, str]] = [
    ("another input", put("input", "risk_bps", value=1_001), "expected_utility_microunits"),
    ("another choice", put("decision", "selected_model_id", value=2), "selected_model_id"),
    ("another action", put("decision", "action", value="Substitute"), "action"),
    ("action in snake case", put("decision", "action", value="execute_requested"), "action"),
    ("action by number", put("decision", "action", value=1), "action"),
    ("a policy's digest", put("audit", "policy_digest_hex", value="0" * 64), "policy_digest_hex"),
    ("no text as a digest", put("audit", "policy_digest_hex", value=[]), "policy_digest_hex"),
    ("an input's digest", put("audit", "input_digest_hex", value="0" * 64), "input_digest_hex"),
    ("upper case", put("audit", "input_digest_hex", value="A" * 64), "input_digest_hex"),
    ("a decision's digest", put("audit", "decision_digest_hex", value="0"), "decision_digest_hex"),
    ("not replayed", put("audit", "replay_valid", value=False), "replay_valid"),
    ("replayed by number", put("audit", "replay_valid", value=1), "replay_valid"),
    ("another maker", put("audit", "created_by", value="me"), "created_by"),
    ("another schema", put("audit", "schema_version", value="v2"), "schema_version"),
    ("another version", put("audit", "proof_version", value=2), "proof_version"),
    ("another epoch", put("audit", "policy_epoch", value=2), "policy_epoch"),
    ("a field more", put("audit", "more", value=1), "audit"),
    ("a key more", put("more", value=1), "data"),
    ("a float", put("input", "risk_bps", value=1e3), "risk_bps"),
    ("beyond its type", put("input", "risk_bps", value=65_536), "risk_bps"),
    ("no input", lambda record: {k: v for k, v in record.items() if k != "input"}, "input"),
    ("no audit", put("audit", value=None), "audit"),
    ("a list", lambda record: [record], "data"),
    ("another record", lambda record: {"event": "order_refused"}, "data"),
]


@pytest.mark.parametrize(
    ("edit", "field"), [row[1:] for row in FORGED], ids=[row[0] for row in FORGED]
)
def test_a_record_that_chains_well_and_does_not_hold(
    tmp_path: Path, edit: Edit, field: str
) -> None:
    made = records(tmp_path / "made")
    made[1] = edit(made[1])
    path = chained(tmp_path / "log", [compact(record) for record in made])
    for given in (POLICY, [POLICY, policy_of(9)]):
        with pytest.raises(DecisionMismatch) as refused:
            replay_audited_wal(path, given)
        place = (refused.value.sequence, refused.value.segment, refused.value.field)
        assert place == (2, "log", field)
    assert not wheel_accepts(path)


def test_names_twice_are_refused_where_the_format_has_fields(tmp_path: Path) -> None:
    text = compact(records(tmp_path / "made")[0])
    for old, new, taken in (
        (b'"metadata":{"b":1}', b'"metadata":{"b":1,"b":2}', True),
        (b'"risk_bps":1000', b'"risk_bps":1000,"risk_bps":1000', False),
        (b'"replay_valid":true', b'"replay_valid":true,"replay_valid":true', False),
        (b'"metadata":{"b":1}', b'"metadata":1,"metadata":1', False),
    ):
        path = chained(tmp_path / "log", [text.replace(old, new)])
        if taken:
            assert replay_audited_wal(path, POLICY).record_count == 1
            wheel.replay_verify_audited_wal(path, wheel_policy(POLICY))
            continue
        with pytest.raises(DecisionMismatch, match="stands twice in"):
            replay_audited_wal(path, POLICY)
        with pytest.raises(wheel.WalError):
            wheel.replay_verify_audited_wal(path, wheel_policy(POLICY))


def test_a_broken_chain_and_a_short_log(tmp_path: Path) -> None:
    path = chained(tmp_path / "log", [compact(record) for record in records(tmp_path / "made")])
    whole = path.read_bytes()
    with AuditedLog.open(tmp_path / "made") as log:
        anchor = log.anchor()
    assert replay_audited_wal(path, POLICY, anchor=anchor).head == anchor.head
    path.write_bytes(whole.replace(b'"b":1', b'"b":2', 1))
    with pytest.raises(WalDamage, match="record 1: entry_hash does not match"):
        replay_audited_wal(path, POLICY)
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert replay_audited_wal(path, POLICY).record_count == 2
    with pytest.raises(WalDamage, match="ends before its anchor"):
        replay_audited_wal(path, POLICY, anchor=anchor)
    path.write_bytes(b"")
    assert replay_audited_wal(path, POLICY).head == (0, "genesis")
