"""`prove`, `check-proof` and `keygen --signing`: exit codes and what is printed."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from guard.audit.notes import generate_signing_key, parse_verifier_key, sign_note, split_note
from guard.cli import main
from guard.process import own_process
from guard_audit_support import NAME, SIGNING_KEY, VERIFIER_KEY, DayLog, archived_log
from guard_support import KEY, T0, write_log
from wal import Head, anchor_of, write_anchor

VKEY = str(VERIFIER_KEY)
PAGE = (Path(__file__).resolve().parent.parent.parent.parent / "guard" / "PROOFS.md").read_text()


class Desk:
    """A log with its keys in files, and the commands run on it."""

    def __init__(self, root: Path, day: DayLog, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.day = day
        self.log = root / "log"
        shutil.copytree(day.directory, self.log)
        self.key_file = self.secret("log.key", KEY)
        self.signing = self.secret("log.signing", SIGNING_KEY.secret_text().encode() + b"\n")
        self.proof = root / "order.tlog-proof"
        self.proof.write_bytes(self.day.proof)
        self.capsys = capsys

    def secret(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    def run(self, *arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def prove(self, *arguments: object) -> tuple[int, str, str]:
        keys = ("--key-file", self.key_file, "--signing-key", self.signing)
        return self.run("prove", self.log, *keys, *arguments)

    def check(self, *arguments: object, key: str = VKEY) -> tuple[int, str, str]:
        return self.run("check-proof", self.proof, "--log-key", key, *arguments)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    return DayLog(tmp_path_factory.mktemp("day"))


@pytest.fixture
def desk(tmp_path: Path, day: DayLog, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, day, capsys)


def test_from_a_fresh_key_to_a_checked_proof(desk: Desk) -> None:
    signing = desk.root / "fresh.signing"
    code, vkey, err = desk.run("keygen", "--signing", signing, "--name", "example.com/log")
    assert (code, err) == (0, "")
    assert stat.S_IMODE(signing.stat().st_mode) == 0o600
    assert parse_verifier_key(vkey.strip()).name == "example.com/log"
    desk.signing = signing
    code, proof, err = desk.prove("--desk", "desk-alpha", "--order", "A-2")
    assert (code, err) == (0, "")
    desk.proof.write_text(proof)
    code, out, _ = desk.check(key=vkey.strip())
    assert code == 0
    assert out.startswith(f"{desk.proof}: true: order A-2 of desk-alpha was admitted\n")
    assert desk.check()[:2] == (1, f"{desk.proof}: FALSE: no trusted key has signed the note\n")


def test_what_a_proof_shows_to_people(desk: Desk) -> None:
    code, out, err = desk.check()
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert head == f"{desk.proof}: true: order A-1 of desk-alpha was admitted"
    shown = dict(row.strip().split(": ", 1) for row in rows)
    assert shown["reason"] == "requested_model_maximizes_utility"
    assert shown["received at"] == "2023-11-14 22:13:20.000000000 UTC"
    assert (shown["log origin"], shown["tree size"]) == (NAME, str(len(desk.day.lines)))
    assert (shown["desk"], shown["client order id"], shown["venue"]) == ("desk-alpha", "A-1", "10")


def test_what_a_proof_shows_in_json(desk: Desk) -> None:
    code, out, _ = desk.check("--json")
    answer = json.loads(out)
    sequence = answer["sequence"]
    assert code == 0
    assert answer["record"] == json.loads(desk.day.records[sequence - 1])
    del answer["record"]
    assert answer == {
        "ok": True,
        "kind": "record",
        "event": "order",
        "desk": "desk-alpha",
        "client_order_id": "A-1",
        "fill_id": None,
        "answer": "admit",
        "reason": "requested_model_maximizes_utility",
        "venue": 10,
        "sequence": sequence,
        "received_at_ns": T0,
        "received_at": "2023-11-14 22:13:20.000000000 UTC",
        "client": "local",
        "entry_hash": json.loads(desk.day.lines[sequence - 1])["entry_hash"],
        "log_origin": NAME,
        "tree_size": len(desk.day.lines),
        "root_hash_hex": answer["root_hash_hex"],
    }


def test_the_other_events_and_records(desk: Desk) -> None:
    for arguments, words in (
        (("--desk", "desk-alpha", "--order", "A-3"), "order A-3 of desk-alpha was rejected"),
        (("--desk", "nobody", "--order", "A-5"), "order A-5 of nobody was rejected"),
        (("--desk", "desk-alpha", "--order", "A-1", "--fill", "F-1"), "has the event fill"),
        (("--desk", "desk-alpha", "--order", "A-1", "--cancel"), "has the event release"),
        (("--sequence", "1"), "record 1 is in the log"),
    ):
        code, proof, err = desk.prove(*arguments)
        assert (code, err) == (0, "")
        desk.proof.write_text(proof)
        code, out, _ = desk.check()
        assert code == 0
        assert words in out.splitlines()[0]


def test_an_id_that_came_again_is_told(desk: Desk) -> None:
    code, proof, err = desk.prove("--desk", "desk-alpha", "--order", "A-1")
    assert (code, proof.encode()) == (0, desk.day.proof)
    assert "the first one; also of this name: " in err


def test_checkpoints_and_consistency(desk: Desk) -> None:
    code, checkpoint, _ = desk.prove("--checkpoint")
    assert (code, checkpoint.encode()) == (0, desk.day.checkpoint)
    desk.proof.write_text(checkpoint)
    code, out, _ = desk.check("--json")
    assert (code, json.loads(out)["kind"]) == (0, "checkpoint")
    size = len(desk.day.records)
    assert desk.check()[1].startswith(f"{desk.proof}: true: a head of {size} records\n")

    write_log(desk.root / "longer", [*desk.day.records, b'{"event":"later"}'])
    desk.log = desk.root / "longer"
    code, proof, _ = desk.prove("--consistency", desk.proof)
    assert code == 0
    desk.proof.write_text(proof)
    code, out, _ = desk.check("--json")
    answer = json.loads(out)
    assert (code, answer["kind"]) == (0, "consistency")
    assert (answer["old_tree_size"], answer["tree_size"]) == (size, size + 1)
    words = f"the first {size} of {size + 1} records are as they were"
    assert words in desk.check()[1]

    write_log(desk.root / "forked", [*desk.day.records[:-1], b'{"event":"other"}'])
    desk.log = desk.root / "forked"
    code, out, err = desk.prove("--consistency", desk.proof)
    assert (code, out) == (1, "")
    assert "and its key has signed" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--desk", "desk-alpha", "--order", "A-99"), "no order A-99 of desk-alpha in its"),
        (("--order", "A-1"), "--order and --desk go together"),
        (("--desk", "desk-alpha", "--sequence", "1"), "--order and --desk go together"),
        (("--checkpoint", "--cancel"), "--fill and --cancel are of an --order"),
        (("--sequence", "1", "--fill", "F-1"), "--fill and --cancel are of an --order"),
        (("--sequence", "0"), "no record 0 in its"),
        (("--consistency", "nowhere"), "nowhere: cannot be read"),
        (("--consistency", "/dev/null"), "the proof is empty"),
        (("--checkpoint", "--origin", ""), "the checkpoint has no origin"),
        (("--checkpoint", "--anchor", "nowhere"), "cannot read the anchor nowhere: "),
    ],
)
def test_wrong_use_of_prove(arguments: tuple[str, ...], words: str, desk: Desk) -> None:
    code, out, err = desk.prove(*arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_up_to_an_anchor(desk: Desk) -> None:
    anchor = desk.root / "anchor"
    line = json.loads(desk.day.lines[19])
    write_anchor(anchor, anchor_of(Head(20, line["entry_hash"]), keyed=True))
    code, checkpoint, err = desk.prove("--checkpoint", "--anchor", anchor)
    assert (code, err) == (0, "")
    assert checkpoint.startswith(f"{NAME}\n20\n")


def test_a_log_without_its_beginning_is_brought_together_first(desk: Desk) -> None:
    shutil.rmtree(desk.log)
    archived_log(desk.log, desk.day.records, 20)
    code, out, err = desk.prove("--checkpoint")
    assert (code, out) == (2, "")
    assert "its oldest segments are archived, and a proof is about the whole log" in err
    shutil.copytree(desk.root / "archive", desk.log, dirs_exist_ok=True)
    code, out, err = desk.prove("--checkpoint")
    assert (code, out.encode(), err) == (0, desk.day.checkpoint, "")


def test_wrong_keys_and_damaged_logs(desk: Desk) -> None:
    order = ("--desk", "desk-alpha", "--order", "A-1")
    segment = desk.log / "00000001.jsonl"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    code, out, err = desk.prove(*order)
    assert (code, out) == (1, "")
    assert "the last line has no newline" in err
    segment.write_bytes(whole)
    code, out, err = desk.run("prove", desk.log, "--signing-key", desk.signing, *order)
    assert (code, out) == (2, "")
    assert "the log is keyed and no key was given" in err
    for data, words in (
        (SIGNING_KEY.secret_text().encode()[:-1], "is not canonical base64"),
        (VKEY.encode(), "does not begin with PRIVATE+KEY+"),
        (b"\xff" * 32, "it is not text"),
        (b"", "does not begin with PRIVATE+KEY+"),
    ):
        desk.secret("log.signing", data)
        code, out, err = desk.prove(*order)
        assert (code, out) == (2, "")
        assert f"{desk.signing}: is no signing key: " in err
        assert words in err
    desk.secret("log.signing", SIGNING_KEY.secret_text().encode()).chmod(0o640)
    code, _, err = desk.prove(*order)
    assert code == 2
    assert "mode 0640 lets others in" in err


def test_wrong_use_of_check_proof(desk: Desk) -> None:
    assert desk.check(key="no key")[0] == 2
    assert desk.check(key=f"{VKEY}\n")[0] == 0  # as it comes out of a file
    assert desk.check(key=VKEY[:-1])[2].startswith("pretrade-guard: --log-key: verifier key: ")
    assert desk.check("--origin", "elsewhere")[0] == 1
    desk.proof.write_bytes(b"")
    assert desk.check()[0] == 2
    desk.proof.unlink()
    assert desk.check()[2].endswith("cannot be read: No such file or directory\n")
    with pytest.raises(SystemExit) as ended:
        desk.run("check-proof", desk.proof)
    assert ended.value.code == 2


def test_a_false_proof(desk: Desk) -> None:
    desk.proof.write_bytes(desk.day.proof.replace(b"index ", b"index 9", 1))
    code, out, err = desk.check()
    assert (code, err) == (1, "")
    assert out.startswith(f"{desk.proof}: FALSE: there is no leaf")
    code, out, _ = desk.check("--json")
    assert code == 1
    assert json.loads(out)["ok"] is False
    desk.proof.write_bytes(b"not a proof at all")
    assert desk.check()[0] == 1


def test_what_a_proof_says_does_not_steer_the_terminal(desk: Desk) -> None:
    data = b'{"event":"order","order":{"desk":"d\\u001b[2J","client_order_id":"i"},"answer":null}'
    write_log(desk.root / "hostile", [data])
    desk.log = desk.root / "hostile"
    desk.proof.write_text(desk.prove("--sequence", "1")[1])
    code, out, _ = desk.check()
    assert code == 0
    assert "\x1b" not in out
    assert r"d\x1b[2J" in out


def test_wrong_use_of_keygen(desk: Desk) -> None:
    path = desk.root / "new"
    for arguments, words in (
        ((), "give FILE for a log key, or --signing FILE"),
        ((path, "--signing", path, "--name", "n"), "give FILE for a log key, or --signing FILE"),
        (("--signing", path), "--signing FILE and --name NAME go together"),
        ((path, "--name", "n"), "--signing FILE and --name NAME go together"),
        (("--signing", path, "--name", "a b"), "has a space"),
        (("--signing", path, "--name", ""), "0 characters; allowed: 1 to 256"),
        (("--signing", desk.signing, "--name", "n"), "cannot be created: File exists"),
    ):
        code, out, err = desk.run("keygen", *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert not path.exists()
    assert desk.signing.read_text() == SIGNING_KEY.secret_text() + "\n"


def test_check_proof_needs_nothing_but_the_file_and_the_public_key(desk: Desk) -> None:
    """In a process of its own, in an empty directory, with no environment but the form's."""
    empty = desk.root / "empty"
    empty.mkdir()
    form = {name: os.environ[name] for name in ("PRETRADE_GUARD_PURE",) if name in os.environ}
    run = own_process.command("guard.cli", "check-proof", str(desk.proof), "--log-key", VKEY)
    done = subprocess.run(run, cwd=empty, env=form, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"was admitted" in done.stdout
    assert os.listdir(empty) == []


def test_the_pages_numbers_and_lines_are_the_codes(desk: Desk) -> None:
    from guard.audit import notes, tlog

    for number in (notes.NOTE_BYTES_MAX, tlog.LEAF_BYTES_MAX):
        assert f"{number:,} bytes" in PAGE
    assert f"{notes.SIGNATURES_MAX} signatures" in PAGE
    assert f"1 to {notes.KEY_NAME_LENGTH_MAX}\ncharacters" in PAGE
    assert PAGE.count(f"at most {tlog.HASHES_MAX};") == 2
    assert tlog.INCLUSION_HEADER in PAGE
    assert tlog.CONSISTENCY_HEADER in PAGE
    assert desk.proof.suffix == ".tlog-proof"


def test_a_head_is_signed_only_of_what_continues_the_last(
    tmp_path: Path, day: DayLog, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, day, capsys)
    head = tmp_path / "head"
    keys = ("--key-file", desk.key_file, "--signing-key", desk.signing, "--head", head)
    code, _, said = desk.run("sign-head", desk.log, *keys)
    assert code == 2
    assert "is missing; bring the last signature back, or say --first" in said
    assert desk.run("sign-head", desk.log, *keys, "--first")[0] == 0
    first = head.read_bytes()
    assert desk.run("sign-head", desk.log, *keys, "--first")[0] == 2
    assert desk.run("sign-head", desk.log, *keys)[0] == 0
    assert head.read_bytes() == first  # nothing has come
    longer, other = tmp_path / "longer", tmp_path / "other"
    write_log(longer, [*day.records, b'{"event":"later"}'])
    assert desk.run("sign-head", longer, *keys)[0] == 0
    assert head.read_bytes() != first
    first = head.read_bytes()
    # Another past, whole in itself, by who has the log's key; and what is shorter than was signed.
    write_log(other, [*day.records, b'{"event":"other"}', b'{"event":"later"}'])
    code, out, said = desk.run("sign-head", desk.log, *keys)
    assert (code, out) == (1, "")
    code, out, said = desk.run("sign-head", other, *keys)
    assert (code, out) == (1, "")
    assert "nothing was signed" in said
    assert head.read_bytes() == first


def test_a_head_that_a_witness_has_signed_too(
    tmp_path: Path, day: DayLog, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, day, capsys)
    witness, other = generate_signing_key("w.example.com"), generate_signing_key("x.example.com")
    code, note, _ = desk.prove("--checkpoint")
    assert code == 0
    text, _ = split_note(note.encode())
    by_both = note.encode() + sign_note(text, [witness]).removeprefix(text + b"\n")
    desk.proof.write_bytes(by_both)
    for key, expected in ((witness, 0), (other, 1)):
        code, said, _ = desk.check("--witness", key.verifier_key)
        assert code == expected, said
    assert "witness x.example.com: no trusted key has signed the note" in said
