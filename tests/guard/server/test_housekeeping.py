"""What the daemon looks after once a second: garbage, the anchor."""

import asyncio
import gc
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from guard.process.duties import Duty
from guard.recovery.start_options import OptionNeededError
from guard.server.anchoring import SLOW_NS, AnchorPublisher, load_anchor
from guard.server.counters import Counters
from guard.server.housekeeping import Housekeeper
from kernel import InvariantError
from wal import (
    EMPTY_HEAD,
    Anchor,
    Head,
    WalAnchorError,
    WalError,
    read_anchor,
    write_anchor,
)

PATIENCE_S = 20.0


async def test_a_collection_of_garbage_is_counted_and_timed() -> None:
    counters = Counters()
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while beats < count:
                await asyncio.sleep(0.001)

    pipeline = SimpleNamespace(
        is_stalled=lambda _limit: False,
        is_idle=True,
        counters=counters,
        publish_late=lambda: None,
    )
    notifier = SimpleNamespace(send=lambda _word: None, watchdog_s=0.001)
    keeper = Housekeeper(
        pipeline,  # type: ignore[arg-type]
        notifier,  # type: ignore[arg-type]
        None,
        lambda: EMPTY_HEAD,
        lambda: None,
        beat,
        print,
        print,
    )
    feed = asyncio.get_running_loop().create_task(keeper.run())
    try:
        await until(3)
        pipeline.is_idle = False
        before = counters.collections
        await until(beats + 3)
    finally:
        feed.cancel()
        gc.unfreeze()
    assert counters.collections == before >= 3
    assert counters.collection_ns_max > 0


class Keeping:
    """A housekeeper whose duties do as the test says, and what it says itself."""

    def __init__(self, anchor: AnchorPublisher | None = None) -> None:
        self.counters = Counters()
        self.said: list[str] = []
        self.alarms: list[str] = []
        self.done: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.failure: BaseException | None = None
        self.head = EMPTY_HEAD
        pipeline = SimpleNamespace(
            is_stalled=lambda _limit: False,
            is_idle=False,
            counters=self.counters,
            fail=self.fail,
            publish_late=lambda: self.do("head"),
        )
        notifier = SimpleNamespace(send=lambda _word: self.do("manager"), watchdog_s=0.003)
        self.keeper = Housekeeper(
            pipeline,  # type: ignore[arg-type]
            notifier,  # type: ignore[arg-type]
            anchor,
            lambda: self.head,
            lambda: self.do("disk"),
            lambda: self.do("checkpoint"),
            self.said.append,
            self.alarms.append,
            (Duty("the last row", lambda: self.do("last")),),
        )

    def do(self, name: str) -> None:
        self.done.append(name)
        if name in self.errors:
            raise self.errors[name]

    def fail(self, failure: BaseException) -> None:
        self.failure = failure


ROWS = ["manager", "disk", "checkpoint", "head", "last"]


@pytest.mark.parametrize("name", ROWS)
def test_a_duty_that_fails_fails_alone_and_is_tried_again(name: str) -> None:
    keeping = Keeping()
    keeping.errors[name] = OSError(24, "Too many open files")
    for _ in range(3):
        keeping.keeper.beat()
    assert keeping.done == ROWS * 3
    (alarm,) = keeping.alarms
    assert alarm.endswith("orders go on, it is tried again at each beat: [Errno 24] " + ERROR)
    del keeping.errors[name]
    keeping.keeper.beat()
    assert (keeping.done, keeping.counters.duty_failures) == (ROWS * 4, 3)
    (said,) = keeping.said
    assert " works again; it had failed 3 times in 0." in said


ERROR = "Too many open files"


def test_all_duties_may_fail_at_once() -> None:
    keeping = Keeping()
    keeping.errors = {name: MemoryError() for name in ROWS}
    keeping.keeper.beat()
    assert keeping.done == ROWS
    assert [alarm.rpartition(": ")[2] for alarm in keeping.alarms] == ["MemoryError"] * len(ROWS)


async def test_what_nobody_foresaw_ends_the_service() -> None:
    keeping = Keeping()
    heartbeat = asyncio.get_running_loop().create_task(keeping.keeper.run())
    keeping.keeper.watch(heartbeat)
    keeping.errors["checkpoint"] = error = KeyError("a bug")
    async with asyncio.timeout(10):
        while keeping.failure is None:
            await asyncio.sleep(0.001)
    assert keeping.failure is error
    other = asyncio.get_running_loop().create_task(asyncio.sleep(0))
    keeping.keeper.watch(other)
    await other
    await asyncio.sleep(0)
    assert isinstance(keeping.failure, InvariantError)  # a heartbeat does not end
    keeping = Keeping()
    heartbeat = asyncio.get_running_loop().create_task(keeping.keeper.run())
    keeping.keeper.watch(heartbeat)
    await asyncio.sleep(0)
    heartbeat.cancel()
    with pytest.raises(asyncio.CancelledError):
        await heartbeat
    await asyncio.sleep(0)
    assert keeping.failure is None


def test_an_anchor_that_fails_is_said_until_one_is_there(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "anchor.json"
    publisher = AnchorPublisher(path, keyed=True)
    keeping = Keeping(publisher)
    keeping.head = Head(7, "ab" * 32)
    keeping.keeper.prepare()
    for _ in range(3):
        keeping.keeper.beat()
        assert publisher.settle(PATIENCE_S)
    (alarm,) = keeping.alarms
    assert alarm.startswith("the anchor fails; orders go on")
    assert alarm.endswith(f"No such file or directory: '{path}.new'")
    path.parent.mkdir()
    keeping.keeper.beat()  # tells of the last one, and begins the next
    assert publisher.settle(PATIENCE_S)
    assert keeping.said == []
    keeping.keeper.beat()
    assert read_anchor(path).sequence == 7
    assert keeping.said[0].startswith("the anchor works again; it had failed 4 times in ")


def test_an_anchor_whose_disk_hangs_holds_up_no_beat(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    answers = threading.Event()

    def hang(path: Path, anchor: Anchor) -> None:
        assert answers.wait(PATIENCE_S)
        write_anchor(path, anchor)

    publisher = AnchorPublisher(path, keyed=True, write=hang)
    publisher.publish_beside(Head(7, "ab" * 32), 0)
    publisher.publish_beside(Head(8, "ab" * 32), SLOW_NS)
    with pytest.raises(WalError, match=r"its disk has not answered for 10 s$"):
        publisher.publish_beside(Head(9, "ab" * 32), SLOW_NS + 1)
    with pytest.raises(WalError, match=r"its disk has not answered for 0 s$"):
        publisher.publish_last(Head(9, "ab" * 32), 0.01)
    answers.set()
    assert publisher.settle(PATIENCE_S)
    assert read_anchor(path).sequence == 7
    publisher.publish_last(Head(9, "ab" * 32), 0.01)
    assert read_anchor(path).sequence == 9


async def test_the_anchor_holds_the_published_head(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    assert load_anchor(None) is None
    with pytest.raises(OptionNeededError, match="is missing"):
        load_anchor(path)
    publisher = AnchorPublisher(path, keyed=True)
    publisher.publish_now(EMPTY_HEAD)
    assert read_anchor(path).head == EMPTY_HEAD
    await publisher.publish(Head(7, "ab" * 32))
    anchor = read_anchor(path)
    assert (anchor.sequence, anchor.last_hash, anchor.keyed) == (7, "ab" * 32, True)
    assert load_anchor(path) == anchor
    publisher.publish_now(Head(6, "cd" * 32))  # a beat that came late
    assert load_anchor(path) == anchor


def test_a_file_that_is_no_anchor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    path.write_text("{}")
    with pytest.raises(WalAnchorError):
        load_anchor(path)
