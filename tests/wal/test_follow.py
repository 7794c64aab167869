"""The published head, and who reads a log while it is written: followers, readers, backups."""

import os
import threading
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Follower,
    Head,
    LogState,
    LogWriter,
    PublishedHead,
    WalDamage,
    WalError,
    WalInputError,
    WalStartMismatch,
    archive_segments,
    backup_log,
    find_head,
    read_checkpoints,
    read_published_head,
    segment_name,
    verify_chain,
    write_checkpoint,
)
from wal.headfile import HEAD_NAME, LINE_BYTES, HeadFile, decode_head, encode_head
from wal_support import DIALECT, KEY, SEGMENT, fake_clock, line_starts, opened, record

HASHER = ChainHasher(KEY)


def open_writer(directory: Path, head: Head = EMPTY_HEAD, **options: int) -> LogWriter:
    return LogWriter.open(directory, HASHER, head, monotonic_ns=fake_clock(), **options)


def put(writer: LogWriter, count: int = 1, *, publishes: bool = True) -> Head:
    for _ in range(count):
        sequence = writer.staged_head.sequence + 1
        writer.append(sequence, opened(HASHER) if sequence == 1 else record("order", sequence))
    head = writer.sync_now()
    if publishes:
        writer.publish()
    return head


def sequences(follower: Follower) -> list[int]:
    return [int(line[len('{"sequence":') : line.index(b",")]) for line in follower.poll()]


# The head.


def test_the_head_is_told_while_its_writer_lives(tmp_path: Path) -> None:
    assert read_published_head(tmp_path) is None
    with open_writer(tmp_path) as writer:
        writer.publish()  # nothing to tell yet
        assert read_published_head(tmp_path) is None
        head = put(writer, 2)
        size = (tmp_path / SEGMENT).stat().st_size
        assert read_published_head(tmp_path) == PublishedHead(head, SEGMENT, size)
        put(writer, 1, publishes=False)
        assert read_published_head(tmp_path) == PublishedHead(head, SEGMENT, size)
        writer.rotate()
        head = put(writer)
        told = read_published_head(tmp_path)
        assert told is not None
        assert (told.head, told.segment) == (head, segment_name(2))
    assert read_published_head(tmp_path) is None
    assert (tmp_path / HEAD_NAME).stat().st_size == LINE_BYTES
    with open_writer(tmp_path, head) as writer:  # what the last writer said counts no more
        assert read_published_head(tmp_path) is None
        assert put(writer).sequence == 5
        told = read_published_head(tmp_path)
        assert told is not None
        assert told.head.sequence == 5


def test_a_line_that_is_not_whole_is_seen() -> None:
    head = PublishedHead(Head(2**64 - 1, "ab" * 32), segment_name(99_999_999), 2**63 - 1)
    line = encode_head(head)
    assert len(line) == LINE_BYTES
    assert decode_head(line) == head
    first = PublishedHead(Head(17, "cd" * 32), segment_name(3), 5)
    other = encode_head(first)
    for at in range(1, LINE_BYTES):
        mixed = other[:at] + line[at:]
        assert decode_head(mixed) in (
            None,
            *(told for told, text in ((head, line), (first, other)) if mixed == text),
        )
    assert decode_head(b"") is None


def test_readers_never_see_half_of_it(tmp_path: Path) -> None:
    heads = [PublishedHead(Head(n, f"{n % 10}" * 64), segment_name(n), n) for n in (5, 123456)]
    file = HeadFile(tmp_path)
    file.write(heads[0])
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            for head in heads:
                file.write(head)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = {read_published_head(tmp_path) for _ in range(2_000)}
    finally:
        is_over.set()
        thread.join()
        file.close()
    assert found <= set(heads)


def test_the_head_file_is_no_way_out_of_the_directory(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (log / HEAD_NAME).symlink_to(precious)
    refused = pytest.raises(WalError, match=r"readers are not told of new records: .*head")
    with open_writer(log) as writer, refused:
        put(writer)
    assert precious.read_text() == "precious"


# Readers.


@pytest.mark.parametrize("jobs", [1, 2])
def test_readers_stop_at_the_durable_head(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from wal.parallel import cut_stretches

    monkeypatch.setattr("wal.map_records.cut_stretches", partial(cut_stretches, stretch_bytes=500))
    with open_writer(tmp_path) as writer:
        head = put(writer, 10)
        path = tmp_path / SEGMENT
        with path.open("ab") as file:
            file.write(b'{"sequence":11,"previous')  # a batch that is on its way
        assert verify_chain(tmp_path, HASHER, DIALECT, jobs=jobs).head == head
        with pytest.raises(WalDamage):
            verify_chain(path, HASHER, DIALECT, jobs=jobs)
        (tmp_path / segment_name(2)).write_bytes(b"{")
        assert verify_chain(tmp_path, HASHER, DIALECT, jobs=jobs).head == head


# Followers.


@pytest.mark.parametrize("hasher", [None, HASHER])
def test_a_follower_gets_every_line_once(hasher: ChainHasher | None, tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, 3)
        follower = Follower(tmp_path, hasher)
        assert sequences(follower) == [1, 2, 3]
        assert sequences(follower) == []
        put(writer, 2, publishes=False)
        assert sequences(follower) == []
        writer.publish()
        assert sequences(follower) == [4, 5]
        writer.rotate()
        put(writer, 2)
        writer.rotate()
        head = put(writer)
        assert sequences(follower) == [6, 7, 8]
        assert follower.state() is LogState.LIVE
        assert follower.head == head
        late = Follower(tmp_path, hasher)
        late.skip_to_end()
        assert (late.head, sequences(late)) == (head, [])
        put(writer)
        assert sequences(late) == [9]
    assert follower.state() is LogState.ENDED
    assert sequences(follower) == [9]
    assert follower.last is not None
    assert follower.last.data == record("order", 9)


def test_a_follower_that_stops_in_the_middle_goes_on_there(tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, 5)
    follower = Follower(tmp_path)
    lines = follower.poll()
    first = [next(lines), next(lines)]
    assert [*first, *follower.poll()] == (tmp_path / SEGMENT).read_bytes().splitlines(True)


def test_a_follower_begins_where_it_is_told(tmp_path: Path) -> None:
    with open_writer(tmp_path, segment_bytes_max=600) as writer:
        heads = [put(writer) for _ in range(9)]
    for sequence in range(1, 10):
        follower = Follower(tmp_path, HASHER)
        follower.skip_to_sequence(sequence)
        assert sequences(follower) == list(range(sequence, 10))
    follower = Follower(tmp_path, HASHER)
    follower.skip_to_sequence(10)
    assert sequences(follower) == []
    with pytest.raises(WalStartMismatch, match="the log ends before record 11, with 9"):
        Follower(tmp_path).skip_to_sequence(11)
    archive_segments(tmp_path, tmp_path / "old", 4)
    with pytest.raises(WalStartMismatch, match="the log begins with record"):
        Follower(tmp_path).skip_to_sequence(1)
    assert sequences(Follower(tmp_path, HASHER))[-1] == heads[-1].sequence


@pytest.mark.parametrize("hasher", [None, HASHER])
def test_a_follower_says_where_the_chain_breaks(hasher: ChainHasher | None, tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, 5)
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    starts = line_starts(content)
    at = content.index(b'"entry_hash":"', starts[2]) + 20
    path.write_bytes(content[:at] + b"0123"[:4] + content[at + 4 :])
    follower = Follower(tmp_path, hasher)
    shown: list[bytes] = []
    with pytest.raises(WalDamage) as caught:
        shown.extend(follower.poll())
    # Without the key a changed hash shows in the link of the next record.
    wrong = 3 if hasher is not None else 4
    assert (caught.value.sequence, caught.value.offset) == (wrong, starts[wrong - 1])
    path.write_bytes(content[: starts[2]] + content[starts[3] :])
    with pytest.raises(WalDamage, match="the record says that it is 4"):
        list(Follower(tmp_path, hasher).poll())


def test_a_follower_of_a_log_with_a_torn_end(tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, 3)
    path = tmp_path / SEGMENT
    for torn in (path.read_bytes()[:-5], path.read_bytes()[:-5] + bytes(5000)):
        path.write_bytes(torn)
        follower = Follower(tmp_path)
        assert sequences(follower) == [1, 2]
        assert follower.has_torn_end


def test_a_follower_of_nothing(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    assert sequences(follower) == []
    assert follower.state() is LogState.ENDED
    with open_writer(tmp_path) as writer:
        put(writer, 2)
        assert sequences(follower) == [1, 2]


# Backups.


def test_a_backup_of_a_running_log(tmp_path: Path) -> None:
    log, copy = tmp_path / "log", tmp_path / "copy"
    log.mkdir()
    with open_writer(log, write_ahead_bytes=10_000, segment_bytes_max=2_000) as writer:
        head = put(writer, 5)
        write_checkpoint(log, head, "ab" * 32, iter([b"state"]), HASHER)
        for _ in range(5):
            head = put(writer)
        with (log / segment_name(writer.segment_number)).open("r+b") as file:
            told = read_published_head(log)
            assert told is not None
            file.seek(told.end_offset)
            file.write(b'{"sequence":')  # a batch that is on its way
        backup = backup_log(log, copy)
        assert find_head(copy, HASHER, DIALECT) == head
    assert (backup.segment_count, backup.checkpoint_count) == (len(list(copy.glob("*.jsonl"))), 1)
    assert backup.byte_count == sum(
        path.stat().st_size for path in copy.iterdir() if path.name != "checkpoints.json"
    )
    assert [info.problem for info in read_checkpoints(copy, HASHER)] == [None]
    assert not (copy / "lock").exists()


@pytest.mark.parametrize("name", ["checkpoint-00000000000000000005.ckpt", "checkpoints.json"])
def test_backup_does_not_wait_for_a_fifo(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    with open_writer(log) as writer:
        put(writer, 5)
    (log / "checkpoints.json").write_bytes(b"{}")
    (log / name).unlink(missing_ok=True)
    os.mkfifo(log / name)
    with pytest.raises(WalError, match="cannot copy"):
        backup_log(log, tmp_path / "copy")


def test_a_plain_copy_that_raced_the_writer_is_told_as_that(tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        put(writer, 5)
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    starts = line_starts(content)
    path.write_bytes(content[: starts[3]] + bytes(starts[4] - starts[3]) + content[starts[4] :])
    with pytest.raises(WalDamage, match="damaged, or copied while it was written"):
        find_head(path, HASHER, DIALECT)


def test_a_backup_goes_to_a_new_place_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    with pytest.raises(WalInputError, match="holds no segment"):
        backup_log(log, tmp_path / "copy")
    with open_writer(log) as writer:
        put(writer)
    with pytest.raises(WalInputError, match="lies in the log"):
        backup_log(log, log / "copy")
    (tmp_path / "there").mkdir()
    with pytest.raises(WalInputError, match="exists: a copy is made in a new directory"):
        backup_log(log, tmp_path / "there")
    with pytest.raises(WalError, match="cannot create"):
        backup_log(log, tmp_path / "no" / "copy")
    backup_log(log, tmp_path / "copy")
    assert os.stat(tmp_path / "copy").st_mode & 0o777 == 0o750


def test_what_a_living_writer_says_and_nobody_understands_is_an_error(tmp_path: Path) -> None:
    """To read the log to its end would show what is not durable."""
    with open_writer(tmp_path) as writer:
        put(writer, 2)
        content = bytearray((tmp_path / HEAD_NAME).read_bytes())
        content[20] ^= 1
        with (tmp_path / HEAD_NAME).open("r+b") as file:
            file.write(content)
        with pytest.raises(OSError, match="a writer lives, and head is not what it writes"):
            read_published_head(tmp_path)
        with pytest.raises(WalError, match="cannot read the head of"):
            Follower(tmp_path).skip_to_end()
        head = put(writer)
        told = read_published_head(tmp_path)
        assert told is not None
        assert told.head == head
