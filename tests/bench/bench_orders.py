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
from guard.engine.forgetting import forget_expired
from guard.engine.remembered import RememberedOrders
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request

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


Admitted = tuple[Request, Outcome]


def states(count: int) -> Iterable[Admitted]:
    """Orders as a client sends them, admitted: the same two places, filled anew for each."""
    request, outcome = request_of("A"), Outcome()
    request.symbol_bytes = request.currency_bytes = 0
    request.set_text("symbol", b"AAPL")
    request.set_text("currency", b"USD")
    request.price, request.venue, request.risk_bps, request.confidence_bps = 19_000, 10, 200, 9_000
    outcome.kind, outcome.reason, outcome.venue = OutcomeKind.ADMITTED, 1, 10
    outcome.fee_microcents = 35_000_000
    for number in range(count):
        request.set_text("client_order_id", b"A-%09d" % number)
        request.quantity, request.sent_at_ns = 100 + number % 900, T0 + number
        outcome.sequence, outcome.reservation_id = number + 8, number + 1
        outcome.notional_microcents = request.quantity * 19_000 * 10**6
        yield request, outcome


def request_of(name: str) -> Request:
    """A request that names that order."""
    request = Request()
    request.set_text("desk", DESK.encode())
    request.set_text("client_order_id", name.encode())
    return request


def measure(count: int) -> None:
    names = [b"A-%09d" % number for number in range(count)]
    absent = [b"B-%09d" % number for number in range(count)]
    asked = request_of("A")
    gc.collect()
    before_bytes = resident_bytes()
    remembered = RememberedOrders()
    remembered.expect(count)
    share = remembered.shares.of(0)

    def find(name: bytes) -> int:
        asked.set_text("client_order_id", name)
        return remembered.find(asked, T0)

    print(f"{count} orders, nanoseconds each")
    timed("(the loop, with a call)", lambda name: name, names, count)
    timed("(the loop, with an order made)", lambda state: state, states(count), count)
    timed("find, unknown, of none", find, absent, count)
    timed(
        "add, with the order made",
        lambda each: remembered.add(share, *each, True),
        states(count),
        count,
    )
    grown_bytes = resident_bytes() - before_bytes
    timed("find, unknown, of all", find, absent, count)
    timed("find, known", find, names, count)

    def close(name: bytes) -> None:
        found = find(name)
        if found == NO_ROW:
            raise SystemExit(f"{name!r} is lost")
        remembered.close(found, OrderPhase.CANCELED, T0, T0 + 1)

    timed("close, with a find", close, names, count)
    print(f"  {'bytes an order, computed':<32} {remembered.memory_bytes() / count:8.0f}")
    print(f"  {'bytes an order, resident':<32} {grown_bytes / count:8.0f}")
    measure_dump(remembered, count)
    started_ns = time.perf_counter_ns()
    forget_expired(remembered, T0 + 1)
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
