"""What is looked at once a second of the log's directory, over a real log."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.server.log_watch import LIST_EVERY_NS, LIST_REST_FACTOR, LogWatch
from wal import EMPTY_HEAD, ChainHasher, LogWriter, WalDisplaced, segment_name

HASHER = ChainHasher(None)
PATIENCE_S = 20.0


class Stand:
    """A log of three segments and its watch, on a clock that stands still."""

    def __init__(self, root: Path) -> None:
        self.log = root / "log"
        self.log.mkdir()
        self.key_file = root / "key"
        self.key_file.write_bytes(bytes(32))
        self.now_ns = 0
        self.said: list[str] = []
        self.failures: list[BaseException] = []
        self.writer = LogWriter.open(
            self.log, HASHER, EMPTY_HEAD, monotonic_ns=lambda: 0, segment_bytes_max=1
        )
        for sequence in range(1, 4):
            self.writer.append(sequence, b"{}")
            self.writer.sync_now()
        self.watch = LogWatch(
            self.writer,
            self.log,
            HASHER,
            self.key_file,
            has_checkpoints=lambda: False,
            monotonic_ns=lambda: self.now_ns,
            fail=self.failures.append,
            alarm=lambda text: self.said.append(f"ALARM: {text}"),
        )

    async def look(self) -> None:
        """A look, and the end of the listing that it has begun."""
        self.watch.look()
        if self.watch._listing is not None:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait([self.watch._listing])


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.writer.close()


async def test_all_is_there(stand: Stand) -> None:
    for _ in range(4):
        await stand.look()
    assert (stand.said, stand.failures) == ([], [])


async def test_what_is_gone_twice_is_said_once(stand: Stand) -> None:
    await stand.look()
    path = stand.log / segment_name(2)
    path.rename(stand.log / "away")
    for _ in range(2):
        await stand.look()
    assert stand.said == []  # found once: it may be that something is being done
    for _ in range(3):
        await stand.look()
    assert stand.said == [
        "ALARM: the log's directory has lost files: 00000002.jsonl: the file is missing (1 "
        "segments are)"
    ]
    (stand.log / "away").rename(path)
    for _ in range(2):
        await stand.look()
    path.rename(stand.log / "away")
    for _ in range(4):
        await stand.look()
    assert len(stand.said) == 2
    assert stand.failures == []


async def test_a_listing_rests_behind_a_long_one_and_comes_now_and_then(stand: Stand) -> None:
    await stand.look()
    await stand.look()
    assert stand.watch._listing is None  # nothing has changed
    stand.now_ns = LIST_EVERY_NS
    await stand.look()
    listing = stand.watch._listing
    assert listing is not None
    stand.watch._listing = asyncio.get_running_loop().create_future()
    stand.watch._listing.set_result(([], 1_000))
    (stand.log / "another").touch()
    stand.watch.look()
    assert stand.watch._listing is None
    stand.now_ns += LIST_REST_FACTOR * 1_000
    await stand.look()
    assert stand.watch._listing is not None


async def test_a_listing_that_hangs_holds_nothing_up(stand: Stand) -> None:
    stand.watch.look()
    stand.watch._listing = asyncio.get_running_loop().create_future()
    for _ in range(3):
        stand.watch.look()
    assert stand.said == []
    stand.watch._listing.set_exception(OSError(errno.EIO, "hung"))
    stand.watch.look()
    assert stand.said == ["ALARM: the log's files cannot be looked after: [Errno 5] hung"]


async def test_a_segment_that_is_gone_ends_it(stand: Stand) -> None:
    (stand.log / segment_name(3)).unlink()
    stand.watch.look()
    (failure,) = stand.failures
    assert isinstance(failure, WalDisplaced)
    assert stand.said == []


async def test_what_cannot_be_looked_at_is_said_once_and_ends_nothing(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failing look ended all housekeeping, in silence."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    await stand.look()
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        patch.setattr(os, "lstat", refuse)
        for _ in range(3):
            stand.watch.look()
    assert stand.failures == []
    assert [text for text in stand.said if "be looked after" in text] == [
        "ALARM: the log cannot be looked after: [Errno 13] Permission denied",
        "ALARM: the log's files cannot be looked after: [Errno 13] Permission denied",
    ]
    await stand.look()
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        stand.watch.look()
    assert len([text for text in stand.said if "the log cannot" in text]) == 2


@pytest.mark.parametrize("how", ["removed", "replaced", "changed"])
async def test_the_key_s_file(how: str, stand: Stand, tmp_path: Path) -> None:
    await stand.look()
    if how == "removed":
        stand.key_file.unlink()
    elif how == "replaced":
        (tmp_path / "other").write_bytes(bytes(32))
        (tmp_path / "other").replace(stand.key_file)
    else:
        stand.key_file.write_bytes(bytes(33))
    for _ in range(3):
        await stand.look()
    (alarm,) = stand.said
    assert alarm.startswith(
        f"ALARM: the key file {stand.key_file} was removed, replaced or changed"
    )


async def test_a_log_without_a_key_s_file(stand: Stand) -> None:
    watch = LogWatch(
        stand.writer,
        stand.log,
        HASHER,
        None,
        has_checkpoints=lambda: False,
        monotonic_ns=lambda: 0,
        fail=stand.failures.append,
        alarm=stand.said.append,
    )
    watch.look()
    assert (stand.said, stand.failures) == ([], [])
