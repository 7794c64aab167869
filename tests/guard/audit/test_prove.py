"""Proofs made from a log and checked without it."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from guard.audit.check import ProvenConsistency, ProvenHead, ProvenRecord, check_proof
from guard.audit.claims import Claim, read_claim
from guard.audit.notes import NoteSignatureError, Signature, SigningKey
from guard.audit.prove import (
    ForkedLogError,
    NothingToProve,
    Wanted,
    prove_consistency,
    prove_head,
    prove_record,
)
from guard.audit.tlog import ProofFormatError, open_checkpoint
from guard_audit_support import (
    HASHER,
    NAME,
    ORDER,
    OTHER_KEY,
    SIGNING_KEY,
    VERIFIER_KEY,
    DayLog,
    signed_head,
    tree_of,
)
from guard_support import T0, write_log
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    WalDamage,
    WalError,
    WalKeyMismatch,
    anchor_of,
)
from wal_support import unpack_vector


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    return DayLog(tmp_path_factory.mktemp("day"))


def test_an_order_is_proven_to_who_has_only_the_public_key(day: DayLog) -> None:
    proven = check_proof(day.proof, VERIFIER_KEY, NAME)
    assert isinstance(proven, ProvenRecord)
    sequence = proven.entry.sequence
    assert proven.entry.data == day.records[sequence - 1]
    assert proven.claim == Claim(
        "order", "desk-alpha", "A-1", None, "admit", "requested_model_maximizes_utility", 10, T0,
        "local",
    )  # fmt: skip
    head = proven.checkpoint
    assert (head.origin, head.size, head.root) == (NAME, len(day.lines), tree_of(day.lines).root())
    assert len(day.proof) < 6_000


@pytest.mark.parametrize(
    ("wanted", "event", "answer", "reason"),
    [
        (Wanted("desk-alpha", "A-3"), "order", "reject", "risk_hard_limit"),
        (Wanted("nobody", "A-5"), "order_refused", "reject", "unknown_desk"),
        (Wanted("desk-alpha", "A-1", fill_id="F-2"), "fill", "filled", None),
        (Wanted("desk-alpha", "A-1", cancel=True), "release", "released", None),
        (Wanted(sequence=1), "log_opened", None, None),
        (Wanted(sequence=3), "policy_activated", None, None),
    ],
)
def test_every_kind_of_record(
    wanted: Wanted, event: str, answer: str | None, reason: str | None, day: DayLog
) -> None:
    made = prove_record(day.directory, HASHER, wanted, SIGNING_KEY, NAME)
    proven = check_proof(made.proof, VERIFIER_KEY, NAME)
    assert isinstance(proven, ProvenRecord)
    claim = proven.claim
    assert (claim.event, claim.answer, claim.reason) == (event, answer, reason)
    assert proven.entry.sequence == made.sequence
    if wanted.desk is not None:
        assert (claim.desk, claim.client_order_id) == (wanted.desk, wanted.client_order_id)
    assert claim.fill_id == wanted.fill_id


def test_every_record_of_the_log_can_be_proven(day: DayLog) -> None:
    for sequence in range(1, len(day.lines) + 1):
        made = prove_record(day.directory, HASHER, Wanted(sequence=sequence), SIGNING_KEY, NAME)
        proven = check_proof(made.proof, VERIFIER_KEY, NAME)
        assert isinstance(proven, ProvenRecord)
        assert proven.entry.data == day.records[sequence - 1]


def test_the_first_record_of_a_name_is_proven_and_the_others_named(day: DayLog) -> None:
    # A-1 came again with another side, and was refused as reused.
    made = prove_record(day.directory, HASHER, ORDER, SIGNING_KEY, NAME)
    assert len(made.other_sequences) == 1
    again = Wanted(sequence=made.other_sequences[0])
    proven = check_proof(
        prove_record(day.directory, HASHER, again, SIGNING_KEY, NAME).proof, VERIFIER_KEY, NAME
    )
    assert isinstance(proven, ProvenRecord)
    assert (proven.claim.client_order_id, proven.claim.reason) == ("A-1", "client_order_id_reused")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted("desk-alpha", "A"), "no order A of desk-alpha in its"),
        (Wanted("desk-beta", "A-1"), "no order A-1 of desk-beta in its"),
        (Wanted("desk-alpha", 'A-1"'), 'no order A-1" of desk-alpha in its'),
        (Wanted("desk-alpha", "A-1", fill_id="F-7"), "no fill F-7 of order A-1 of desk-alpha in"),
        (Wanted("desk-alpha", "A-2", cancel=True), "no cancel of order A-2 of desk-alpha in its"),
        (Wanted(sequence=0), "no record 0 in its"),
        (Wanted(sequence=10**9), "no record 1000000000 in its"),
    ],
)
def test_what_the_log_does_not_hold(wanted: Wanted, words: str, day: DayLog) -> None:
    with pytest.raises(NothingToProve, match=words):
        prove_record(day.directory, HASHER, wanted, SIGNING_KEY, NAME)


def test_the_head_alone(day: DayLog, tmp_path: Path) -> None:
    proven = check_proof(day.checkpoint, VERIFIER_KEY, NAME)
    assert isinstance(proven, ProvenHead)
    assert proven.checkpoint.root == tree_of(day.lines).root()
    assert day.decoded.checkpoint == day.checkpoint == signed_head(day.lines)
    (tmp_path / "00000001.jsonl").touch()
    with pytest.raises(NothingToProve, match="holds no record"):
        prove_head(tmp_path, HASHER, SIGNING_KEY, NAME)


def test_a_log_that_grew_continues_its_older_heads(day: DayLog, tmp_path: Path) -> None:
    for size in (1, 2, 7, 8, 31, len(day.records)):
        log = tmp_path / str(size)
        write_log(log, day.records[:size])
        old = prove_head(log, HASHER, SIGNING_KEY, NAME)
        proof = prove_consistency(day.directory, HASHER, old, SIGNING_KEY, NAME)
        proven = check_proof(proof, VERIFIER_KEY, NAME)
        assert isinstance(proven, ProvenConsistency)
        assert (proven.old.size, proven.checkpoint.size) == (size, len(day.records))
    # The checkpoint of a proof will do as well, and so will that of a consistency proof.
    for known in (day.proof, proof):
        proof = prove_consistency(day.directory, HASHER, known, SIGNING_KEY, NAME)
        assert isinstance(check_proof(proof, VERIFIER_KEY, NAME), ProvenConsistency)


def test_a_log_that_is_not_what_was_signed_is_not_signed_again(day: DayLog, tmp_path: Path) -> None:
    forked = tmp_path / "forked"
    records = list(day.records)
    records[20] = records[20].replace(b"desk-alpha", b"desk-alphA")
    assert records != day.records
    write_log(forked, records)
    with pytest.raises(ForkedLogError, match="are not those that the log's key has signed"):
        prove_consistency(forked, HASHER, day.checkpoint, SIGNING_KEY, NAME)
    shorter = tmp_path / "shorter"
    write_log(shorter, day.records[:-1])
    with pytest.raises(ForkedLogError, match=r"has \d+ records, and its key has signed"):
        prove_consistency(shorter, HASHER, day.checkpoint, SIGNING_KEY, NAME)
    with pytest.raises(NoteSignatureError, match="no trusted key"):
        prove_consistency(day.directory, HASHER, day.checkpoint, OTHER_KEY, NAME)
    with pytest.raises(ProofFormatError, match="is of the log"):
        prove_consistency(day.directory, HASHER, day.checkpoint, SIGNING_KEY, "another")


def test_a_damaged_log_proves_nothing(day: DayLog, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shutil.copytree(day.directory, log)
    segment = log / "00000001.jsonl"
    content = segment.read_bytes()
    segment.write_bytes(content[:-30] + b"X" + content[-29:])  # behind what is wanted
    for wanted in (ORDER, Wanted(sequence=1)):
        with pytest.raises(WalDamage):
            prove_record(log, HASHER, wanted, SIGNING_KEY, NAME)
    with pytest.raises(WalDamage):
        prove_head(log, HASHER, SIGNING_KEY, NAME)
    with pytest.raises(WalDamage):
        prove_consistency(log, HASHER, day.checkpoint, SIGNING_KEY, NAME)
    with pytest.raises(WalKeyMismatch):
        prove_record(day.directory, ChainHasher(None), ORDER, SIGNING_KEY, NAME)


def test_a_log_of_the_reference_can_be_proven(tmp_path: Path) -> None:
    source = unpack_vector("unkeyed.jsonl", tmp_path)
    made = prove_record(source, ChainHasher(None), Wanted(sequence=60), SIGNING_KEY, NAME)
    proven = check_proof(made.proof, VERIFIER_KEY, NAME)
    assert isinstance(proven, ProvenRecord)
    assert proven.claim == Claim()
    assert proven.entry.sequence == 60


@pytest.mark.parametrize(
    "data",
    [
        b"1", b"null", b'"text"', b"{}", b"[]", b'{"event":5}', b'{"metadata":5}', b"\xff",
        b'{"event":"order","order":{"desk":7}}', b"[" * 100_000,
        b'{"metadata":{"desk":"d","client_order_id":"c"}}',
    ],
)  # fmt: skip
def test_a_record_that_is_not_the_guards_claims_nothing(data: bytes) -> None:
    assert read_claim(data) == Claim()


def test_a_record_of_a_later_version_still_says_what_it_is() -> None:
    data = (
        b'{"event":"order_refused","new":1,"received_at_ns":5,"order":{"desk":"d","new":2,'
        b'"client_order_id":"c"},"answer":{"type":"reject","reason":"r","new":3}}'
    )
    assert read_claim(data) == Claim("order_refused", "d", "c", None, "reject", "r", None, 5)


def test_another_name_for_the_log_than_that_of_its_key(day: DayLog) -> None:
    made = prove_record(day.directory, HASHER, ORDER, SIGNING_KEY, "log of 2026")
    assert check_proof(made.proof, VERIFIER_KEY, "log of 2026")
    with pytest.raises(ProofFormatError, match="is of the log 'log of 2026', not of"):
        check_proof(made.proof, VERIFIER_KEY, NAME)
    note = day.decoded.checkpoint
    assert open_checkpoint(note, VERIFIER_KEY, NAME)[0].origin == NAME


def test_a_log_that_grows_is_proven_up_to_its_anchor(day: DayLog, tmp_path: Path) -> None:
    log = tmp_path / "log"
    half = write_log(log, day.records[:20])
    anchor = anchor_of(half, keyed=True)
    with (log / "00000001.jsonl").open("ab") as file:
        file.write(day.lines[20] + b"\n" + day.lines[21][:100])  # a write that is under way
    with pytest.raises(WalDamage):
        prove_head(log, HASHER, SIGNING_KEY, NAME)
    assert prove_head(log, HASHER, SIGNING_KEY, NAME, anchor) == signed_head(day.lines[:20])
    made = prove_record(log, HASHER, ORDER, SIGNING_KEY, NAME, anchor)
    proven = check_proof(made.proof, VERIFIER_KEY, NAME)
    assert proven.checkpoint.size == 20
    proof = prove_consistency(log, HASHER, made.proof, SIGNING_KEY, NAME, anchor)
    assert check_proof(proof, VERIFIER_KEY, NAME).checkpoint.size == 20
    with pytest.raises(NothingToProve, match="no record 21 in its 20 records"):
        prove_record(log, HASHER, Wanted(sequence=21), SIGNING_KEY, NAME, anchor)
    with pytest.raises(NothingToProve, match="holds no record"):
        prove_head(log, HASHER, SIGNING_KEY, NAME, anchor_of(EMPTY_HEAD, keyed=True))
    other = anchor_of(Head(20, "0" * 64), keyed=True)
    with pytest.raises(WalDamage, match="the record is not the anchored one"):
        prove_head(log, HASHER, SIGNING_KEY, NAME, other)


def test_what_is_signed_is_synced_before(
    day: DayLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real_fsync = os.fsync

    def fsync(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        real_fsync(file)

    monkeypatch.setattr(os, "fsync", fsync)
    sign = SigningKey.sign

    def signing(key: SigningKey, text: bytes) -> Signature:
        assert synced == [str(day.directory / "00000001.jsonl"), str(day.directory)]
        return sign(key, text)

    monkeypatch.setattr(SigningKey, "sign", signing)
    prove_head(day.directory, HASHER, SIGNING_KEY, NAME)
    monkeypatch.setattr(os, "fsync", _fails)
    with pytest.raises(WalError, match=r"cannot sync .*Input/output error"):
        prove_head(day.directory, HASHER, SIGNING_KEY, NAME)


def _fails(file: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
