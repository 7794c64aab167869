"""A lone cancel beside thousands of orders under way: how long it takes, in syncs of the same disk.

    python tests/bench/bench_cancel.py [--in-flight N] [--clients N] [--seconds S] [--per-s R]
        [--directory DIR]

A guard of its own, a generator of orders in another process (closed loop, so many under way over so
many connections), and one connection that sends a cancel now and then, of an order that it has
placed before. What frees exposure goes first: it waits for the batch that is on its way and for its
own, two syncs, and 2 ms for all the rest. The syncs are the daemon's own count of the same seconds.
On a machine that others use the daemon waits for a processor, too: its share is told.
"""

import argparse
import secrets
import tempfile
import threading
import time
from pathlib import Path

import msgspec
from measured import say_what_is_measured

from guard.bench.frames import frame
from guard.bench.generator import Plan
from guard.bench.measure import Measured, measure
from guard.bench.schedule import NS_PER_S
from guard.bench.site import Guard, config_text
from guard.bench.syncs import read_stats, sync_times
from guard.bench.workload import Mix, desk_name, request_body
from guard.bench.zmtp import connect
from guard.histogram import Histogram
from guard.protocol.messages import StatsReply

DESKS = 4
VENUES = 3
ORDERS_MAX = 1_000_000
REST_NS = 2_000_000  # beside the two syncs
WARM_UP_S = 1.0
LINK_S = 60.0


class Lone:
    """The connection that has one request under way, now and then."""

    def __init__(self, endpoint: str) -> None:
        self._link = connect(endpoint, LINK_S)
        self._count = 0

    def ask(self, body: bytes) -> dict[str, object]:
        self._link.sendall(frame(body))
        head = self._receive(2)
        size = head[1] if head[0] == 0 else int.from_bytes(head[1:] + self._receive(7), "big")
        reply: dict[str, object] = msgspec.msgpack.decode(self._receive(size))
        return reply

    def place(self) -> str:
        """A new order; its id."""
        self._count += 1
        name = f"lone-{self._count}"
        reply = self.ask(request_body("o", name, desk_name(0)))
        assert reply["type"] == "admit", reply
        return name

    def cancel(self, name: str) -> int:
        """Nanoseconds."""
        body = request_body("c", name, desk_name(0))
        started_ns = time.perf_counter_ns()
        reply = self.ask(body)
        took_ns = time.perf_counter_ns() - started_ns
        assert reply["type"] == "released", reply
        return took_ns

    def cancel_for(self, seconds: float, per_s: float) -> list[int]:
        """One after the other at an even pace; each of an order placed right before."""
        taken_ns = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name = self.place()
            time.sleep(1 / per_s)
            taken_ns.append(self.cancel(name))
        return taken_ns

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            part = self._link.recv(size - len(received))
            assert part, "the daemon has closed the connection"
            received += part
        return bytes(received)


def show(name: str, taken_ns: list[int], before: StatsReply, after: StatsReply) -> None:
    histogram = Histogram()
    histogram.record_all(taken_ns)
    found = histogram.summary()
    syncs = sync_times(before, after)
    bound_ns = 2 * syncs["p99_at_most"] + REST_NS
    print(
        f"{name}: {len(taken_ns)} cancels, p50 {found['p50'] / 1e6:.2f} ms, "
        f"p90 {found['p90'] / 1e6:.2f}, p99 {found['p99'] / 1e6:.2f}, "
        f"max {found['max'] / 1e6:.2f}; {syncs['count']} syncs, mean {syncs['mean'] / 1e6:.2f} ms, "
        f"p99 at most {syncs['p99_at_most'] / 1e6:.2f}; two of these and 2 ms: "
        f"{bound_ns / 1e6:.2f} ms, {'kept' if found['p99'] <= bound_ns else 'not kept'}"
    )


def waited(process_id: int) -> tuple[int, int]:
    """Of the daemon's loop, ns: on a processor, and waiting for one."""
    ran, waiting, _ = Path(f"/proc/{process_id}/schedstat").read_text().split()
    return int(ran), int(waiting)


def stats(endpoint: str) -> StatsReply:
    found = read_stats(endpoint)
    assert found is not None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--in-flight", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--per-s", type=float, default=30.0, help="cancels")
    parser.add_argument("--directory", type=Path, help="for the log; default: the temporary one")
    given = parser.parse_args()
    say_what_is_measured()
    with tempfile.TemporaryDirectory(dir=given.directory) as place:
        guard = Guard(Path(place), config_text(DESKS, VENUES, ORDERS_MAX))
        try:
            run(guard, given)
        finally:
            guard.stop()


def run(guard: Guard, given: argparse.Namespace) -> None:
    endpoint, lone = guard.endpoint, Lone(guard.endpoint)
    lone.cancel_for(1.0, given.per_s)
    before = stats(endpoint)
    taken_ns = lone.cancel_for(given.seconds / 4, given.per_s)
    show("alone", taken_ns, before, stats(endpoint))
    whole_s = given.seconds + 2 * WARM_UP_S
    plan = Plan(
        "guard", endpoint, secrets.token_hex(4), tuple(range(given.clients)),
        int(whole_s * NS_PER_S), int(WARM_UP_S * NS_PER_S), given.in_flight, None, None,
        Mix(1, 0, 0), 1, DESKS,
    )  # fmt: skip
    has_begun, measured = threading.Event(), list[Measured]()

    def on_window(_is_start: bool) -> None:
        has_begun.set()

    def load() -> None:
        measured.append(measure(plan, 1, None, on_window))

    loading = threading.Thread(target=load)
    loading.start()
    assert has_begun.wait(LINK_S), "the generator has not begun"
    before, times = stats(endpoint), waited(guard.process_id)
    taken_ns = lone.cancel_for(given.seconds - WARM_UP_S, given.per_s)
    after, times_after = stats(endpoint), waited(guard.process_id)
    loading.join()
    show(f"beside {given.in_flight} orders under way", taken_ns, before, after)
    ran_s, waiting_s = ((now - then) / 1e9 for now, then in zip(times_after, times, strict=True))
    print(
        f"the others: {measured[0].requests_a_second:,.0f} orders a second, "
        f"p50 {measured[0].latency.summary()['p50'] / 1e6:.1f} ms; the daemon's loop ran "
        f"{ran_s:.1f} s and waited {waiting_s:.1f} s for a processor"
    )


if __name__ == "__main__":
    main()
