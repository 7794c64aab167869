"""A power cut between any two calls of rotation, repair, tail rewrite, checkpoint, archive, anchor.

Every scenario runs on real files while its calls are noted; then each state that a disk may be left
in is made and recovered from. What somebody was told of must be there, and recovery never refuses.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    CheckpointInfo,
    Cut,
    Head,
    LogLock,
    LogWriter,
    WalDamage,
    WalPoisoned,
    anchor_of,
    apply_repair,
    archive_segments,
    find_head,
    list_segments,
    open_checkpoint,
    open_for_recovery,
    plan_repair,
    read_anchor,
    read_checkpoints,
    read_entries,
    rewrite_tail,
    segment_name,
    write_anchor,
    write_checkpoint,
)
from wal_disk_trace import CrashState, DiskTrace, Tree
from wal_support import (
    DIALECT,
    KEY,
    ScriptedFiles,
    fake_clock,
    opened,
    record,
    write_log,
)

HASHER = ChainHasher(KEY)
DIGEST = "d1" * 32
SECTOR = 512


class Recovered(NamedTuple):
    head: Head
    datas: list[bytes]
    lock: LogLock
    cut: Cut | None


def recover(directory: Path, start: Head | None = None, rewrite: bool = True) -> Recovered:
    """As the daemon does it: lock, sync, fold, repair, fold again, rewrite the tail."""
    lock = open_for_recovery(directory)
    cut = plan_repair(directory, HASHER, DIALECT, start=start)
    if cut is not None:
        apply_repair(directory, cut)
    entries = list(read_entries(directory, HASHER, DIALECT, start))
    head = entries[-1].head if entries else start or EMPTY_HEAD
    if rewrite:
        rewrite_tail(directory, head, HASHER, DIALECT)
    return Recovered(head, [entry.data for entry in entries], lock, cut)


def open_writer(directory: Path, found: Recovered, **options: Any) -> LogWriter:
    return LogWriter.open(
        directory, HASHER, found.head, monotonic_ns=fake_clock(), lock=found.lock, **options
    )


def put(writer: LogWriter, trace: DiskTrace | None, *datas: bytes) -> Head:
    for data in datas:
        writer.append(writer.staged_head.sequence + 1, data)
    head = writer.sync_now()
    if trace is not None:
        trace.mark(head.sequence)
    return head


def orders(first: int, count: int) -> list[bytes]:
    return [record("order", first, text="x" * 300, n=n) for n in range(count)]


def check_recovers(trace: DiskTrace, datas: list[bytes], tmp_path: Path) -> int:
    """Each state recovers to a beginning of `datas` that holds what was told; their number."""
    count = 0
    for state in trace.states():
        directory = state.put(tmp_path / f"state-{count}")
        count += 1
        found = recover(directory)
        assert found.datas == datas[: found.head.sequence], state.label
        assert found.head.sequence >= state.mark, state.label
        # And the log goes on from there.
        with open_writer(directory, found, fresh_segment=True) as writer:
            after = put(writer, None, record("session_started", found.head.sequence + 1))
        found.lock.release()
        assert find_head(directory, HASHER, DIALECT) == after, state.label
    return count


def test_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.mkdir()
    batches = [[opened(HASHER), *orders(1, 1)], orders(3, 2), orders(5, 1), orders(6, 3)]
    with DiskTrace(monkeypatch, log) as trace:
        found = recover(log)
        with open_writer(log, found, segment_bytes_max=900) as writer:
            for batch in batches:
                put(writer, trace, *batch)
        found.lock.release()
    assert len(list_segments(log)) > 2
    assert check_recovers(trace, [data for batch in batches for data in batch], tmp_path) > 20


@pytest.mark.parametrize("closed", [True, False])
def test_a_session_after_a_session(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.mkdir()
    last = record("session_closed", 3) if closed else orders(3, 1)[0]
    write_log(log, HASHER, [[opened(HASHER), *orders(1, 1)], [last]])
    session = [[record("session_started", 4), *orders(4, 3)], orders(8, 1)]
    with DiskTrace(monkeypatch, log) as trace:
        trace.mark(3)
        found = recover(log)
        with open_writer(log, found, fresh_segment=True) as writer:
            for batch in session:
                put(writer, trace, *batch)
        found.lock.release()
    assert [path.name for path in list_segments(log)] == [segment_name(1), segment_name(2)]
    datas = [opened(HASHER), *orders(1, 1), last, *(data for batch in session for data in batch)]
    assert check_recovers(trace, datas, tmp_path) > 10


@pytest.mark.parametrize("shape", ["short", "zeros"])
def test_repair_and_tail_rewrite(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.mkdir()
    datas = [opened(HASHER), *orders(2, 2), *orders(4, 4)]
    write_log(log, HASHER, [datas[:1], datas[1:3], datas[3:]])
    path = log / segment_name(1)
    content = path.read_bytes()
    if shape == "short":
        path.write_bytes(content[:-700])
    else:
        hole = len(content) // SECTOR * SECTOR - SECTOR
        path.write_bytes(content[:hole] + bytes(SECTOR) + content[hole + SECTOR :])
    started = record("session_started", 6)
    with DiskTrace(monkeypatch, log) as trace:
        trace.mark(3)
        found = recover(log)
        assert found.cut is not None
        with open_writer(log, found, fresh_segment=True) as writer:
            put(writer, trace, started)
        found.lock.release()
    datas = [*datas[: found.head.sequence], started]
    count = 0
    for state in trace.states():
        directory = state.put(tmp_path / f"state-{count}")
        count += 1
        again = recover(directory)
        again.lock.release()
        assert again.datas == datas[: again.head.sequence], state.label
        assert again.head.sequence >= state.mark, state.label
        # Nothing that was cut is gone: the copy is there, unless it is still to be cut again.
        cuts = [path.read_bytes() for path in directory.glob("*.cut-*")]
        assert any(content in cuts for content in _tails(state, path.name, found)), state.label
        assert not list(directory.glob("*.rewrite")), state.label
    assert count > 10


def _tails(state: CrashState, name: str, found: Recovered) -> list[bytes]:
    """The bytes that repair cut, in this state or before it."""
    assert found.cut is not None
    content = state.tree[name]
    copies = [text for key, text in state.tree.items() if ".cut-" in key and text is not None]
    assert content is not None
    return [content[found.cut.offset :], *copies]


@pytest.mark.parametrize("kind", ["order", "session_closed"])
@pytest.mark.parametrize("rewrite", [True, False])
def test_a_page_that_was_read_but_never_reached_the_disk(
    rewrite: bool, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the page is clean in memory: recovery reads what the disk never took.

    The record that closes a session may be such a one, too.
    """
    log = tmp_path / "log"
    log.mkdir()
    datas = [opened(HASHER), *orders(2, 1), record(kind, 2, text="x" * 300)]
    with DiskTrace(monkeypatch, log) as trace:
        found = recover(log)
        disk = ScriptedFiles(failing_sync=2)
        with open_writer(log, found, files=disk) as writer:
            put(writer, trace, datas[0])
            with pytest.raises(WalPoisoned):
                put(writer, None, *datas[1:])
        found.lock.release()
        trace.lose()
        again = recover(log, rewrite=rewrite)
        assert again.head.sequence == 3
        if rewrite:
            trace.mark(3)  # read from memory, and from now on answered for
        with open_writer(log, again, fresh_segment=True) as writer:
            put(writer, trace, record("session_started", 4))
        again.lock.release()
    datas.append(record("session_started", 4))
    if rewrite:
        check_recovers(trace, datas, tmp_path)
    else:  # the test would see the difference
        with pytest.raises(WalDamage, match=r"not in the last segment|the record says"):
            check_recovers(trace, datas, tmp_path)


def usable(directory: Path) -> list[CheckpointInfo]:
    return [info for info in read_checkpoints(directory, HASHER) if info.problem is None]


def test_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.mkdir()
    write_log(log, HASHER, [[opened(HASHER)], *([data] for data in orders(2, 5))])
    entries = list(read_entries(log, HASHER, DIALECT))
    payloads = {n: [b"state %d " % n, b"y" * 40 * n] for n in range(1, 6)}
    write_checkpoint(log, entries[0].head, DIGEST, iter(payloads[1]), HASHER)
    with DiskTrace(monkeypatch, log) as trace:
        trace.mark(1)
        for n in range(2, 6):
            write_checkpoint(log, entries[n - 1].head, DIGEST, iter(payloads[n]), HASHER)
            trace.mark(n)
    log_content = (log / segment_name(1)).read_bytes()
    count = 0
    for state in trace.states():
        directory = state.put(tmp_path / f"state-{count}")
        count += 1
        open_for_recovery(directory).release()
        assert not list(directory.glob("*.new")), state.label
        found = usable(directory)
        assert state.mark <= found[0].head.sequence <= state.mark + 1, state.label
        assert len(found) >= min(state.mark, 2), state.label
        for info in found:
            with open_checkpoint(info) as reader:
                assert reader.read(1000) == b"".join(payloads[info.head.sequence])
            rest = read_entries(directory, HASHER, DIALECT, info.head.head)
            assert [entry.sequence for entry in rest] == list(range(info.head.sequence + 1, 7))
        # The next one can be written whatever was left.
        write_checkpoint(directory, entries[5].head, DIGEST, iter([b"six"]), HASHER)
        infos = read_checkpoints(directory, HASHER)
        assert [info.head.sequence for info in infos] == [6, found[0].head.sequence], state.label
        assert {info.problem for info in infos} == {None}, state.label
        assert (directory / segment_name(1)).read_bytes() == log_content
    assert count > 40


def test_the_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with DiskTrace(monkeypatch, place) as trace:
        for sequence in (1, 2, 3):
            write_anchor(place / "anchor.json", anchor_of(Head(sequence, "ab" * 32), keyed=True))
            trace.mark(sequence)
    for count, state in enumerate(trace.states()):
        path = state.put(tmp_path / f"state-{count}") / "anchor.json"
        found = read_anchor(path).sequence if path.exists() else 0
        assert state.mark <= found <= state.mark + 1, state.label
        write_anchor(path, anchor_of(Head(4, "ab" * 32), keyed=True))
        assert read_anchor(path).sequence == 4


@pytest.mark.parametrize("other_disk", [False, True])
def test_archive(other_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    log = root / "log"
    log.mkdir(parents=True)
    with LogWriter.open(
        log, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock(), segment_bytes_max=1
    ) as writer:
        heads = [put(writer, None, opened(HASHER))]
        heads += [put(writer, None, data) for data in orders(2, 4)]
    contents = {path.name: path.read_bytes() for path in list_segments(log)}
    trace = DiskTrace(monkeypatch, root)
    if other_disk:
        monkeypatch.setattr("wal.archive.os.link", _another_disk)
    with trace:
        moved = archive_segments(log, root / "old", 3)
    assert [path.name for path in moved] == [segment_name(n) for n in (1, 2, 3)]
    count = 0
    for state in trace.states():
        directory = state.put(tmp_path / f"state-{count}")
        count += 1
        for _ in range(2):  # as it was left, and after it was run again
            _check_archive(directory, state.tree, contents, heads)
            archive_segments(directory / "log", directory / "old", 3)
        archived = sorted(path.name for path in (directory / "old").iterdir())
        assert archived == [segment_name(n) for n in (1, 2, 3)], state.label
    assert count >= 8


def _check_archive(
    directory: Path, tree: Tree, contents: dict[str, bytes], heads: list[Head]
) -> None:
    del tree
    kept = list_segments(directory / "log", archived=True)
    assert [path.name for path in kept[-2:]] == [segment_name(4), segment_name(5)]
    everywhere = {path.name for path in kept}
    for path in itertools.chain(kept, (directory / "old").glob("*.jsonl")):
        if path.stat().st_size or path.parent.name == "log":
            assert path.read_bytes() == contents[path.name]
            everywhere.add(path.name)
    assert everywhere == set(contents)
    recover(directory / "log", start=heads[2]).lock.release()


def _another_disk(*_: object, **__: object) -> None:
    raise OSError(18, "Invalid cross-device link")
