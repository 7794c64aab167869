"""Whole logs: every vector as the reference judges it, the wheel's logs and ours, anchors."""

import json
from pathlib import Path

import calybris
import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_support import JSON_VALUES, encoded
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    WalDamage,
    WalKeyMismatch,
    anchor_of,
    check_data,
    find_head,
    read_anchor,
    verify_chain,
)
from wal.errors import WalEntryError
from wal_support import (
    DIALECT,
    KEY,
    MANIFEST,
    SEGMENT,
    VECTOR_KEY,
    VECTORS,
    record,
    small_batches,
    unpack_vector,
    write_log,
)

HASHER = ChainHasher(VECTOR_KEY)
# Where each damaged vector is damaged, by our own account: offset, sequence, reason.
DAMAGE = {
    "bad_genesis.jsonl": (0, 1, "previous_hash is not the hash of the record before"),
    "bad_duplicated.jsonl": (83747, 62, "the record says that it is 61"),
    "bad_edited_value.jsonl": (82371, 61, "entry_hash does not match the record's bytes"),
    "bad_garbage_line.jsonl": (82371, 61, "the line is not JSON: Expecting '{' at column 1"),
    "bad_removed_middle.jsonl": (82371, 61, "the record says that it is 62"),
    "bad_reordered_fields.jsonl": (82371, 61, "entry_hash does not match the record's bytes"),
    "bad_swapped.jsonl": (82371, 61, "the record says that it is 62"),
    "bad_torn_tail.jsonl": (163187, 120, "the last line has no newline"),
    "bad_uppercase_hash.jsonl": (82371, 61, "entry_hash does not match the record's bytes"),
}
FILES = [name for name in MANIFEST["expected"] if name.endswith(".jsonl")]


@pytest.mark.parametrize("name", FILES)
def test_every_vector_is_judged_as_the_reference_judges_it(name: str, tmp_path: Path) -> None:
    expected = MANIFEST["expected"][name]
    path = unpack_vector(name, tmp_path)
    if expected["chain"] == "ok":
        report = verify_chain(path, HASHER, DIALECT)
        assert report.head.sequence == report.record_count == expected["head_sequence"]
        assert report.head == calybris.verify_audited_wal(path, hmac_key=VECTOR_KEY)
        return
    with pytest.raises(WalDamage) as caught:
        verify_chain(path, HASHER, DIALECT)
    damage = caught.value
    assert not isinstance(damage, WalKeyMismatch)
    assert (damage.segment, (damage.offset, damage.sequence, damage.reason)) == (
        name,
        DAMAGE[name],
    )
    offset, sequence, reason = DAMAGE[name]
    assert str(damage) == f"{name}, byte {offset}, record {sequence}: {reason}"


@pytest.mark.parametrize(("name", "key"), [("keyed", VECTOR_KEY), ("unkeyed", None)])
def test_whole_vectors_and_their_anchors(name: str, key: bytes | None, tmp_path: Path) -> None:
    path = unpack_vector(f"{name}.jsonl", tmp_path)
    anchor = read_anchor(VECTORS / f"{name}.anchor.json")
    report = verify_chain(path, ChainHasher(key), DIALECT, anchor)
    assert report.head == anchor.head
    assert (report.record_count, report.segment_count, report.native) == (120, 1, False)
    assert report.byte_count == path.stat().st_size
    assert not report.closed_cleanly
    assert find_head(path, ChainHasher(key), DIALECT, anchor) == anchor.head


@pytest.mark.parametrize(
    ("name", "key", "reason"),
    [
        ("keyed.jsonl", b"w" * 32, "the key is not the one that the log was written with"),
        ("keyed.jsonl", None, "the log is keyed and no key was given"),
        ("unkeyed.jsonl", VECTOR_KEY, "a key was given but the log is unkeyed"),
    ],
)
def test_wrong_keys(name: str, key: bytes | None, reason: str, tmp_path: Path) -> None:
    path = unpack_vector(name, tmp_path)
    with pytest.raises(WalKeyMismatch) as caught:
        verify_chain(path, ChainHasher(key), DIALECT)
    assert caught.value.reason == reason
    assert (caught.value.offset, caught.value.sequence) == (0, 1)


def test_an_edited_first_record_is_damage_and_no_matter_of_keys(tmp_path: Path) -> None:
    path = unpack_vector("keyed.jsonl", tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"CL-1"', b'"CL-9"', 1))
    with pytest.raises(WalDamage, match="entry_hash does not match") as caught:
        verify_chain(path, HASHER, DIALECT)
    assert not isinstance(caught.value, WalKeyMismatch)


@pytest.mark.parametrize("written", [KEY, None])
@pytest.mark.parametrize("given_key", [KEY, b"other key, other key, other key!", None])
@pytest.mark.parametrize("record_count", [1, 5])
def test_a_log_of_ours_names_its_key(
    written: bytes | None, given_key: bytes | None, record_count: int, tmp_path: Path
) -> None:
    hasher = ChainHasher(written)
    batches = small_batches(hasher) if record_count == 5 else [small_batches(hasher)[0][:1]]
    write_log(tmp_path, hasher, batches)
    if written == given_key:
        assert verify_chain(tmp_path, ChainHasher(given_key), DIALECT).native
        return
    with pytest.raises(WalKeyMismatch) as caught:
        verify_chain(tmp_path, ChainHasher(given_key), DIALECT)
    assert (
        caught.value.reason
        == {
            (False, True): "a key was given but the log is unkeyed",
            (True, False): "the log is keyed and no key was given",
            (True, True): "the key is not the one that the log was written with",
        }[written is not None, given_key is not None]
    )


@given(data=st.lists(JSON_VALUES, min_size=1, max_size=6), ascii_only=st.booleans())
@pytest.mark.parametrize("key", [KEY, None])
def test_the_wheel_verifies_what_we_write(
    key: bytes | None,
    data: list[object],
    ascii_only: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("log")
    head = write_log(directory, ChainHasher(key), [[encoded(value, ascii_only) for value in data]])
    path = directory / SEGMENT
    assert calybris.verify_audited_wal(path, hmac_key=key) == head
    assert find_head(path, ChainHasher(key), DIALECT) == head
    assert find_head(directory, ChainHasher(key), DIALECT) == head


@given(text=st.binary(max_size=12))
def test_what_we_take_as_data_the_wheel_takes(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = b'["' + text + b'"]'
    try:
        check_data(data)
    except WalEntryError:
        return
    directory = tmp_path_factory.mktemp("log")
    head = write_log(directory, ChainHasher(None), [[data]])
    assert calybris.verify_audited_wal(directory / SEGMENT) == head


@pytest.mark.parametrize("key", [KEY, None])
def test_we_verify_what_the_wheel_writes(key: bytes | None, tmp_path: Path) -> None:
    model = calybris.KernelModel(
        model_id=10, provider_id=3, quality_bps=9000, risk_ceiling_bps=9000, enabled=True,
        p95_latency_ms=10, capabilities=0, region_mask=1,
        input_cost_microunits_per_million_tokens=5,
        output_cost_microunits_per_million_tokens=7,
    )  # fmt: skip
    policy = calybris.PolicySnapshot(
        policy_epoch=1, catalog_epoch=1, hard_risk_limit_bps=9000, minimum_confidence_bps=10,
        risk_penalty_multiplier_bps=0, latency_penalty_microunits_per_ms=0, models=[model],
    )  # fmt: skip
    path = tmp_path / "log"
    with calybris.AuditedWal(path, hmac_key=key) as log:
        for sequence in range(1, 8):
            request = calybris.KernelInput(
                request_sequence=sequence, requested_model_id=10, input_tokens=1,
                output_tokens=1, business_value_microunits=sequence, budget_limit_microunits=100,
                risk_bps=0, confidence_bps=9000, minimum_quality_bps=0, max_p95_latency_ms=0,
                required_capabilities=0, allowed_provider_mask=calybris.ALL_PROVIDERS,
                required_region_mask=0,
            )  # fmt: skip
            decision = policy.prescribe(request)
            log.append_verified(policy, request, decision, metadata={"desk": "é\u2028"})
        log.flush_and_sync()
        log.anchor().save(tmp_path / "anchor")
        head = Head(log.sequence, log.last_hash)
    anchor = read_anchor(tmp_path / "anchor")
    assert anchor == anchor_of(head, keyed=key is not None)
    assert find_head(path, ChainHasher(key), DIALECT, anchor) == head


def test_our_anchor_pins_the_wheel_and_ours(tmp_path: Path) -> None:
    hasher = ChainHasher(KEY)
    head = write_log(tmp_path, hasher, small_batches(hasher))
    (tmp_path / "anchor").write_text(
        json.dumps(
            {
                "schema_version": "calybris.wal-anchor.v1",
                "sequence": head.sequence,
                "last_hash": head.entry_hash,
                "keyed": True,
            }
        )
    )
    anchor = calybris.WalAnchor.load(tmp_path / "anchor")
    path = tmp_path / SEGMENT
    assert calybris.verify_audited_wal(path, hmac_key=KEY, anchor=anchor) == head


def test_a_log_behind_or_against_its_anchor(tmp_path: Path) -> None:
    hasher = ChainHasher(KEY)
    head = write_log(tmp_path, hasher, small_batches(hasher))
    size = (tmp_path / SEGMENT).stat().st_size
    for sequence in range(1, 6):
        wrong = anchor_of(Head(sequence, "a" * 64), keyed=True)
        with pytest.raises(WalDamage, match="not the anchored one") as caught:
            verify_chain(tmp_path, hasher, DIALECT, wrong)
        assert caught.value.sequence == sequence
    ahead = anchor_of(Head(6, "a" * 64), keyed=True)
    with pytest.raises(WalDamage, match="ends before its anchor, which is at record 6") as caught:
        verify_chain(tmp_path, hasher, DIALECT, ahead)
    assert (caught.value.segment, caught.value.offset, caught.value.sequence) == (SEGMENT, size, 6)
    for keyed, given_hasher in ((False, hasher), (True, ChainHasher(None))):
        with pytest.raises(WalKeyMismatch, match="the anchor is of"):
            verify_chain(tmp_path, given_hasher, DIALECT, anchor_of(head, keyed=keyed))
    # A log may have grown since it was anchored, and an anchor may be of an empty log.
    assert find_head(tmp_path, hasher, DIALECT, anchor_of(EMPTY_HEAD, keyed=True)) == head


def test_nothing_to_verify(tmp_path: Path) -> None:
    report = verify_chain(tmp_path, HASHER, DIALECT)
    assert (report.head, report.record_count, report.last) == (EMPTY_HEAD, 0, None)
    assert (report.native, report.closed_cleanly) == (False, False)
    (tmp_path / "empty").touch()
    assert verify_chain(tmp_path / "empty", HASHER, DIALECT) == report
    with pytest.raises(WalDamage, match="ends before its anchor"):
        verify_chain(tmp_path, HASHER, DIALECT, anchor_of(Head(1, "a" * 64), keyed=True))


def test_report_of_a_closed_log(tmp_path: Path) -> None:
    hasher = ChainHasher(None)
    head = write_log(tmp_path, hasher, [*small_batches(hasher), [record("session_closed", 6)]])
    report = verify_chain(tmp_path, hasher, DIALECT)
    assert (report.head, report.native, report.closed_cleanly) == (head, True, True)
    assert report.last is not None
    assert report.last.data == b'{"kind":"session_closed","batch":6}'
