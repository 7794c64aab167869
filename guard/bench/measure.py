"""One measurement: a load given to a target, and what came of it.

Owns the processes of the load generator and the window in which processor time is counted. It
waits for the generators with a deadline, and ends those that overstay.

How it fails: `BenchError` where a generator fails, or replies are lost.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Final

from guard import clock
from guard.bench.generator import CONNECT_S, DRAIN_S, Plan, Result, run_generator
from guard.bench.schedule import NS_PER_S
from guard.bench.site import BenchError, thread_cpu_ns
from guard.bench.timeline import Slowest, merge_slowest
from guard.bench.worker import Worker
from guard.histogram import Histogram

# From "all are connected" to the first message: every process must have been told by then.
LEAD_NS: Final = 100_000_000
READY_S: Final = 60.0
GRACE_S: Final = 30.0  # what a generator may take, beyond its load and drain, to count


@dataclass(slots=True)
class Measured:
    """What one load did. Rates are of the window (`Result`); CPU too, in nanoseconds."""

    plan: Plan
    requests_a_second: float
    latency: Histogram
    lateness: Histogram
    kinds: Counter[str]
    reasons: Counter[str]
    messages_sent: int
    messages_answered: int
    answered_in_window: int
    cpu_ns: dict[str, dict[str, int]] = field(default_factory=dict)
    slowest: Slowest = field(default_factory=dict)

    def cpu_us_a_request(self, process: str) -> dict[str, float]:
        """Microseconds of processor time a request, by thread."""
        requests = max(self.answered_in_window * self.plan.per_message, 1)
        return {name: used / requests / 1e3 for name, used in self.cpu_ns[process].items()}


def measure(
    plan: Plan,
    processes: int = 1,
    watched: dict[str, int] | None = None,
    on_window: Callable[[bool], None] | None = None,
) -> Measured:
    """Runs a load in so many processes. `plan.links` and rates are those of all together.

    `watched`: the process ids whose processor time counts, by name. `on_window` is called at the
    window's start (True) and at its end (False). Raises BenchError.
    """
    plans = divide(plan, processes)
    os.sync()  # what was written before is not this load's cost
    running: list[Worker] = []
    try:
        for part in plans:
            running.append(Worker(run_generator, part))
        pipes = [worker.pipe for worker in running]
        for pipe in pipes:
            _expect_ready(pipe)
        start_ns = clock.monotonic_ns() + LEAD_NS
        for pipe in pipes:
            pipe.send(start_ns)
        pids = {**(watched or {})}
        for number, worker in enumerate(running):
            pids[f"generator {number + 1}" if processes > 1 else "generator"] = worker.process_id
        cpu_ns = _watch_window(plan, start_ns, pids, pipes, on_window)
        results = [_result(pipe, plan) for pipe in pipes]
    except BaseException:
        for worker in running:
            worker.kill()  # nobody wants to know any more
        raise
    finally:
        for worker in running:
            worker.close(GRACE_S)
    return _add_up(plan, results, cpu_ns)


def divide(plan: Plan, processes: int) -> list[Plan]:
    """A plan's clients, messages in flight and rate, spread over the processes."""
    clients = len(plan.links)
    if not 1 <= processes <= clients:
        raise ValueError(f"processes: {processes} is not allowed; allowed: 1 to {clients}")
    return [
        replace(
            plan,
            links=plan.links[number::processes],
            in_flight=_share(plan.in_flight, number, processes),
            rate=_share(plan.rate, number, processes),
        )
        for number in range(processes)
    ]


def _share(whole: int | None, number: int, shares: int) -> int | None:
    """One of so many shares, which add up to the whole."""
    if whole is None:
        return None
    return whole * (number + 1) // shares - whole * number // shares


def _expect_ready(pipe: Connection) -> None:
    if not pipe.poll(READY_S):
        raise BenchError(f"the load generator did not connect within {READY_S:.0f} s")
    said = _receive(pipe)
    if isinstance(said, Result):
        raise BenchError(f"the load generator: {said.failure}")


def _receive(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise BenchError("the load generator ended without a word") from None


def _watch_window(
    plan: Plan,
    start_ns: int,
    pids: dict[str, int],
    pipes: list[Connection],
    on_window: Callable[[bool], None] | None,
) -> dict[str, dict[str, int]]:
    """Processor time of each process within the window."""
    clock.sleep_until(start_ns + plan.warm_up_ns)
    before = {name: thread_cpu_ns(pid) for name, pid in pids.items()}
    if on_window is not None:
        on_window(True)
    clock.sleep_until(start_ns + plan.duration_ns)
    if plan.in_flight is None:
        for pipe in pipes:
            _expect_done(pipe, plan)
    after = {name: thread_cpu_ns(pid) for name, pid in pids.items()}
    if on_window is not None:
        on_window(False)
    return {
        name: {thread: used - before[name].get(thread, 0) for thread, used in threads.items()}
        for name, threads in after.items()
    }


def _expect_done(pipe: Connection, plan: Plan) -> None:
    """Waits until all is answered, or given up."""
    if not pipe.poll(DRAIN_S + CONNECT_S + GRACE_S + plan.duration_ns / NS_PER_S):
        raise BenchError("the load generator does not end")
    said = _receive(pipe)
    if isinstance(said, Result):
        raise BenchError(f"the load generator: {said.failure}")


def _result(pipe: Connection, plan: Plan) -> Result:
    if plan.in_flight is not None:
        _expect_done(pipe, plan)
    if not pipe.poll(GRACE_S):
        raise BenchError("the load generator does not count what it saw")
    result = _receive(pipe)
    assert isinstance(result, Result)
    if result.failure:
        raise BenchError(f"the load generator: {result.failure}")
    return result


def _add_up(plan: Plan, results: list[Result], cpu_ns: dict[str, dict[str, int]]) -> Measured:
    latency, lateness = Histogram(), Histogram()
    slowest: Slowest = {}
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for result in results:
        latency.merge(result.latency)
        lateness.merge(result.lateness)
        kinds.update(result.kinds)
        reasons.update(result.reasons)
        merge_slowest(slowest, result.slowest)
    in_window = sum(result.answered_in_window for result in results)
    window_s = max(result.window_ns for result in results) / NS_PER_S
    return Measured(
        plan,
        in_window * plan.per_message / window_s,
        latency,
        lateness,
        kinds,
        reasons,
        sum(result.messages_sent for result in results),
        sum(result.messages_answered for result in results),
        in_window,
        cpu_ns,
        slowest,
    )
