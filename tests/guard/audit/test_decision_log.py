"""Logs of decision records alone: judged as the wheel judges them, whichever way is taken."""

import gzip
import json
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import calybris
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_log_support import (
    HASHER,
    KEY,
    POLICY,
    RECORDS,
    VECTORS,
    chained,
    dump,
    make,
    policy_of,
    request,
)
from guard.audit.decision_log import DecisionMismatch, replay_decision_log
from guard.audit.decision_record import RecordError, examine_record
from guard.audit.decision_rows import DecisionRows
from kernel import KernelInput, PolicySnapshot, Reason, input_digest
from kernel_support import policies, requests
from wal import ChainHasher, Head, WalDamage, WalError, anchor_of
from wal.parallel import cut_stretches
from wheel_support import wheel_input, wheel_policy

MANIFEST = json.loads((VECTORS / "manifest.json").read_text())


WHEEL_POLICY = wheel_policy(POLICY)


def wheel_accepts(path: Path, policy: Any = WHEEL_POLICY, key: bytes | None = KEY) -> bool:
    try:
        rows = calybris.replay_verify_audited_wal(path, policy, hmac_key=key)
    except calybris.CalybrisError:
        return False
    assert all(value is True for row in rows for name, value in row.items() if name != "sequence")
    return True


def verdict(path: Path, policy: PolicySnapshot = POLICY, **options: Any) -> Any:
    try:
        return replay_decision_log(path, HASHER, policy, **options)
    except WalDamage as damage:
        field = getattr(damage, "field", None)
        return damage.segment, damage.offset, damage.sequence, damage.reason, field


def accepts(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether we accept a log; every way of reading it must say the same, and name the same."""
    alone = verdict(path)
    monkeypatch.setattr(
        "wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=3_000)
    )
    assert verdict(path, jobs=2) == alone
    monkeypatch.setattr("guard.audit.decision_log.GUARD_FORM", "interpreted")
    assert verdict(path) == alone
    monkeypatch.undo()
    return not isinstance(alone, tuple)


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change: the value at a path of keys, which is the last argument."""

    def change(record: dict[str, Any]) -> None:
        place = record
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        place = record
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def text(old: str, new: str) -> Callable[[dict[str, Any]], bytes]:
    def change(record: dict[str, Any]) -> bytes:
        data = dump(record)
        assert old.encode() in data, old
        return data.replace(old.encode(), new.encode("latin-1"), 1)

    return change


def decided_again(**changes: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: make(POLICY, KernelInput(**record["input"] | changes))


def forged(**changes: int) -> Callable[[dict[str, Any]], None]:
    """Another input, with its right digest, and the old decision."""

    def change(record: dict[str, Any]) -> None:
        record["input"].update(changes)
        record["audit"]["input_digest_hex"] = input_digest(KernelInput(**record["input"])).hex()

    return change


def reorder(*path: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    def change(record: dict[str, Any]) -> dict[str, Any] | None:
        if not path:
            return dict(reversed(record.items()))
        record[path[0]] = dict(reversed(record[path[0]].items()))
        return None

    return change


INPUT_TEXT = '"input_tokens":1004'
CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda record: None,
    **{f"an unknown field in {name}": put(*name.split(), "x", 1) for name in
       ("audit", "input", "decision")},
    "an unknown field": put("x", 1),
    **{f"no {name}": drop(*name.split()) for name in (
        "audit", "input", "decision", "metadata", "audit replay_valid", "audit created_by",
        "audit schema_version", "audit proof_version", "audit policy_epoch", "input risk_bps",
        "audit input_digest_hex", "decision catalog_epoch", "input required_region_mask")},
    **{f"metadata {value!r:.20}": put("metadata", value) for value in (
        None, [], {}, 1, "x", -1.5, True, {"a": [{"b": None}]}, "é", "\x7f", 2**70)},
    **{f"metadata text {new:.12}": text('"note":', f'"note":{new},"z":') for new in (
        "1e308", "1.8e308", "-1e999", "1e-999", "1" * 308, "1" * 310, '"\\ud83d\\ude00"',
        '"\\ud83d"', '"\\ude00"', '{"\\udc00":1}', '{"a":1,"a":2}', "-0", "[" * 123 + "]" * 123,
        "[" * 124 + "]" * 124, "[" * 125 + "]" * 125, "[" * 3000 + "]" * 3000, '"\xff"')},
    **{f"keys of {name or 'data'} in another order": reorder(*name.split()) for name in
       ("", "audit", "input", "decision")},
    "space in data": text('"input":{', '"input": {'),
    "an escaped key": text('"input":{', '"\\u0069nput":{'),
    "an escaped value": text('"sha256"', '"sha25\\u0036"'),
    "an escaped word": text('"action":"E', '"action":"\\u0045'),
    "metadata twice": text('"input":{', '"metadata":1,"input":{'),
    "a field twice": text('"risk_bps":', '"risk_bps":250,"risk_bps":'),
    "a bundle field twice": text('"proof_version":1', '"proof_version":1,"proof_version":1'),
    **{f"input_tokens as {new}": text(INPUT_TEXT, f'"input_tokens":{new}') for new in (
        "1004.0", "1004e0", "01004", "-1004", '"1004"', "true", "null", "-0", "4294967296",
        "18446744073709551616", "1e3", "[1004]", "1005")},
    **{f"value as {new}": text('"business_value_microunits":1000000000000',
                               f'"business_value_microunits":{new}') for new in (
        "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-0",
        "-9223372036854775809", "1000000000001")},
    "a zero written as -0": text('"required_region_mask":0', '"required_region_mask":-0'),
    "a zero written twice": text('"required_region_mask":0', '"required_region_mask":00'),
    **{f"bundle {name} {value!r:.20}": put("audit", name, value) for name, value in (
        ("schema_version", "calybris.audit.v2"), ("digest_algorithm", "sha512"),
        ("proof_version", 2), ("proof_version", 1.0), ("proof_version", True),
        ("policy_epoch", 8), ("catalog_epoch", 41), ("created_by", "other"),
        ("replay_valid", False), ("replay_valid", 1), ("policy_digest_hex", "0" * 64),
        ("input_digest_hex", "0" * 64), ("decision_digest_hex", "0" * 64),
        ("decision_digest_hex", "00"), ("input_digest_hex", None),
        ("policy_digest_hex", POLICY.digest.hex().upper()))},
    **{f"decision {name}": put("decision", name, RECORDS[3]["decision"][name] + 1)
       for name in RECORDS[3]["decision"] if name not in ("action", "reason")},
    **{f"action {value!r}": put("decision", "action", value) for value in
       ("Reject", "reject", "Nope", 1, None)},
    **{f"reason {value!r}": put("decision", "reason", value) for value in
       ("RiskHardLimit", "risk_hard_limit", "Nope", 100, None)},
    **{f"decided for {name}={value}": decided_again(**{name: value}) for name, value in (
        ("request_sequence", 99), ("request_sequence", 2**64 - 1), ("risk_bps", 65_535),
        ("risk_bps", 9_999), ("confidence_bps", 10_001), ("confidence_bps", 1),
        ("minimum_quality_bps", 65_535), ("business_value_microunits", -(2**63)),
        ("business_value_microunits", 2**63 - 1), ("requested_model_id", 0),
        ("requested_model_id", 2**32 - 1), ("input_tokens", 0), ("allowed_provider_mask", 0),
        ("required_capabilities", 2**64 - 1), ("max_p95_latency_ms", 1),
        ("budget_limit_microunits", 0), ("required_region_mask", 1 << 63))},
    **{f"forged {name}": forged(**{name: value}) for name, value in (
        ("risk_bps", 9_999), ("request_sequence", 9), ("confidence_bps", 1))},
    "no record of a decision": lambda record: {"event": "x"},
    "null": lambda record: b"null",
    "metadata is all": lambda record: {"metadata": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_record_is_judged_as_the_wheel_judges_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = json.loads(json.dumps(RECORDS))
    changed = CHANGES[name](records[3])
    records[3] = records[3] if changed is None else changed
    datas = [record if isinstance(record, bytes) else dump(record) for record in records]
    path = tmp_path / "log.jsonl"
    path.write_bytes(chained(datas))
    assert accepts(path, monkeypatch) == wheel_accepts(path)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("an unknown field in input", "input"),
        ("no audit replay_valid", "replay_valid"),
        ("a field twice", "risk_bps"),
        ("input_tokens as 1004.0", "input_tokens"),
        ("input_tokens as 1005", "input_digest_hex"),
        ("value as 9223372036854775808", "business_value_microunits"),
        ("bundle created_by 'other'", "created_by"),
        ("bundle replay_valid False", "replay_valid"),
        ("bundle policy_epoch 8", "policy_epoch"),
        ("decision eligible_models", "eligible_models"),
        ("action 'Nope'", "action"),
        ("reason 'RiskHardLimit'", "reason"),
        ("forged risk_bps", "action"),
        ("metadata text -1e999", "data"),
        ("metadata text [[[[[[[[[[[[", "metadata"),
    ],
)
def test_the_field_is_named(name: str, field: str, tmp_path: Path) -> None:
    records = json.loads(json.dumps(RECORDS))
    changed = CHANGES[name](records[3])
    records[3] = records[3] if changed is None else changed
    datas = [record if isinstance(record, bytes) else dump(record) for record in records]
    path = tmp_path / "log.jsonl"
    path.write_bytes(chained(datas))
    with pytest.raises(DecisionMismatch) as caught:
        replay_decision_log(path, HASHER, POLICY)
    assert (caught.value.field, caught.value.sequence) == (field, 4)
    assert (caught.value.segment, caught.value.offset) == ("log.jsonl", len(chained(datas[:3])))
    assert field in caught.value.reason


GOOD = chained([dump(record) for record in RECORDS])
FIRST, SECOND = GOOD.splitlines(keepends=True)[:2]
SECOND_HASH = json.loads(SECOND)["entry_hash"].encode()
ENVELOPES = {
    "a blank line": GOOD.replace(b"\n", b"\n\n"),
    "spaces": b" \t\r\n" + GOOD,
    "a form feed": GOOD + b"\x0c\n",
    "a vertical tab": b"\x0b\n" + GOOD,
    "a wide space": "\u00a0\n".encode() + GOOD,
    "CR LF": GOOD.replace(b"\n", b"\r\n"),
    "a space before a line": b" " + GOOD,
    "spaces behind lines": GOOD.replace(b"\n", b" \n"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "nothing": b"",
    "blank lines only": b"\n\n",
    "NULs at the end": GOOD + bytes(10) + b"\n",
    "garbage at the end": GOOD + b"x\n",
    "an array": GOOD + b"[1]\n",
    "an unknown key": GOOD.replace(b'{"sequence":2,', b'{"x":1,"sequence":2,'),
    "a key twice": GOOD.replace(b'{"sequence":2,', b'{"sequence":2,"sequence":2,'),
    "spaces in the envelope": GOOD.replace(b'{"sequence":2,', b'{ "sequence" : 2 , '),
    "a sequence with a point": GOOD.replace(b'{"sequence":2,', b'{"sequence":2.0,'),
    "a sequence with a zero": GOOD.replace(b'{"sequence":2,', b'{"sequence":02,'),
    "a sequence as text": GOOD.replace(b'{"sequence":2,', b'{"sequence":"2",'),
    "an escaped key": GOOD.replace(b'{"sequence":2,', b'{"\\u0073equence":2,'),
    "an escaped hash": GOOD.replace(b'"genesis"', b'"\\u0067enesis"'),
    "an upper-case hash": FIRST + SECOND.replace(SECOND_HASH, SECOND_HASH.upper()),
    "no first record": GOOD[len(FIRST) :],
    "no second record": FIRST + GOOD[len(FIRST + SECOND) :],
    "the second record twice": FIRST + SECOND + GOOD[len(FIRST) :],
    "data first": b"".join(
        b'{"data":' + line[line.index(b'"data":') + 7 : -2] + b","
        + line[1 : line.index(b',"data":')] + b"}\n" for line in GOOD.splitlines(keepends=True)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_judged_as_the_wheel_judges_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(ENVELOPES[name])
    assert accepts(path, monkeypatch) == wheel_accepts(path)


def test_what_we_judge_otherwise_than_the_wheel(tmp_path: Path) -> None:
    """A bundle of 0.3.10 (which it no longer reads), arrays for objects, and a cut newline."""
    path = tmp_path / "log.jsonl"
    old = json.loads(json.dumps(RECORDS))
    for record in old:
        names = ("policy_digest_hex", "input_digest_hex", "decision_digest_hex", "replay_valid")
        record["audit"] = {name: record["audit"][name] for name in names}
    path.write_bytes(chained([dump(record) for record in old]))
    assert replay_decision_log(path, HASHER, POLICY).record_count == 6
    assert not wheel_accepts(path)
    old[2]["audit"]["created_by"] = "calybris"
    path.write_bytes(chained([dump(record) for record in old]))
    assert verdict(path)[2:] == (3, "catalog_epoch: is missing in audit", "catalog_epoch")
    arrays = [dict(record, input=list(record["input"].values())) for record in RECORDS]
    path.write_bytes(chained([dump(record) for record in arrays]))
    assert wheel_accepts(path)
    assert verdict(path)[2:] == (1, "input: must be an object", "input")
    path.write_bytes(chained([dump(record) for record in RECORDS])[:-1])
    assert wheel_accepts(path)
    assert verdict(path)[3] == "the last line has no newline"


def test_the_report(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    risky = make(POLICY, request(7, risk_bps=9_999))
    content = chained([dump(record) for record in [*RECORDS, risky]])
    path.write_bytes(content)
    told: list[int] = []
    report = replay_decision_log(path, HASHER, POLICY, on_bytes=told.append)
    assert sum(told) == len(content)
    last = json.loads(content.splitlines()[-1])
    assert report.head == Head(7, last["entry_hash"])
    assert report.record_count == 7
    assert report.reasons == {"requested_model_maximizes_utility": 6, "risk_hard_limit": 1}
    told.clear()
    again = replay_decision_log(path, HASHER, POLICY, jobs=2, on_bytes=told.append)
    assert again == report
    assert sum(told) == len(content)
    path.write_bytes(b"")
    assert replay_decision_log(path, HASHER, POLICY).record_count == 0


def test_the_anchor_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(chained([dump(record) for record in RECORDS]))
    head = replay_decision_log(path, HASHER, POLICY).head
    good = anchor_of(head, keyed=True)
    assert replay_decision_log(path, HASHER, POLICY, anchor=good).head == head
    behind = anchor_of(Head(7, "a" * 64), keyed=True)
    assert "ends before its anchor" in verdict(path, anchor=behind)[3]
    with pytest.raises(WalError, match="no key was given"):
        replay_decision_log(path, ChainHasher(None), POLICY)


def test_another_policy(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(chained([dump(record) for record in RECORDS]))
    fields = POLICY.as_dict()
    for change in ({"policy_epoch": 8}, {"hard_risk_limit_bps": 9_500}):
        other = policy_of(fields | change)
        assert verdict(path, other)[2] == 1
        assert not wheel_accepts(path, wheel_policy(other))


@pytest.mark.parametrize("name", [n for n in MANIFEST["expected"] if n.endswith(".jsonl")])
def test_every_vector(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.decompress((VECTORS / f"{name}.gz").read_bytes()))
    hasher = ChainHasher(
        bytes.fromhex(MANIFEST["hmac_key_hex"]) if not name.startswith("unkeyed") else None
    )
    monkeypatch.setattr(
        "wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=40_000)
    )
    for jobs in (1, 2):
        try:
            replay_decision_log(path, hasher, POLICY, jobs=jobs)
            found = "ok"
        except WalDamage:
            found = "error"
        assert found == MANIFEST["expected"][name]["replay"]


LIVE = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@LIVE
@given(data=st.data())
def test_the_wheels_own_logs(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = data.draw(policies(ceilings=True))
    theirs = wheel_policy(policy)
    path = tmp_path_factory.mktemp("wheel") / "log.jsonl"
    asked = data.draw(st.lists(requests(policy, ceilings=True), min_size=1, max_size=4))
    texts = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), st.text(max_size=9))
    with calybris.AuditedWal(path, hmac_key=KEY) as wal:
        for one in asked:
            given_ = wheel_input(one)
            metadata = data.draw(texts.filter(lambda t: "\ud800" not in str(t)))
            wal.append_verified(theirs, given_, theirs.prescribe(given_), metadata=metadata)
    report = replay_decision_log(path, HASHER, policy)
    assert report.record_count == len(asked)
    assert sum(report.reasons.values()) == len(asked)
    reasons = {Reason(policy.prescribe(one).reason_code).snake for one in asked}
    assert set(report.reasons) == reasons


@LIVE
@given(
    index=st.integers(0, 10**6),
    byte=st.sampled_from(b'0123456789-.eE"{}[]:,\\aZ \x00\x7f\xc3'),
)
def test_a_changed_byte_is_judged_the_same_by_every_way(index: int, byte: int) -> None:
    data = bytearray(dump(RECORDS[3]))
    data[index % len(data)] = byte
    try:
        is_right = examine_record(bytes(data), POLICY) > 0
    except RecordError:
        is_right = False
    assert is_right >= fast_passes(bytes(data))


def fast_passes(data: bytes) -> bool:
    rows = DecisionRows(
        POLICY.decide_rows, POLICY.digest.hex(), POLICY.policy_epoch, POLICY.catalog_epoch,
        "calybris",
    )  # fmt: skip
    block = b"ab" + data + b"}\n"
    return rows.check(block, array("q", (2, 2 + len(data), 0)), 0, 1) == 1


def test_the_quick_way_takes_what_we_write() -> None:
    ends = {"request_sequence": 2**64 - 1, "business_value_microunits": -(2**63)}
    for record in (*RECORDS, make(POLICY, request(9, **ends))):
        for metadata in (None, {}, [], "x", {"a": [1, 2.5, "\\"]}):
            assert fast_passes(dump(dict(record, metadata=metadata)))
    assert not fast_passes(dump(RECORDS[0]) + b" ")


@LIVE
@given(data=st.data())
def test_the_quick_way_over_any_policy_and_input(data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings=True))
    made = [
        dump(make(policy, one))
        for one in data.draw(st.lists(requests(policy, ceilings=True), max_size=5))
    ]
    rows = DecisionRows(
        policy.decide_rows, policy.digest.hex(), policy.policy_epoch, policy.catalog_epoch,
        "calybris",
    )  # fmt: skip
    block, spans = b"", array("q")
    for one in made:
        spans.extend((len(block), len(block) + len(one), 0))
        block += one + b"}\n"
    assert rows.check(block or b"\n", spans, 0, len(made)) == len(made)
    assert sum(rows.reason_counts) == len(made)


def test_a_range_that_is_not_there() -> None:
    rows = DecisionRows(POLICY.decide_rows, "", 0, 0, "")
    with pytest.raises(ValueError, match="are not within"):
        rows.check(b"x\n", array("q", (0, 1, 0)), 0, 2)
    with pytest.raises(ValueError, match="is not within 2 bytes"):
        rows.check(b"x\n", array("q", (0, 9, 0)), 0, 1)
