"""What `replay` reads and holds the log against: bounds, anchor, checkpoint, and logs of others."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import calybris
import pytest

from decision_log_support import POLICY, RECORDS, chained, dump
from guard.cli import main
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard_checkpoint_support import HEADS, OLDER, checkpoint, write_segments
from guard_checkpoint_support import RECORDS as DAY_RECORDS
from guard_support import DEV_CONFIG_TEXT, T0, fold
from kernel import KernelInput
from wal import ChainHasher, anchor_of, archive_segments, write_anchor, write_checkpoint
from wheel_support import wheel_input, wheel_policy

KEY = bytes(range(32))
HASHER = ChainHasher(KEY)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    directory = tmp_path / "log"
    write_segments(directory, (9, 25, 33), DAY_RECORDS)
    return directory


class Tool:
    """`replay --json` of a log under one key."""

    def __init__(self, capsys: pytest.CaptureFixture[str], key_file: Path) -> None:
        self._capsys = capsys
        self._key_file = key_file

    def __call__(self, source: Path, *arguments: object) -> tuple[int, dict[str, Any], str]:
        texts = [str(argument) for argument in arguments]
        code = main(["replay", str(source), "--key-file", str(self._key_file), "--json", *texts])
        captured = self._capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else {}, captured.err


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str], key_file: Path) -> Tool:
    return Tool(capsys, key_file)


def test_bounds_limit_what_is_reported(log: Path, replay: Tool) -> None:
    whole = replay(log)[1]
    count = len(DAY_RECORDS)
    at_t0 = sum(b'"received_at_ns":%d,' % T0 in data for data in DAY_RECORDS)
    assert 0 < at_t0 < count
    for bounds, first, records in (
        (("--from", 8, "--to", 10), 8, 3),
        (("--from", 8, "--to", 8), 8, 1),
        (("--from", 37), 37, count - 36),
        (("--to", 8), 1, 8),
        (("--from", "2023-11-14", "--to", "2023-11-14"), 1, count),
        (("--from", "2023-11-14T22:13:20Z", "--to", "2023-11-14T22:13:20+00:00"), 1, at_t0),
    ):
        code, part, _ = replay(log, *bounds)
        assert code == 0
        assert (part["range"]["first_sequence"], part["range"]["records"]) == (first, records)
        # All of it was replayed all the same.
        assert (part["records"], part["head_hash"]) == (count, whole["head_hash"])
        assert part["ledger_digest_hex"] == whole["ledger_digest_hex"]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (("--from", "x"), "no sequence, date or time"),
        (("--to", "0"), "no sequence, date or time"),
        (("--to", "2023-13-01"), "--to: '2023-13-01' is no sequence, date or time"),
        (("--from", "0"), "--from: '0' is no sequence, date or time"),
        (("--to", str(2**64)), f"--to: {2**64} is above the greatest sequence"),
        (("--from", 9, "--to", 8), "--from, --to: 9 is after 8"),
        (("--from", "2023-11-15", "--to", "2023-11-14"), "is after"),
        (("--from", len(DAY_RECORDS) + 1), "no record stands between"),
        (("--from", "2023-11-15"), "no record stands between"),
    ],
)
def test_bounds_that_cannot_be(
    bounds: tuple[object, ...], words: str, log: Path, replay: Tool
) -> None:
    code, out, err = replay(log, *bounds)
    assert (code, out) == (2, {})
    assert words in err


def test_the_anchor_is_held(log: Path, replay: Tool, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor.json"
    write_anchor(anchor, anchor_of(HEADS[20], keyed=True))
    assert replay(log, "--anchor", anchor)[0] == 0
    write_anchor(anchor, anchor_of(HEADS[20]._replace(sequence=99), keyed=True))
    code, out, _ = replay(log, "--anchor", anchor)
    assert (code, out["sequence"]) == (1, len(DAY_RECORDS) + 1)
    assert "the log ends before its anchor" in out["reason"]
    missing = tmp_path / "none"
    code, out, err = replay(log, "--anchor", missing)
    words = f"pretrade-guard: cannot read the anchor {missing}: No such file or directory\n"
    assert (code, out, err) == (2, {}, words)


def test_a_checkpoint_is_reconciled(log: Path, replay: Tool) -> None:
    info = checkpoint(log, OLDER)
    code, out, _ = replay(log, "--checkpoint", info.path)
    assert code == 0
    assert out["checkpoint_reconciled"] == {
        "sequence": OLDER,
        "state_digest_hex": info.head.state_digest_hex,
    }
    assert "checkpoint_reconciled" not in replay(log)[1]


def test_a_checkpoint_of_another_state_is_found(log: Path, replay: Tool) -> None:
    state = fold(DAY_RECORDS[:OLDER]).state
    state.desks["desk-alpha"].unpaid_fees_microcents += 1
    info = write_checkpoint(log, HEADS[OLDER], state_digest_hex(state), encode_state(state), HASHER)
    code, out, _ = replay(log, "--checkpoint", info.path)
    assert (code, out["segment"], out["sequence"]) == (1, "00000002.jsonl", OLDER)
    assert "the state replayed up to here has the digest" in out["reason"]
    state.desks["desk-alpha"].unpaid_fees_microcents -= 1
    other = HEADS[OLDER]._replace(entry_hash="a" * 64)
    info = write_checkpoint(log, other, state_digest_hex(state), encode_state(state), HASHER)
    code, out, _ = replay(log, "--checkpoint", info.path)
    assert (code, out["sequence"]) == (1, OLDER)
    assert "not the one that the checkpoint was taken after" in out["reason"]


def test_a_log_that_ends_before_its_checkpoint(tmp_path: Path, replay: Tool) -> None:
    log = tmp_path / "short"
    write_segments(log, (9, 25), DAY_RECORDS[:30])
    info = checkpoint(log, 33)
    code, out, _ = replay(log, "--checkpoint", info.path)
    assert (code, out["sequence"]) == (1, 31)
    assert "the log ends before record 33" in out["reason"]


def test_checkpoints_that_cannot_be_used(log: Path, replay: Tool) -> None:
    info = checkpoint(log, OLDER)
    code, _, err = replay(log, "--checkpoint", log / "none")
    assert code == 2
    assert "no such checkpoint" in err
    assert replay(log, "--checkpoint", log / "00000001.jsonl")[0] == 2
    content = bytearray(info.path.read_bytes())
    content[-1] ^= 1
    info.path.write_bytes(content)
    assert replay(log, "--checkpoint", info.path)[0] == 1


def test_a_log_without_its_first_segments(log: Path, replay: Tool, tmp_path: Path) -> None:
    whole = replay(log)[1]
    oldest, newer = checkpoint(log, OLDER), checkpoint(log, 33)
    archive_segments(log, tmp_path / "archive", OLDER)
    code, out, _ = replay(log, "--checkpoint", newer.path)
    assert code == 0
    assert (out["records"], out["head_hash"]) == (len(DAY_RECORDS) - OLDER, whole["head_hash"])
    assert out["ledger_digest_hex"] == whole["ledger_digest_hex"]
    assert out["checkpoint_reconciled"]["sequence"] == 33
    code, _, err = replay(log, "--checkpoint", oldest.path)
    assert code == 2
    assert "the replay begins behind record 20: give a later one" in err


def test_an_order_of_before_the_archived_segments(log: Path, replay: Tool, tmp_path: Path) -> None:
    assert replay(log, "--explain", "A-2", "--desk", "desk-alpha")[0] == 0
    checkpoint(log, 9)
    archive_segments(log, tmp_path / "archive", 9)
    code, out, err = replay(log, "--explain", "A-2", "--desk", "nobody")
    assert (code, out) == (2, {})
    assert "no client order id 'A-2' of desk 'nobody'; what stands before record 10 is arch" in err
    # Its fill came later: that is shown, and not called one of an order that never was, nor one of
    # the refused order that had the same id.
    code, out, _ = replay(log, "--explain", "A-1", "--desk", "desk-alpha")
    assert code == 0
    reused, here = out["explanations"]
    assert reused["answer"]["reason"] == "client_order_id_reused"
    assert reused["following"] == []
    assert here["summary"] == (
        "no record of it here, only what was reported of it: "
        "what stands before record 10 is archived"
    )
    assert here["following"][0]["request"]["fill_id"] == "F-1"


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(POLICY.as_dict()))
    return path


def test_a_log_of_the_reference_is_replayed(
    tmp_path: Path, replay: Tool, policy_file: Path
) -> None:
    path, theirs = tmp_path / "theirs.jsonl", wheel_policy(POLICY)
    with calybris.AuditedWal(path, hmac_key=KEY) as wal:
        for record in RECORDS:
            asked = wheel_input(KernelInput(**record["input"]))
            wal.append_verified(theirs, asked, theirs.prescribe(asked))
    toml = tmp_path / "policy.toml"
    toml.write_text(DEV_CONFIG_TEXT)
    # The development configuration's policy is the one of the vectors.
    for file in (policy_file, toml):
        for jobs in (1, 2):
            code, out, _ = replay(path, "--policy", file, "--jobs", jobs)
            assert code == 0
            last = json.loads(path.read_text().splitlines()[-1])
            assert out == {
                "ok": True,
                "records": 6,
                "decisions": 6,
                "head_sequence": 6,
                "head_hash": last["entry_hash"],
                "policy_digest_hex": POLICY.digest.hex(),
                "reasons": {"requested_model_maximizes_utility": 6},
            }


def test_a_forged_record_of_the_reference_is_named(
    tmp_path: Path, replay: Tool, policy_file: Path
) -> None:
    path = tmp_path / "theirs.jsonl"
    records = json.loads(json.dumps(RECORDS))
    records[2]["decision"]["eligible_models"] += 1
    path.write_bytes(chained([dump(record) for record in records]))
    code, out, _ = replay(path, "--policy", policy_file)
    assert (code, out["segment"], out["sequence"]) == (1, "theirs.jsonl", 3)
    assert out["reason"].startswith("eligible_models: is 4 in the decision; the policy gives 3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give it with --policy FILE"),
        (("--policy", "{policy}", "--explain", "A"), "--explain needs a log of the guard"),
        (("--policy", "{policy}", "--desk", "A"), "--desk needs a log of the guard"),
        (("--policy", "{policy}", "--from", "1"), "--from needs a log of the guard"),
        (("--policy", "{policy}", "--html", "x.html"), "--html needs a log of the guard"),
        (("--policy", "{log}"), "theirs.jsonl"),
        (("--policy", "none.json"), "none.json"),
    ],
)
def test_wrong_use_on_a_log_of_the_reference(
    arguments: tuple[str, ...], words: str, tmp_path: Path, replay: Tool, policy_file: Path
) -> None:
    path = tmp_path / "theirs.jsonl"
    path.write_bytes(chained([dump(record) for record in RECORDS]))
    places = {"policy": policy_file, "log": path}
    code, out, err = replay(path, *(text.format(**places) for text in arguments))
    assert (code, out) == (2, {})
    assert words in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b" " * 1_001, "is longer than 1000 bytes, which are allowed"),
        (b"[" * 1_000, "recursion"),
        (b"\xff", "decode"),
        (b"{}", "policy.json: "),
    ],
)
def test_a_policy_that_cannot_be(
    text: bytes, words: str, tmp_path: Path, replay: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard.cli.replay_source.POLICY_BYTES_MAX", 1_000)
    path, policy = tmp_path / "theirs.jsonl", tmp_path / "policy.json"
    path.write_bytes(chained([dump(record) for record in RECORDS]))
    policy.write_bytes(text)
    code, out, err = replay(path, "--policy", policy)
    assert (code, out) == (2, {})
    assert words in err
    monkeypatch.setattr("guard.cli.replay_source.POLICY_BYTES_MAX", 2**26)
    policy.write_text(json.dumps(POLICY.as_dict()).ljust(2_000))
    assert replay(path, "--policy", policy)[0] == 0


def test_a_policy_as_the_reference_or_an_export_says_it(tmp_path: Path, replay: Tool) -> None:
    path, file = tmp_path / "theirs.jsonl", tmp_path / "policy.json"
    path.write_bytes(chained([dump(record) for record in RECORDS]))
    theirs = wheel_policy(POLICY)
    fields = theirs.as_dict() | {"models": [model.as_dict() for model in theirs.models()]}
    assert {"fingerprint", "model_count"} <= fields.keys()
    digest_hex = POLICY.digest.hex()
    exported = {"policy": POLICY.as_dict(), "policy_digest_hex": digest_hex}
    for good in (fields, exported, POLICY.as_dict(), {"policy": fields}):
        file.write_text(json.dumps(good))
        code, out, _ = replay(path, "--policy", file)
        assert (code, out["policy_digest_hex"]) == (0, digest_hex)
    other = "0" * 64
    for bad, words in (
        (fields | {"fingerprint": other}, f"fingerprint: '{other}' is not allowed; this policy's"),
        (fields | {"model_count": 2}, "model_count: 2 is not allowed; this policy's is"),
        (exported | {"policy_digest_hex": other}, f"policy_digest_hex: '{other}' is not allowed"),
        (fields | {"strange": 1}, "strange"),
        ({"policy": 5}, "policy"),
        ([], "policy"),
    ):
        file.write_text(json.dumps(bad))
        code, out, err = replay(path, "--policy", file)
        assert (code, out) == (2, {})
        assert words in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_alone(
    log: Path, replay: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    code, whole, err = replay(log)
    assert (code, err) == (0, "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    code, shown, _ = replay(log)
    assert (code, shown) == (0, whole)
    size = sum(path.stat().st_size for path in log.glob("*.jsonl"))
    assert f"{size / 1000:.1f}/{size / 1000:.1f} kB" in terminal.getvalue()
