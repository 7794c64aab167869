"""Times a checkpoint of many remembered orders, and what orders notice of it.

    python tests/bench/bench_checkpoint.py [orders] [open holds] [--small-pages]

The orders are remembered directly, without a log. Then orders are decided, recorded in memory and
applied, one after the other, before, during and after a checkpoint is written by a forked child:
the fork itself, and what an order takes while pages are being copied. One order a step, 200
microseconds of rest between two: the child has the other core, the loop is not saturated. Memory is
in huge pages, as the daemon asks for it, unless `--small-pages` is given.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measured import say_what_is_measured

from bench.bench_orders import states
from guard.bench.conditions import processor
from guard.config.activation import opening_events
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.state import GuardState
from guard.process.forked_child import ForkedChild
from guard.process.huge_pages import ask_for_huge_pages
from guard.protocol.messages import Order
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from guard.protocol.request_reader import RequestReader
from guard.record.writer import RecordWriter
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard.recovery.recover import load_checkpoint
from guard_support import KEY, LOG_ID, T0, dev_config
from wal import ChainHasher, Head, WalError, read_checkpoints, write_checkpoint

ORDERS = 10_000_000
HOLDS = 1_000_000
HASHER = ChainHasher(KEY)
REST_S = 0.0002


def filled(count: int, hold_count: int) -> Engine:
    """An engine that remembers `count` orders, and holds exposure for `hold_count` others."""
    engine = Engine()
    config = dev_config(
        ('budget = "2000000.00"', 'budget = "90000000000.00"'),
        ('exposure_cap = "1500000.00"', 'exposure_cap = "none"'),
        remembered_orders_max=min(count + 100_000, 10_000_000),
    )
    for event in opening_events(config, Actor(T0, 1, "bench", "bench"), LOG_ID, HASHER.key_id):
        engine.apply_event(engine.next_sequence, event)
    for request, outcome in states(count - 100_000):
        engine.state.orders.add(engine.state.share_of(request), request, outcome, True)
    for _ in range(hold_count):
        engine.state.ledger.try_reserve("desk-alpha", 1_000)
    return engine


class Orders:
    """Decides one order after the other; remembers how long each took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader, self._writer = RequestReader("local"), RecordWriter()
        self._request, self._outcome = Request(), Outcome()
        self._request.set_text("client", b"local")
        self._numbers = itertools.count()
        self.took_ns: list[int] = []

    def step(self) -> None:
        name = f"N-{next(self._numbers):09d}"
        order = Order(
            name, "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000, currency="USD"
        )
        started_ns = time.perf_counter_ns()
        sequence = self._engine.next_sequence
        request, outcome = self._request, self._outcome
        self._reader.take(request, order)
        request.received_at_ns, request.batch_first_sequence = T0 + sequence, sequence
        if not self._engine.decide(request, outcome):
            raise SystemExit(f"no record: {order}")
        self._writer.data(request, outcome, self._engine.state.policy_digest_hex)
        self._engine.apply(request, outcome)
        self.took_ns.append(time.perf_counter_ns() - started_ns)

    def report(self, what: str) -> None:
        took = sorted(self.took_ns)
        at = [took[int(len(took) * share)] / 1e3 for share in (0.5, 0.99, 0.999)]
        print(
            f"  {what:<24} {len(took):7} orders: p50 {at[0]:6.0f}, p99 {at[1]:6.0f}, "
            f"p99.9 {at[2]:6.0f}, longest {took[-1] / 1e3:6.0f} us"
        )
        self.took_ns = []


def measure(count: int, hold_count: int, directory: Path) -> None:
    started_ns = time.perf_counter_ns()
    engine = filled(count, hold_count)
    seconds = (time.perf_counter_ns() - started_ns) / 1e9
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident_gb = pages * os.sysconf("SC_PAGE_SIZE") / 1e9
    print(f"{count} orders, {hold_count} holds: {resident_gb:.2f} GB resident, {seconds:.0f} s")
    orders = Orders(engine)
    for _ in range(5_000):
        orders.step()
        time.sleep(REST_S)
    orders.report("before")
    head = Head(engine.next_sequence - 1, "ab" * 32)

    def work(frozen: GuardState, _wait: object) -> str:
        digest_hex = state_digest_hex(frozen)
        write_checkpoint(directory, head, digest_hex, encode_state(frozen), HASHER)
        return digest_hex

    started_ns = time.perf_counter_ns()
    child = ForkedChild.start(work, engine.state, (WalError, OSError))
    forked_ns = time.perf_counter_ns()
    while (ended := child.poll()) is None:
        orders.step()
        time.sleep(REST_S)
    if ended.word is None:
        raise SystemExit(f"no checkpoint: {ended.problem}")
    (info,) = read_checkpoints(directory, HASHER)
    megabytes = info.head.payload_bytes / 1e6
    took_s = (time.perf_counter_ns() - started_ns) / 1e9
    print(f"  the fork: {(forked_ns - started_ns) / 1e6:.1f} ms")
    print(f"  the checkpoint: {megabytes:.0f} MB in {took_s:.1f} s")
    orders.report("while it was written")
    for _ in range(5_000):
        orders.step()
        time.sleep(REST_S)
    orders.report("after")
    started_ns = time.perf_counter_ns()
    load_checkpoint(info, HASHER.key_id)
    print(f"  loaded in {(time.perf_counter_ns() - started_ns) / 1e9:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("orders", nargs="?", type=int, default=ORDERS)
    parser.add_argument("holds", nargs="?", type=int, default=HOLDS)
    parser.add_argument("--small-pages", action="store_true")
    options = parser.parse_args()
    if not options.small_pages:
        ask_for_huge_pages(options.orders)
    say_what_is_measured()
    print(f"machine   {processor()}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as root:
        measure(options.orders, options.holds, Path(root))


if __name__ == "__main__":
    main()
