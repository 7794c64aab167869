"""Checkpoints: every byte of them counts, nobody plants one, a full disk costs nothing else."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wal import (
    CHECKPOINTS_KEPT,
    EMPTY_HEAD,
    ChainHasher,
    CheckpointDamage,
    CheckpointError,
    CheckpointHead,
    CheckpointInfo,
    Head,
    WalError,
    WalInputError,
    failpoint,
    find_head,
    keep_checkpoints,
    open_checkpoint,
    read_checkpoints,
    write_checkpoint,
)
from wal.checkpoint import SYNC_EVERY_BYTES
from wal_support import DIALECT, KEY, small_batches, write_log

HASHER = ChainHasher(KEY)
DIGEST = "0123456789abcdef" * 4


def head_of(sequence: int) -> Head:
    return Head(sequence, hashlib.sha256(b"%d" % sequence).hexdigest())


def write(
    directory: Path,
    sequence: int,
    payload: bytes = b"the state",
    hasher: ChainHasher = HASHER,
    kept: int = CHECKPOINTS_KEPT,
) -> CheckpointInfo:
    pieces = iter([payload[:4], payload[4:]])
    return write_checkpoint(directory, head_of(sequence), DIGEST, pieces, hasher, kept)


def payload_of(info: CheckpointInfo, piece_bytes: int = 4) -> bytes:
    with open_checkpoint(info) as reader:
        return b"".join(iter(lambda: reader.read(piece_bytes), b""))


def problems(directory: Path, hasher: ChainHasher = HASHER) -> dict[int, str | None]:
    return {info.head.sequence: info.problem for info in read_checkpoints(directory, hasher)}


def name(sequence: int) -> str:
    return f"checkpoint-{sequence:020d}.ckpt"


def test_each_piece_is_synced_at_the_callers_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(
        os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size)
    )
    seen: list[int] = []

    def pace(sync: Callable[[], None]) -> None:
        before = len(synced)
        sync()
        assert len(synced) == before + 1
        seen.append(synced[-1])

    piece = bytes(SYNC_EVERY_BYTES // 2)
    pieces = iter([piece, piece, piece, b"x", piece, b"end"])
    info = write_checkpoint(tmp_path, head_of(5), DIGEST, pieces, HASHER, pace=pace)
    assert seen == [SYNC_EVERY_BYTES, 2 * SYNC_EVERY_BYTES + 1]
    assert info.head.payload_bytes == 2 * SYNC_EVERY_BYTES + 4


def test_exact_bytes(tmp_path: Path) -> None:
    info = write(tmp_path, 5)
    digest = hashlib.sha256(b"the state").hexdigest()
    head = CheckpointHead(5, head_of(5).entry_hash, digest, 9, DIGEST)
    assert info == CheckpointInfo(tmp_path / name(5), head)
    assert info.head.head == head_of(5)
    assert (tmp_path / name(5)).read_bytes() == b"the state"
    text = (
        f'{{"sequence":5,"entry_hash":"{head.entry_hash}","payload_sha256":"{digest}",'
        f'"payload_bytes":9,"state_digest_hex":"{DIGEST}"}}'
    )
    mac = HASHER.entry_hash("pretrade-guard.wal-checkpoint.v1\0", text.encode())
    assert (tmp_path / "checkpoints.json").read_text() == (
        '{"schema_version":"pretrade-guard.wal-checkpoints.v1","checkpoints":['
        f'{text[:-1]},"mac":"{mac}"}}]}}\n'
    )
    assert read_checkpoints(tmp_path, HASHER) == [info]
    assert sorted(os.listdir(tmp_path)) == [name(5), "checkpoints.json"]
    for child in tmp_path.iterdir():
        assert child.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("piece_bytes", [1, 3, 9, 10, 10**6])
def test_a_payload_comes_back(piece_bytes: int, tmp_path: Path) -> None:
    assert payload_of(write(tmp_path, 5), piece_bytes) == b"the state"
    assert payload_of(write(tmp_path, 6, b""), piece_bytes) == b""
    with open_checkpoint(read_checkpoints(tmp_path, HASHER)[1]) as reader:
        assert reader.read(2) == b"th"
        reader.finish()
        assert reader.read(1) == b""
        with pytest.raises(WalInputError):
            reader.read(0)
    with pytest.raises(WalInputError):
        reader.read(1)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    assert read_checkpoints(tmp_path, HASHER) == []
    for sequence in (3, 7, 8, 20):
        write(tmp_path, sequence)
    assert problems(tmp_path) == {20: None, 8: None}
    assert [info.head.sequence for info in read_checkpoints(tmp_path, HASHER)] == [20, 8]
    write(tmp_path, 21, kept=1)
    assert problems(tmp_path) == {21: None}
    assert sorted(os.listdir(tmp_path)) == [name(21), "checkpoints.json"]
    write(tmp_path, 22, kept=5)
    assert problems(tmp_path) == {22: None, 21: None}


def test_the_same_state_is_not_written_twice(tmp_path: Path) -> None:
    info = write(tmp_path, 5)

    def never() -> Iterator[bytes]:
        raise AssertionError
        yield b""

    assert write_checkpoint(tmp_path, head_of(5), DIGEST, never(), HASHER) == info
    other = write_checkpoint(tmp_path, head_of(5), "ab" * 32, iter([b"other"]), HASHER)
    assert (payload_of(other), problems(tmp_path)) == (b"other", {5: None})


def test_one_of_a_future_that_was_lost_goes_when_the_next_is_written(tmp_path: Path) -> None:
    write(tmp_path, 5)
    write(tmp_path, 90)
    write(tmp_path, 6)
    assert problems(tmp_path) == {6: None, 5: None}
    assert sorted(os.listdir(tmp_path)) == [name(5), name(6), "checkpoints.json"]


def test_every_flipped_bit_of_a_payload_is_found(tmp_path: Path) -> None:
    info = write(tmp_path, 5, b"the state, in a few more bytes")
    content = info.path.read_bytes()
    for at, byte in enumerate(content):
        for bit in range(8):
            info.path.write_bytes(content[:at] + bytes([byte ^ 1 << bit]) + content[at + 1 :])
            for piece_bytes in (1, 7, 100):
                with pytest.raises(CheckpointDamage, match="not those that were listed"):
                    payload_of(read_checkpoints(tmp_path, HASHER)[0], piece_bytes)


def test_the_last_bytes_are_not_given_before_all_were_checked(tmp_path: Path) -> None:
    info = write(tmp_path, 5)
    info.path.write_bytes(b"THE state")
    with open_checkpoint(info) as reader:
        assert reader.read(8) == b"THE stat"
        with pytest.raises(CheckpointDamage):
            reader.read(1)
    with open_checkpoint(info) as reader, pytest.raises(CheckpointDamage):
        reader.finish()


def test_a_payload_of_another_length(tmp_path: Path) -> None:
    info = write(tmp_path, 5)
    info.path.write_bytes(b"the stat")
    assert problems(tmp_path) == {5: "the file has 8 bytes, not 9"}
    with pytest.raises(CheckpointDamage, match="the file has 8 bytes"):
        open_checkpoint(read_checkpoints(tmp_path, HASHER)[0])
    # Changed after it was listed, or while it is read.
    with pytest.raises(CheckpointDamage, match="ends 1 bytes too early"):
        payload_of(info)
    info.path.write_bytes(b"the state!")
    with pytest.raises(CheckpointDamage, match="longer than 9 bytes"):
        payload_of(info)
    info.path.unlink()
    assert problems(tmp_path) == {5: "the file is missing"}
    with pytest.raises(WalError, match="cannot open"):
        open_checkpoint(info)


def test_every_flipped_bit_of_the_manifest_is_found(tmp_path: Path) -> None:
    write(tmp_path, 5)
    good = write(tmp_path, 6)
    path = tmp_path / "checkpoints.json"
    content = path.read_bytes()
    # A bit in one entry leaves the other one good; never is anything taken that was not written.
    believed = {5: read_checkpoints(tmp_path, HASHER)[1], 6: good}
    for at, byte in enumerate(content):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([byte ^ 1 << bit]) + content[at + 1 :])
            infos = read_checkpoints(tmp_path, HASHER)
            usable = [info for info in infos if info.problem is None]
            assert len(usable) < 2
            assert all(info == believed[info.head.sequence] for info in usable)
            told = {info.head.sequence for info in infos if info.problem is not None}
            assert told & {5, 6}
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert set(problems(tmp_path)) == {5, 6}
        assert None not in problems(tmp_path).values()


def test_nobody_without_the_key_can_plant_one(tmp_path: Path) -> None:
    other = ChainHasher(b"somebody else's key, 32 bytes and more")
    planted = tmp_path / "planted"
    planted.mkdir()
    write(planted, 9, b"a state of his own", other)
    write(planted, 8, b"and one more", ChainHasher(None))
    for hasher in (other, ChainHasher(None)):
        shutil.rmtree(planted)
        planted.mkdir()
        write(planted, 9, b"a state of his own", hasher)
        reason = "its entry in the manifest was not made with this log's key"
        assert problems(planted) == {9: reason}
        with pytest.raises(CheckpointDamage, match="not made with this log's key"):
            open_checkpoint(read_checkpoints(planted, HASHER)[0])
    # A file alone, or a manifest changed by hand.
    write(tmp_path, 5)
    shutil.copy(planted / name(9), tmp_path)
    assert problems(tmp_path) == {9: "the manifest does not list it", 5: None}
    path = tmp_path / "checkpoints.json"
    manifest = json.loads(path.read_text())
    manifest["checkpoints"][0]["state_digest_hex"] = "ff" * 32
    path.write_text(json.dumps(manifest, separators=(",", ":")) + "\n")
    assert problems(tmp_path)[5] == "its entry in the manifest was not made with this log's key"


def test_unlisted_files_go_with_the_next_checkpoint(tmp_path: Path) -> None:
    (tmp_path / name(4)).write_bytes(b"from a crash before the manifest")
    assert problems(tmp_path) == {4: "the manifest does not list it"}
    write(tmp_path, 5)
    assert sorted(os.listdir(tmp_path)) == [name(5), "checkpoints.json"]


def test_a_start_keeps_what_is_of_use_and_sets_the_rest_aside(tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1), write(tmp_path, 2)
    (tmp_path / name(3)).write_bytes(b"left by a crash")
    keep_checkpoints(tmp_path, [older.head], [newer.head], HASHER)
    assert problems(tmp_path) == {1: None}
    assert payload_of(older) == b"the state"
    assert (tmp_path / f"{name(2)}.unused").read_bytes() == b"the state"
    assert not (tmp_path / name(3)).exists()
    keep_checkpoints(tmp_path, [], [], HASHER)
    assert problems(tmp_path) == {}
    assert not (tmp_path / name(1)).exists()


def test_what_cannot_be_set_aside_is_said(tmp_path: Path) -> None:
    info = write(tmp_path, 1)
    info.path.unlink()
    with pytest.raises(CheckpointError, match=r"^cannot write checkpoints.json: .*No such file"):
        keep_checkpoints(tmp_path, [], [info.head], HASHER)
    assert problems(tmp_path) == {1: "the file is missing"}


def test_a_damaged_manifest_is_told_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.json"
    for damaged in (b"", b"{}", b"\x00" * 300, b"x" * 100_000, b'{"schema_version":"v9"}'):
        path.write_bytes(damaged)
        [info] = read_checkpoints(tmp_path, HASHER)
        assert info.path == path
        assert info.problem is not None
        assert info.problem.startswith("the manifest is damaged: ")
    write(tmp_path, 5)
    assert problems(tmp_path) == {5: None}
    content = path.read_text()
    for wrong in (content.replace("v1", "v2", 1), content[:-1], content + "\n", " " + content):
        path.write_text(wrong)
        assert "the manifest is damaged" in str(problems(tmp_path)[5])
    entry = content[content.index("[") + 1 : content.index("]")]
    path.write_text(content.replace(entry, f"{entry},{entry}"))
    assert "not in descending order" in str(problems(tmp_path)[5])


@pytest.mark.parametrize(
    ("head", "digest"),
    [(EMPTY_HEAD, DIGEST), (Head(1, "genesis"), DIGEST), (head_of(1), "x"), (head_of(0), DIGEST)],
)
def test_what_no_checkpoint_can_be_of(head: Head, digest: str, tmp_path: Path) -> None:
    with pytest.raises(WalInputError):
        write_checkpoint(tmp_path, head, digest, iter([b""]), HASHER)
    assert os.listdir(tmp_path) == []


class OwnError(Exception):
    """Raised by a payload or a failpoint."""


def test_an_error_of_the_payloads_owner_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, 5)
    before = sorted(os.listdir(tmp_path))

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OwnError

    with pytest.raises(OwnError):
        write_checkpoint(tmp_path, head_of(6), DIGEST, pieces(), HASHER)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "place", [place for place in failpoint.NAMES if "checkpoint" in place or "manifest" in place]
)
def test_a_failure_at_any_step(place: str, tmp_path: Path) -> None:
    old = write(tmp_path, 5)

    def fail(reached: str) -> None:
        if reached == place:
            raise OSError(errno.ENOSPC, "No space left on device")

    failpoint.install(fail)
    try:
        with pytest.raises((CheckpointError, OSError)) as caught:
            write(tmp_path, 6)
    finally:
        failpoint.install(None)
    if place != "before-checkpoint-remove":
        assert isinstance(caught.value, CheckpointError)
        assert caught.value.out_of_space
        assert "cannot write the checkpoint checkpoint-00000000000000000006.ckpt" in str(
            caught.value
        )
    infos = read_checkpoints(tmp_path, HASHER)
    usable = [info for info in infos if info.problem is None]
    assert usable[-1] == old
    assert {payload_of(info) for info in usable} == {b"the state"}
    assert not [entry for entry in os.listdir(tmp_path) if entry.endswith(".new")]
    write(tmp_path, 7)
    assert None in problems(tmp_path).values()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_what_the_disk_refuses(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path, 5)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(CheckpointError) as caught:
            write(tmp_path, 6)
    assert caught.value.out_of_space == (code != errno.EIO)
    assert read_checkpoints(tmp_path, HASHER) == [old]
    assert sorted(os.listdir(tmp_path)) == [name(5), "checkpoints.json"]


def test_short_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    assert payload_of(write(tmp_path, 5)) == b"the state"


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, where this machine lets us mount it: the log is untouched, the space is back."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        head = write_log(disk, HASHER, small_batches(HASHER))
        write(disk, 5)
        pieces = (b"x" * 65536 for _ in range(100))
        with pytest.raises(CheckpointError, match="No space left") as caught:
            write_checkpoint(disk, head_of(6), DIGEST, pieces, HASHER)
        assert caught.value.out_of_space
        assert find_head(disk, HASHER, DIALECT) == head
        assert problems(disk) == {5: None}
        assert sorted(os.listdir(disk)) == [
            "00000001.jsonl",
            name(5),
            "checkpoints.json",
            "lock",
        ]
        write(disk, 6, b"y" * 500_000)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_forked_child_writes_one(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            write(tmp_path, 5)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert problems(tmp_path) == {5: None}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot read the checkpoints"):
        read_checkpoints(tmp_path / "absent", HASHER)
    with pytest.raises(CheckpointError):
        write(tmp_path / "absent", 5)
