"""Times remembering orders, and says what a million of them take.

    python tests/bench/bench_orders.py [orders]

Each figure is the mean over all orders, in one pass, the loop included (it is given). The index is
sized beforehand, as the daemon does at start-up. *find, unknown* is what every new order pays,
*close* includes saving what has changed. The computed bytes are the slabs' and the indexes'; the
resident ones are what the process grew by. One core, one thread.
"""

import argparse
import gc
import io
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from measured import say_what_is_measured

from guard.bench.conditions import processor
from guard.engine.remembered import OrderPhase, OrderState, RememberedOrders
from guard.messages import Admit, Order

ORDERS = 1_000_000
DESK = "desk-alpha"
T0 = 1_700_000_000_000_000_000

Item = TypeVar("Item")


def resident_bytes() -> int:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def timed(name: str, call: Callable[[Item], object], items: Iterable[Item], count: int) -> None:
    """Calls with each item and prints the mean, the loop and the making of the item included."""
    started_ns = time.perf_counter_ns()
    for item in items:
        call(item)
    elapsed_ns = time.perf_counter_ns() - started_ns
    print(f"  {name:<32} {elapsed_ns / count:8.0f} ns")


def states(count: int) -> Iterable[OrderState]:
    """Orders as a client sends them, admitted."""
    for number in range(count):
        name = f"A-{number:09d}"
        order = Order(
            name, DESK, "AAPL", "buy", 100 + number % 900, 19_000, 10, 200, 9_000, currency="USD",
            sent_at_ns=T0 + number,
        )  # fmt: skip
        answer = Admit(
            name, number + 8, number + 1, 10, False, order.quantity * 19_000 * 10**6, 35_000_000,
            "recommended", False,
        )  # fmt: skip
        yield OrderState(order, answer, OrderPhase.OPEN, answer.notional_microcents)


def measure(count: int) -> None:
    names = [f"A-{number:09d}" for number in range(count)]
    absent = [f"B-{number:09d}" for number in range(count)]
    gc.collect()
    before_bytes = resident_bytes()
    remembered = RememberedOrders()
    remembered.expect(count)
    print(f"{count} orders, nanoseconds each")
    timed("(the loop, with a call)", lambda name: name, names, count)
    timed("(the loop, with an order made)", lambda state: state, states(count), count)
    timed("find, unknown, of none", lambda name: remembered.find(DESK, name, T0), absent, count)
    timed("add, with the order made", remembered.add, states(count), count)
    grown_bytes = resident_bytes() - before_bytes
    timed("find, unknown, of all", lambda name: remembered.find(DESK, name, T0), absent, count)
    timed("find, known", lambda name: remembered.find(DESK, name, T0), names, count)

    def close(name: str) -> None:
        found = remembered.find(DESK, name, T0)
        if found is None:
            raise SystemExit(f"{name} is lost")
        remembered.close(found, OrderPhase.CANCELED, T0 + 1)

    timed("close, with a find", close, names, count)
    print(f"  {'bytes an order, computed':<32} {remembered.memory_bytes() / count:8.0f}")
    print(f"  {'bytes an order, resident':<32} {grown_bytes / count:8.0f}")
    measure_dump(remembered, count)
    started_ns = time.perf_counter_ns()
    remembered.forget_expired(T0 + 1)
    print(f"  {'forget':<32} {(time.perf_counter_ns() - started_ns) / count:8.0f} ns")


def measure_dump(remembered: RememberedOrders, count: int) -> None:
    started_ns = time.perf_counter_ns()
    dumped = io.BytesIO(b"".join(remembered.dump()))
    print(f"  {'dump, all':<32} {(time.perf_counter_ns() - started_ns) / 1e6:8.0f} ms")
    print(f"  {'dump, size':<32} {len(dumped.getbuffer()) / 1e6:8.0f} MB")
    loaded = RememberedOrders()
    started_ns = time.perf_counter_ns()
    loaded.load(dumped.read)
    print(f"  {'load and index, all':<32} {(time.perf_counter_ns() - started_ns) / 1e6:8.0f} ms")
    if len(loaded) != count:
        raise SystemExit(f"{len(loaded)} of {count} orders were loaded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("orders", nargs="?", type=int, default=ORDERS)
    count = parser.parse_args().orders
    say_what_is_measured()
    print(
        f"machine   {processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    )
    print(f"load      {os.getloadavg()[0]:.1f} runnable over the last minute")
    print(f"python    {platform.python_implementation()} {platform.python_version()}")
    measure(count)


if __name__ == "__main__":
    main()
