"""What the daemon looks after once a second: garbage, the anchor."""

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest

from guard.anchoring import AnchorPublisher, load_anchor
from guard.counters import Counters
from guard.housekeeping import Housekeeper
from wal import EMPTY_HEAD, Head, WalAnchorError, read_anchor


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

    pipeline = SimpleNamespace(is_stalled=lambda _limit: False, is_idle=True, counters=counters)
    notifier = SimpleNamespace(send=lambda _word: None, watchdog_s=0.001)
    keeper = Housekeeper(
        pipeline,  # type: ignore[arg-type]
        notifier,  # type: ignore[arg-type]
        None,
        lambda: EMPTY_HEAD,
        lambda: None,
        beat,
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


async def test_the_anchor_holds_the_published_head(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    assert load_anchor(None) is None
    assert load_anchor(path) is None
    publisher = AnchorPublisher(path, keyed=True)
    await publisher.publish(EMPTY_HEAD)
    assert not path.exists()
    await publisher.publish(Head(7, "ab" * 32))
    anchor = read_anchor(path)
    assert (anchor.sequence, anchor.last_hash, anchor.keyed) == (7, "ab" * 32, True)
    assert load_anchor(path) == anchor


def test_a_file_that_is_no_anchor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anchor.json"
    path.write_text("{}")
    with pytest.raises(WalAnchorError):
        load_anchor(path)
