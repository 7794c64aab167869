"""What an order costs as the guard grows: desks, venues, remembered orders, records; and its start.

Owns these runs. The order path runs in process (request in, decided, recorded as bytes, applied,
reply out: no socket, chain or disk), in microseconds of processor time; a start is a real one, of a
real daemon on a log that a load has filled, timed until it is ready.

How it works: an engine is grown by the path itself, and timed in small chunks on the way, so that
the first and the last record of a run are timed in the same process. What is compared is timed in
turn, chunk by chunk: the speed of a shared machine may change by half from one second to the next.
Beside an engine of many remembered orders stands one of few.
"""

import contextlib
import gc
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import clock
from guard.bench import builds
from guard.bench.generator import Plan
from guard.bench.measure import measure
from guard.bench.schedule import NS_PER_S
from guard.bench.session import DIRECTORY_PREFIX
from guard.bench.site import REMEMBERED_ORDERS_MAX, BenchError, Guard, config_text, resident_bytes
from guard.bench.workload import Mix, MixedOrders
from guard.config.activation import opening_events
from guard.config.file import parse_config
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.process import leaving
from guard.protocol.outcome import Outcome
from guard.protocol.replies import reply_body
from guard.protocol.request_reader import RequestReader
from guard.record.writer import RecordWriter

DESKS: Final = (1, 100, 10_000)
VENUES: Final = (3, 22, 64, 256)
CHUNK_ORDERS: Final = 1_000
CHUNKS: Final = 10
ORDERS_MIN: Final = CHUNK_ORDERS * CHUNKS  # fewer would not be timed
GROWTH_ORDERS: Final = 10_000  # made at a time, before they are played
WARM_UP_ORDERS: Final = 10_000  # beyond the first touch of every desk
WARM_ORDERS_MAX: Final = 200_000  # more than are ever given to one that is not grown
ONE_A_MESSAGE: Final = Mix(1, 0, 0)
START_IN_FLIGHT: Final = 1_024

Figures = dict[str, float]
Say = Callable[[str], None]


class Grown:
    """An engine in process, and its next orders."""

    def __init__(self, desks: int, venues: int, remembered_orders_max: int) -> None:
        config = parse_config(config_text(desks, venues, remembered_orders_max))
        self._wall_ns = clock.wall_ns()
        self.engine = Engine()
        for event in opening_events(
            config, Actor(self._wall_ns, 1, "bench", "scale"), "0" * 32, ""
        ):
            self.engine.apply_event(self.engine.next_sequence, event)
        self.engine.state.orders.expect(remembered_orders_max)
        self._reader, self._writer, self._outcome = (
            RequestReader("local"),
            RecordWriter(),
            Outcome(),
        )
        self.orders = 0
        self._workload = MixedOrders("scale", 0, ONE_A_MESSAGE, 1, desks)
        self._desks = desks

    def grow(self, count: int) -> float:
        """Decides, records and applies so many orders; returns microseconds of processor each."""
        bodies = [self._workload.frames(1)[2:] for _ in range(count)]
        engine, reader, writer = self.engine, self._reader, self._writer
        outcome, state = self._outcome, engine.state
        started_ns = clock.thread_cpu_ns()
        for body in bodies:
            reader.read(body, 1, state.currency)
            request = reader.requests[0]
            request.received_at_ns = self._wall_ns
            if not engine.decide(request, outcome):
                raise BenchError("an order of the load was answered without a record")
            writer.data(request, outcome, state.policy_digest_hex)
            engine.apply(request, outcome)
            reply_body(request, outcome)
        spent_ns = clock.thread_cpu_ns() - started_ns
        self.orders += count
        return spent_ns / count / 1e3


def _warm(desks: int, venues: int) -> Grown:
    grown = Grown(desks, venues, WARM_ORDERS_MAX)
    grown.grow(max(WARM_UP_ORDERS, desks))
    return grown


def _costs(grown: dict[str, Grown]) -> Figures:
    """Microseconds of processor an order now: the median of a few chunks, all in turn."""
    samples: dict[str, list[float]] = {name: [] for name in grown}
    for _ in range(CHUNKS):
        for name, one in grown.items():
            samples[name].append(one.grow(CHUNK_ORDERS))
    return {f"us an order, {name}": statistics.median(costs) for name, costs in samples.items()}


def measure_scale(orders: int, directory: Path, duration_s: float, say: Say) -> Figures:
    """Up to `orders` remembered, a start behind `duration_s` of load. Raises BenchError."""
    figures: Figures = {}
    gc.collect()
    gc.disable()
    try:
        say(f"{', '.join(map(str, DESKS))} desks")
        sizes = {f"{desks:,} desks": (desks, VENUES[0]) for desks in DESKS}
        figures.update(_costs({name: _warm(*size) for name, size in sizes.items()}))
        say(f"{', '.join(map(str, VENUES))} venues")
        sizes = {f"{venues} venues": (1, venues) for venues in VENUES}
        figures.update(_costs({name: _warm(*size) for name, size in sizes.items()}))
        say(f"{orders} remembered orders")
        figures.update(_remembered(orders))
    finally:
        gc.enable()
    say("start-up")
    figures.update(_starts(directory, duration_s))
    return figures


def _remembered(orders: int) -> Figures:
    """The cost as orders are remembered, none forgotten; and the memory that they take."""
    figures: Figures = {}
    few = _warm(4, VENUES[0])
    grown = Grown(4, VENUES[0], orders)
    before_bytes, before = resident_bytes(os.getpid()), few.orders
    timed = CHUNK_ORDERS * CHUNKS
    size = ORDERS_MIN
    while size <= orders:
        while grown.orders < size - timed:
            grown.grow(min(GROWTH_ORDERS, size - timed - grown.orders))
        of_size = f"{size:,} remembered, up to record {size:,}"
        figures.update(_costs({of_size: grown, f"in turn with these, {few.orders:,}": few}))
        size *= 10
    count = grown.orders
    taken = resident_bytes(os.getpid()) - before_bytes
    both = count + few.orders - before
    figures[f"resident bytes a remembered order, of {count:,}"] = taken / both
    packed = grown.engine.state.orders.memory_bytes()
    figures[f"packed bytes a remembered order, of {count:,}"] = packed / count
    return figures


def _starts(directory: Path, duration_s: float) -> Figures:
    """Seconds to the ready line: on no log, behind a kill, behind a clean stop."""
    figures: Figures = {}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(leaving.temporary_directory(DIRECTORY_PREFIX, directory))
        config = config_text(4, VENUES[0], REMEMBERED_ORDERS_MAX)
        guard, figures["s to start, no log"] = _start(place, config)
        stack.callback(guard.kill)
        plan = Plan(
            "guard",
            guard.endpoint,
            "scale",
            tuple(range(4)),
            int(duration_s * NS_PER_S),
            0,
            START_IN_FLIGHT,
            desks=4,
        )
        count = measure(plan).messages_answered
        if not count:
            raise BenchError("no order was answered: there is no log to start on")
        guard.kill()
        guard, seconds = _start(place, config)
        stack.callback(guard.kill)
        figures[f"s to start, killed, {count:,} records"] = seconds
        guard.stop()
        guard, seconds = _start(place, config)
        stack.callback(guard.kill)
        figures[f"s to start, stopped cleanly, {count:,} records"] = seconds
        guard.stop()
    return figures


def _start(directory: Path, config: str) -> tuple[Guard, float]:
    started_ns = clock.monotonic_ns()
    guard = Guard(directory, config)
    seconds = (clock.monotonic_ns() - started_ns) / NS_PER_S
    try:
        builds.ask_build(guard.endpoint, is_own=True)
    except BaseException:
        guard.kill()
        raise
    return guard, seconds
