"""Stretches of a log in processes: every byte once, results in order, and the same verdict."""

import errno
import fcntl
import os
from functools import partial
from pathlib import Path

import pytest

from wal import ChainHasher, ChainReport, WalDamage, WalError, anchor_of, verify_chain
from wal.parallel import PIPE_BYTES, Stretch, claimed_head, cut_stretches, map_forked
from wal_support import DIALECT, KEY, line_starts, record, small_batches, write_log

HASHER = ChainHasher(KEY)


def squared(number: int) -> int:
    return number * number


@pytest.mark.parametrize("jobs", [1, 2, 3, 9])
def test_results_come_in_the_items_order(jobs: int) -> None:
    assert list(map_forked(squared, range(7), jobs)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(map_forked(squared, [], jobs)) == []


def test_a_large_result_waits_until_it_is_asked_for() -> None:
    results = map_forked(lambda n: bytes([n]) * 1_000_000, [1, 2, 3, 4], 2)
    assert [result[0] for result in results] == [1, 2, 3, 4]


def test_pipes_are_wide_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    set_size = fcntl.fcntl

    def spy(pipe: int, command: int, size: int) -> int:
        set_size(pipe, command, size)
        sizes.append(set_size(pipe, fcntl.F_GETPIPE_SZ))
        raise PermissionError(errno.EPERM, "as told to a user whose pipes are too many")

    monkeypatch.setattr("wal.parallel.fcntl.fcntl", spy)
    results = map_forked(lambda n: bytes([n]) * 2_000_000, [1, 2, 3], 2)
    assert [result[-1] for result in results] == [1, 2, 3]
    assert sizes == [PIPE_BYTES] * 2


def test_a_failure_is_told_with_its_traceback() -> None:
    results = map_forked(lambda n: 1 // n, [1, 0, 1], 2)
    assert next(results) == 1
    with pytest.raises(WalError, match="ZeroDivisionError"):
        next(results)


def test_a_process_that_ends_early() -> None:
    with pytest.raises(WalError, match="ended early"):
        list(map_forked(lambda _: os._exit(3), [1], 1))


def test_who_stops_asking_leaves_no_process() -> None:
    results = map_forked(lambda n: os.getpid(), range(100), 2)
    pids = {next(results), next(results)}
    results.close()  # type: ignore[attr-defined]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("jobs", [0, -1, 257])
def test_a_number_of_jobs_that_cannot_be(jobs: int) -> None:
    with pytest.raises(ValueError, match="must be from 1 to 256"):
        list(map_forked(squared, [1], jobs))


@pytest.mark.parametrize("stretch_bytes", [1, 50, 300, 10**6])
def test_stretches_begin_at_lines_and_hold_every_byte(stretch_bytes: int, tmp_path: Path) -> None:
    texts = {"a": b"x\n" * 40 + b"y" * 90 + b"\n" + b"z", "b": b"", "c": b"\n\n\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    paths = [tmp_path / name for name in texts]
    stretches = cut_stretches(paths, stretch_bytes)
    for path in paths:
        text = path.read_bytes()
        own = [stretch for stretch in stretches if stretch.path == path]
        assert b"".join(text[stretch.offset : stretch.end] for stretch in own) == text
        for _, offset, _ in own:
            assert offset == 0 or text[offset - 1 : offset] == b"\n"
    with pytest.raises(WalError, match="cannot read"):
        cut_stretches([tmp_path / "missing"])


def test_a_line_that_is_too_long_ends_no_stretch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"ab\n" + b"x" * 5_000 + b"\ncd\n")
    ends = [stretch.end for stretch in cut_stretches([path], 2)]
    assert ends == [3, 5_004, 5_007]
    monkeypatch.setattr("wal.parallel.LINE_BYTES_MAX", 1_000)
    assert [stretch.end for stretch in cut_stretches([path], 2)] == [3, 5_007]


def write_two_segments(directory: Path) -> list[Path]:
    write_log(directory, HASHER, [*small_batches(HASHER), [record("x", 9, n=n) for n in range(30)]])
    path = directory / "00000001.jsonl"
    content = path.read_bytes()
    cut = line_starts(content)[17]
    path.write_bytes(content[:cut])
    second = directory / "00000002.jsonl"
    second.write_bytes(content[cut:])
    return [path, second]


def verdict(source: Path, hasher: ChainHasher, **options: object) -> object:
    try:
        return verify_chain(source, hasher, DIALECT, **options)  # type: ignore[arg-type]
    except WalDamage as damage:
        return type(damage), damage.segment, damage.offset, damage.sequence, damage.reason


def test_the_same_report_whatever_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_two_segments(tmp_path)
    alone = verdict(tmp_path, HASHER)
    assert isinstance(alone, ChainReport)
    assert (alone.record_count, alone.segment_count) == (35, 2)
    assert alone.byte_count == sum(path.stat().st_size for path in paths)
    for stretch_bytes in (1, 700, 10**6):
        monkeypatch.setattr(
            "wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=stretch_bytes)
        )
        assert verdict(tmp_path, HASHER, jobs=2) == alone
        for sequence in (0, 1, 17, 18, 35):
            head = alone.head._replace(sequence=0, entry_hash="genesis")
            if sequence:
                head = alone.head._replace(
                    sequence=sequence, entry_hash=claimed_after(paths, sequence) or alone.head[1]
                )
            good = anchor_of(head, keyed=True)
            assert verdict(tmp_path, HASHER, anchor=good, jobs=3) == alone


def claimed_after(paths: list[Path], sequence: int) -> str | None:
    """The hash of that record, as the one after it says; None for the last one."""
    for path in paths:
        content = path.read_bytes()
        for start in line_starts(content)[:-1]:
            head = claimed_head(Stretch(path, start, len(content)))
            if head is not None and head.sequence == sequence:
                return head.entry_hash
    return None


def test_the_same_verdict_on_every_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=900))
    first, second = write_two_segments(tmp_path)
    whole = first.read_bytes()
    starts = line_starts(whole)
    lines = whole.splitlines(keepends=True)
    damaged = {
        "the first record": whole.replace(b"log_opened", b"log_closed", 1),
        "blank": whole[: starts[4]] + b"\n" + whole[starts[4] :],
        "reformatted": whole[: starts[9]] + b" " + whole[starts[9] :],
        "a record left out": whole[: starts[5]] + whole[starts[6] :],
        "two swapped": b"".join([*lines[:8], lines[9], lines[8], *lines[10:]]),
        "no newline": whole[:-1],
        "an empty segment": b"",
    }
    for at in range(11, len(whole), 331):
        damaged[f"byte {at}"] = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
    for name, content in damaged.items():
        first.write_bytes(content)
        assert verdict(tmp_path, HASHER, jobs=2) == verdict(tmp_path, HASHER), name
    first.write_bytes(whole)
    second.write_bytes(second.read_bytes()[:-40])
    assert verdict(tmp_path, HASHER, jobs=2) == verdict(tmp_path, HASHER)
    for hasher in (ChainHasher(None), ChainHasher(bytes(32))):
        assert verdict(tmp_path, hasher, jobs=2) == verdict(tmp_path, hasher)


def test_the_same_verdict_on_anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=900))
    write_two_segments(tmp_path)
    head = verify_chain(tmp_path, HASHER, DIALECT).head
    wrong = [
        anchor_of(head._replace(sequence=sequence), keyed=True) for sequence in (1, 4, 17, 18, 36)
    ]
    for anchor in (*wrong, anchor_of(head, keyed=False)):
        alone = verdict(tmp_path, HASHER, anchor=anchor)
        assert not isinstance(alone, ChainReport)
        assert verdict(tmp_path, HASHER, anchor=anchor, jobs=2) == alone


def test_a_foreign_log_with_blank_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=400))
    datas = [record("x", 1, n=n) for n in range(12)]
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", HASHER, [datas])
    path = tmp_path / "foreign.jsonl"
    content = (tmp_path / "log" / "00000001.jsonl").read_bytes()
    for text in (content, content.replace(b"\n", b"\n\n"), b"\n" + content + b"\r\n"):
        path.write_bytes(text)
        alone = verdict(path, HASHER)
        assert isinstance(alone, ChainReport)
        assert alone.record_count == 12
        assert verdict(path, HASHER, jobs=2) == alone
