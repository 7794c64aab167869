"""What a log costs its readers: what they read of it, whatever numbers stand in it."""

from pathlib import Path

import pytest

from daemon_support import Site, config_text
from guard.protocol.ranges import REMEMBERED_ORDERS_MAX
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard.recovery.recover import NotOurLogError, fold_log, load_checkpoint
from guard.replay.replay import ReplayMismatch, replay_log
from guard_audit_support import changed
from guard_support import KEY, LoggedEngine, dev_config, fill, fold, order, write_log
from wal import ChainHasher, write_checkpoint

HASHER = ChainHasher(KEY)
MEBIBYTE = 2**20
# A slab of rows and one of blobs for orders and for fills, and two small indexes.
READER_BYTES_MAX = 4 * MEBIBYTE
# Of the two indexes for the most ids that a configuration may ask for.
RESERVED_BYTES = 256 * MEBIBYTE


def small_day() -> list[bytes]:
    """A log of 22 kB whose settings ask for as much as any may."""
    day = LoggedEngine(dev_config(remembered_orders_max=REMEMBERED_ORDERS_MAX))
    for number in range(10):
        day.admit(order(f"A-{number}", quantity=1))
        day.submit(fill("F-1", 1, client_order_id=f"A-{number}"))
    return day.records


def test_readers_make_no_room_for_what_settings_ask_for(tmp_path: Path) -> None:
    records = small_day()
    head = write_log(tmp_path, records)
    state = fold(records).state
    info = write_checkpoint(tmp_path, head, state_digest_hex(state), encode_state(state), HASHER)
    for engine in (
        replay_log(tmp_path, HASHER).engine,
        fold_log(tmp_path, HASHER)[0],
        load_checkpoint(info, HASHER.key_id),
    ):
        assert engine.state.remembered_orders_max == REMEMBERED_ORDERS_MAX
        assert engine.state.orders.memory_bytes() < READER_BYTES_MAX


@pytest.mark.parametrize("orders_max", [REMEMBERED_ORDERS_MAX + 1, 10**8, 10**9, 10**18])
def test_settings_that_no_configuration_may_have_are_refused(
    orders_max: int, tmp_path: Path
) -> None:
    old = f'"remembered_orders_max":{REMEMBERED_ORDERS_MAX}'.encode()
    new = f'"remembered_orders_max":{orders_max}'.encode()
    write_log(tmp_path, changed(small_day(), old, new))
    words = f"record 2: .*remembered_orders_max: {orders_max} is not allowed"
    with pytest.raises(NotOurLogError, match=words):
        fold_log(tmp_path, HASHER)
    with pytest.raises(ReplayMismatch, match=words):
        replay_log(tmp_path, HASHER)


@pytest.mark.slow
def test_a_daemon_makes_room_by_its_configuration(tmp_path: Path) -> None:
    """At the start, so that no order waits for it later; of a fresh log and of one there is."""
    site = Site(tmp_path, config_text(settings=f"remembered_orders_max = {REMEMBERED_ORDERS_MAX}"))
    for _ in range(2):
        with site.running() as daemon:
            maps = Path(f"/proc/{daemon.pid}/maps").read_text().splitlines()
        ranges = [line.split()[0].split("-") for line in maps if len(line.split()) == 5]
        sizes = [int(end, 16) - int(start, 16) for start, end in ranges]
        assert sum(size for size in sizes if size >= RESERVED_BYTES // 2) >= RESERVED_BYTES
