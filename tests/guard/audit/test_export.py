"""Exports: what the reference's wheel replays record by record, and what is never left behind."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import calybris
import pytest
from calybris import _core as wheel
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.audit.export import ExportedPart, ExportError, export_decisions
from guard.cli import main
from guard.config.activation import opening_events
from guard.engine.events import PolicyActivated
from guard.record.codec import DIALECT
from guard_audit_support import HASHER, DayLog, archived_log, chained
from guard_support import (
    DEV_POLICY_DIGEST_HEX,
    KEY,
    LoggedEngine,
    actor,
    dev_config,
    order,
    write_log,
)
from umask_support import mode_of, umask
from wal import ChainHasher, WalDamage, WalKeyMismatch, read_anchor, read_entries, verify_chain
from wal_support import VECTOR_KEY, VECTORS, unpack_vector

UNKEYED = ChainHasher(None)
OUT_KEY = bytes(range(100, 140))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    return DayLog(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a day on which the policy was changed, and, as it once could be, changed back."""
    engine = LoggedEngine()
    engine.submit(order("A-1"))
    engine.submit(order("A-2"))
    for epoch in (8, 9, 7):
        config = dev_config(("policy_epoch = 7", f"policy_epoch = {epoch}"))
        opening = opening_events(config, actor(), "0" * 32, "")
        engine.log(next(event for event in opening if isinstance(event, PolicyActivated)))
        if epoch != 9:  # under that one nothing was decided
            engine.submit(order(f"B-{epoch}"))
    directory = tmp_path_factory.mktemp("changing")
    write_log(directory, engine.records)
    return directory


def decisions(records: list[bytes]) -> list[bytes]:
    return [data for data in records if data.startswith(b'{"audit":')]


def data_of(path: Path, hasher: ChainHasher = UNKEYED) -> list[bytes]:
    return [entry.data for entry in read_entries(path, hasher, DIALECT)]


def policy_at(path: Path | None) -> Any:
    """The exported policy as the wheel's."""
    assert path is not None
    content = json.loads(path.read_text())
    models = [calybris.KernelModel(**model) for model in content["policy"].pop("models")]
    return calybris.PolicySnapshot(**content["policy"], models=models)


def check_with_the_wheel(part: ExportedPart, key: bytes | None) -> None:
    """Chain, anchor and every decision, by the independent implementation."""
    anchor = wheel.WalAnchor.load(part.anchor_path)
    head = wheel.verify_audited_wal(part.path, hmac_key=key, anchor=anchor)
    assert head == (part.head.sequence, part.head.entry_hash)
    results = wheel.replay_verify_audited_wal(part.path, policy_at(part.policy_path), hmac_key=key)
    assert len(results) == part.head.sequence


@pytest.mark.parametrize("mask", [0, 0o022])
def test_an_export_is_its_owners_alone(mask: int, changing: Path, tmp_path: Path) -> None:
    with umask(mask):
        export_decisions(changing, HASHER, tmp_path / "day.jsonl", UNKEYED)
    modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}
    assert len(modes) == 9
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("key", [None, OUT_KEY])
def test_the_wheel_replays_an_export(key: bytes | None, day: DayLog, tmp_path: Path) -> None:
    out = tmp_path / "day.jsonl"
    hasher = ChainHasher(key)
    (part,) = export_decisions(day.directory, HASHER, out, hasher)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "day.anchor.json", "day.jsonl", "day.policy.json",
    ]  # fmt: skip
    assert data_of(out, hasher) == decisions(day.records)
    assert out.read_bytes() == b"".join(
        line + b"\n" for line in chained(decisions(day.records), key)
    )
    assert (part.path, part.head.sequence) == (out, 10)
    assert (part.policy_epoch, part.policy_digest_hex) == (7, DEV_POLICY_DIGEST_HEX)
    anchor = read_anchor(part.anchor_path)
    assert (anchor.head, anchor.keyed) == (part.head, key is not None)
    verify_chain(out, hasher, DIALECT, anchor)
    check_with_the_wheel(part, key)


def test_a_file_for_each_policy_in_force(changing: Path, tmp_path: Path) -> None:
    parts = export_decisions(changing, HASHER, tmp_path / "day.jsonl", UNKEYED)
    assert [(part.path.name, part.head.sequence, part.policy_epoch) for part in parts] == [
        ("day.1.jsonl", 2, 7),
        ("day.2.jsonl", 1, 8),
        ("day.3.jsonl", 1, 7),
    ]
    assert len(list(tmp_path.iterdir())) == 9
    assert parts[0].policy_digest_hex == parts[2].policy_digest_hex != parts[1].policy_digest_hex
    for part in parts:
        check_with_the_wheel(part, None)
        assert json.loads((part.policy_path or Path()).read_text())["policy_digest_hex"] == (
            part.policy_digest_hex
        )
    with pytest.raises(calybris.CalybrisError):
        wheel.replay_verify_audited_wal(parts[0].path, policy_at(parts[1].policy_path))


@pytest.mark.parametrize(("name", "key"), [("keyed", VECTOR_KEY), ("unkeyed", None)])
def test_a_log_of_the_wheel_comes_out_as_it_was(
    name: str, key: bytes | None, tmp_path: Path
) -> None:
    source, hasher = unpack_vector(f"{name}.jsonl", tmp_path), ChainHasher(key)
    out = tmp_path / "out"
    (part,) = export_decisions(source, hasher, out, hasher)
    assert (part.path, part.anchor_path.name, part.policy_path) == (out, "out.anchor.json", None)
    assert out.read_bytes() == source.read_bytes()
    anchor = json.loads(part.anchor_path.read_text())
    assert anchor == json.loads((VECTORS / f"{name}.anchor.json").read_text())
    policy = policy_at(VECTORS / "policy.json")
    results = wheel.replay_verify_audited_wal(out, policy, hmac_key=key)
    assert len(results) == part.head.sequence == 120


def older_generation(records: list[bytes]) -> list[bytes]:
    """The same records with the bundle that the crate wrote in 0.3.10."""
    older = []
    for data in records:
        record = json.loads(data)
        names = ("policy_digest_hex", "input_digest_hex", "decision_digest_hex", "replay_valid")
        record["audit"] = {name: record["audit"][name] for name in names}
        older.append(json.dumps(record, separators=(",", ":")).encode())
    return older


def test_bundles_of_the_older_generation(day: DayLog, tmp_path: Path) -> None:
    source = tmp_path / "old.jsonl"
    records = older_generation(decisions(day.records))
    source.write_bytes(b"".join(line + b"\n" for line in chained(records)))
    (part,) = export_decisions(source, HASHER, tmp_path / "out.jsonl", UNKEYED)
    assert (part.policy_epoch, part.policy_digest_hex) == (None, DEV_POLICY_DIGEST_HEX)
    assert data_of(part.path) == records
    assert wheel.verify_audited_wal(part.path)[0] == len(records)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("damage", ["first", "last", "cut", "key"])
def test_a_damaged_log_leaves_nothing_behind(damage: str, day: DayLog, tmp_path: Path) -> None:
    whole = (day.directory / "00000001.jsonl").read_bytes()
    source = tmp_path / "log.jsonl"
    source.write_bytes(
        {
            "first": b"X" + whole[1:],
            "last": whole[:-9] + b"X" + whole[-8:],
            "cut": whole[:-1],
            "key": whole,
        }[damage]
    )
    hasher = UNKEYED if damage == "key" else HASHER
    with pytest.raises(WalKeyMismatch if damage == "key" else WalDamage):
        export_decisions(source, hasher, tmp_path / "out.jsonl", UNKEYED)
    assert names_in(tmp_path) == ["log.jsonl"]


def test_what_cannot_be_exported(day: DayLog, tmp_path: Path) -> None:
    none = tmp_path / "none"
    write_log(none, LoggedEngine().records)
    with pytest.raises(ExportError, match="holds no decision records"):
        export_decisions(none, HASHER, tmp_path / "out.jsonl", UNKEYED)
    strange = tmp_path / "strange"
    write_log(strange, [*day.records, b'{"audit":{"policy_digest_hex":5}}'])
    with pytest.raises(ExportError, match=r"record 4\d: its audit bundle names no policy"):
        export_decisions(strange, HASHER, tmp_path / "out.jsonl", UNKEYED)
    with pytest.raises(ExportError, match=r"nowhere.*: cannot be written: No such file"):
        export_decisions(day.directory, HASHER, tmp_path / "nowhere" / "out.jsonl", UNKEYED)
    assert names_in(tmp_path) == ["none", "strange"]


@pytest.mark.parametrize("name", ["day.jsonl", "day.anchor.json", "day.policy.json"])
def test_no_file_is_overwritten(name: str, day: DayLog, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(ExportError, match=f"{name}: is there already"):
        export_decisions(day.directory, HASHER, tmp_path / "day.jsonl", UNKEYED)
    assert names_in(tmp_path) == [name]


@pytest.mark.parametrize("source", ["", "00000001.jsonl"])
def test_nothing_is_written_into_the_directory_of_a_log(source: str, tmp_path: Path) -> None:
    log = DayLog(tmp_path / "log").directory
    (tmp_path / "link").symlink_to(log)
    for place in (log, log / ".." / "log", tmp_path / "link"):
        for name in ("00000002.jsonl", "day.jsonl"):
            with pytest.raises(ExportError, match=f"{name}: is in the directory of a log"):
                export_decisions(log / source, HASHER, place / name, UNKEYED)
    assert names_in(log) == ["00000001.jsonl", "lock"]
    (log / "lock").unlink()  # a copy of a log, of the segments alone
    with pytest.raises(ExportError, match="is in the directory of a log"):
        export_decisions(log, HASHER, log / "day.jsonl", UNKEYED)


def test_exports_may_be_named_as_days(day: DayLog, tmp_path: Path) -> None:
    for name in ("20261120.jsonl", "20261123.jsonl"):
        export_decisions(day.directory, HASHER, tmp_path / name, UNKEYED)
    assert len(names_in(tmp_path)) == 6


def test_a_name_that_is_taken_is_told_before_the_log_is_read(tmp_path: Path) -> None:
    for name in ("log.jsonl", "day.anchor.json"):
        (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(ExportError, match=r"day\.anchor\.json: is there already"):
        export_decisions(tmp_path / "log.jsonl", HASHER, tmp_path / "day.jsonl", UNKEYED)


def test_all_is_synced_before_it_has_its_name(
    day: DayLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(file: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{file}')).name}")
        real_fsync(file)

    def link(old: Path, new: Path) -> None:
        done.append(f"name {new.name}")
        real_link(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    export_decisions(day.directory, HASHER, tmp_path / "day.jsonl", UNKEYED)
    assert done == [
        "sync 1.jsonl", "sync 1.anchor.json", "sync 1.policy.json",
        "name day.jsonl", "name day.anchor.json", "name day.policy.json",
        f"sync {tmp_path.name}",
    ]  # fmt: skip


def test_no_numbered_file_is_overwritten(changing: Path, tmp_path: Path) -> None:
    (tmp_path / "day.3.anchor.json").write_bytes(b"mine")
    with pytest.raises(ExportError, match=r"day\.3\.anchor\.json: is there already"):
        export_decisions(changing, HASHER, tmp_path / "day.jsonl", UNKEYED)
    assert names_in(tmp_path) == ["day.3.anchor.json"]


def test_all_names_or_none(changing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_link, calls = os.link, []

    def link(old: Path, new: Path) -> None:
        calls.append(new)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real_link(old, new)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="No space left"):
        export_decisions(changing, HASHER, tmp_path / "day.jsonl", UNKEYED)
    assert len(calls) == 5
    assert names_in(tmp_path) == []


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def key_file(path: Path, key: bytes) -> Path:
    path.write_bytes(key)
    path.chmod(0o600)
    return path


def test_the_command(day: DayLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, out_key = key_file(tmp_path / "key", KEY), key_file(tmp_path / "out.key", OUT_KEY)
    out = tmp_path / "out.jsonl"
    command = ("export", day.directory, "--key-file", key, "--decisions", out)
    code, text, err = run(capsys, *command, "--out-key-file", out_key)
    assert (code, err) == (0, "")
    assert text.startswith(f"{out}: 10 decisions under the policy epoch 7, {DEV_POLICY_DIGEST_HEX}")
    assert wheel.verify_audited_wal(out, hmac_key=OUT_KEY)[0] == 10
    code, text, err = run(capsys, *command)
    assert (code, text) == (2, "")
    assert "out.jsonl: is there already, and is not overwritten" in err
    assert run(capsys, "export", day.directory, "--decisions", tmp_path / "new")[0] == 2
    command = ("export", day.directory, "--key-file", key, "--decisions", tmp_path / "j", "--json")
    code, text, _ = run(capsys, *command)
    answer = json.loads(text)
    assert (code, answer["ok"], answer["keyed"]) == (0, True, False)
    assert [file["decisions"] for file in answer["files"]] == [10]


def test_our_own_replay_takes_the_export_with_what_stands_beside_it(
    changing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in export_decisions(changing, HASHER, tmp_path / "day.jsonl", UNKEYED):
        files = ("--policy", part.policy_path, "--anchor", part.anchor_path)
        code, text, _ = run(capsys, "replay", part.path, *files, "--jobs", 1, "--json")
        answer = json.loads(text)
        assert (code, answer["head_hash"]) == (0, part.head.entry_hash)
        assert answer["policy_digest_hex"] == part.policy_digest_hex


def test_a_log_without_its_beginning(
    day: DayLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    archived_log(log, day.records, 12)
    key, out = key_file(tmp_path / "key", KEY), tmp_path / "out.jsonl"
    command = ("export", log, "--key-file", key, "--decisions")
    code, text, _ = run(capsys, *command, out)
    assert code == 0
    assert text.startswith(f"{log}: without what stands before record 13\n")
    assert data_of(out) == decisions(day.records[12:])
    code, text, _ = run(capsys, *command, tmp_path / "again", "--json")
    answer = json.loads(text)
    assert answer["after_sequence"] == 12
    # The policy in force there comes from the checkpoint, in the form that the log's own has.
    (whole,) = export_decisions(day.directory, HASHER, tmp_path / "whole.jsonl", UNKEYED)
    assert whole.policy_path is not None
    policy_path = Path(answer["files"][0]["policy_path"])
    assert policy_path.read_bytes() == whole.policy_path.read_bytes()
    results = wheel.replay_verify_audited_wal(out, policy_at(tmp_path / "out.policy.json"))
    assert len(results) == len(decisions(day.records[12:]))


def test_a_damaged_checkpoint_gives_no_policy(
    day: DayLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    archived_log(log, day.records, 12)
    (path,) = log.glob("*.ckpt")
    key, out = key_file(tmp_path / "key", KEY), tmp_path / "out.jsonl"
    command = ("export", log, "--key-file", key, "--decisions", out)
    data = bytearray(path.read_bytes())
    for at in (5, 200, len(data) - 1):
        flipped = data.copy()
        flipped[at] ^= 1
        path.write_bytes(flipped)
        code, text, err = run(capsys, *command)
        assert (code, text) == (1, "")
        assert f"the bytes of {path.name} are not those that were listed" in err
    assert names_in(tmp_path) == ["archive", "key", "log"]


def test_verify_takes_logs_and_anchors_of_the_wheel(
    day: DayLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_file(tmp_path / "key", VECTOR_KEY)
    keyed, unkeyed = (unpack_vector(f"{name}.jsonl", tmp_path) for name in ("keyed", "unkeyed"))
    older = tmp_path / "older.jsonl"
    records = older_generation(decisions(day.records))
    older.write_bytes(b"".join(line + b"\n" for line in chained(records, None)))
    for arguments in (
        (keyed, "--key-file", key, "--anchor", VECTORS / "keyed.anchor.json"),
        (unkeyed, "--anchor", VECTORS / "unkeyed.anchor.json"),
        (older,),
    ):
        assert run(capsys, "verify", *arguments)[0] == 0
    cut = unpack_vector("bad_truncated_suffix.jsonl", tmp_path)
    assert run(capsys, "verify", cut, "--key-file", key)[0] == 0
    command = ("verify", cut, "--key-file", key, "--anchor", VECTORS / "keyed.anchor.json")
    code, text, _ = run(capsys, *command)
    assert code == 1
    assert "the log ends before its anchor, which is at record 120" in text
    for anchor, words in (
        (VECTORS / "unkeyed.anchor.json", "the anchor is of an unkeyed log"),
        (keyed, "an anchor has at most"),
        (tmp_path / "none", "cannot read the anchor"),
    ):
        code, text, err = run(capsys, "verify", keyed, "--key-file", key, "--anchor", anchor)
        assert (code, text) == (2, "")
        assert words in err


def test_the_wheel_takes_our_log_with_our_anchor(day: DayLog, tmp_path: Path) -> None:
    from wal import anchor_of, write_anchor

    write_anchor(tmp_path / "anchor", anchor_of(day.head, keyed=True))
    segment = day.directory / "00000001.jsonl"
    anchor = wheel.WalAnchor.load(tmp_path / "anchor")
    assert wheel.verify_audited_wal(segment, hmac_key=KEY, anchor=anchor) == day.head


@settings(max_examples=12, deadline=None, print_blob=True)
@given(
    orders=st.lists(
        st.fixed_dictionaries(
            {
                "venue": st.sampled_from([10, 20, 30, 99]),
                "quantity": st.sampled_from([1, 7, 10**6, 2**32 - 1, 2**32]),
                "price": st.integers(1, 2**40),
                "risk_bps": st.integers(0, 10_000),
                "confidence_bps": st.integers(6_900, 10_000),
                "minimum_quality_bps": st.integers(0, 10_000),
                "max_p95_latency_ms": st.sampled_from([0, 50, 100, 2**32 - 1]),
                "required_capabilities": st.sampled_from([0, 1, 2**64 - 1]),
                "allowed_providers": st.integers(0, 2**64 - 1),
                "required_regions": st.sampled_from([0, 1, 2**63]),
                "max_fee_microcents": st.integers(0, 2**64 - 1),
                "desk": st.sampled_from(["desk-alpha", "desk-beta", "nobody"]),
                "allow_substitute": st.booleans(),
            }
        ),
        min_size=1,
        max_size=12,
    ),
    key=st.none() | st.binary(min_size=32, max_size=80),
)
def test_the_wheel_replays_whatever_was_decided(
    orders: list[dict[str, Any]], key: bytes | None
) -> None:
    engine = LoggedEngine()
    engine.is_checked = False
    for number, fields in enumerate(orders):
        engine.submit(order(f"O-{number}", **fields))
    with TemporaryDirectory() as root:
        write_log(Path(root) / "log", engine.records)
        out, decided = Path(root) / "out.jsonl", decisions(engine.records)
        if not decided:
            with pytest.raises(ExportError, match="holds no decision records"):
                export_decisions(Path(root) / "log", HASHER, out, ChainHasher(key))
            return
        (part,) = export_decisions(Path(root) / "log", HASHER, out, ChainHasher(key))
        assert data_of(out, ChainHasher(key)) == decided
        check_with_the_wheel(part, key)
