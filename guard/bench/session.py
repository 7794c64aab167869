"""A session of the bench: rounds of loads, on a guard of its own or a running one, and on peers.

Owns the course. Each round has a fresh guard (and Redis), with a fresh log in a directory that is
removed behind it; the contestants of a load follow one another within the round, so that what else
the machine does falls on all. A figure is the median of the rounds.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from guard.bench.batches import batch_sizes, last_record_bytes, mark
from guard.bench.builds import Build, ask_build, only_build
from guard.bench.document import Run, summarize, summarize_disk
from guard.bench.floor import DISK, DISK_OVER_ZEROS, DOORS, Door, measure_disk
from guard.bench.generator import Plan
from guard.bench.loads import Load
from guard.bench.measure import Measured, measure
from guard.bench.peers import Redis
from guard.bench.schedule import NS_PER_S
from guard.bench.site import REMEMBERED_ORDERS_MAX, BenchError, Guard, config_text
from guard.bench.syncs import read_stats, sync_times
from guard.bench.timeline import Timeline, make_timeline
from guard.bench.watcher import Watcher
from guard.bench.wheel import measure_orders
from guard.histogram import Histogram
from guard.process import leaving
from guard.protocol.messages import StatsReply

# What an order's record takes in a log that cannot be read; else the log is asked.
RECORD_BYTES: Final = 1_650
WHEEL_BATCH_MAX: Final = 16_384
DIRECTORY_PREFIX: Final = "pretrade-guard-bench-"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was told."""

    loads: tuple[Load, ...]
    rounds: int
    duration_s: float
    warm_up_s: float
    desks: int
    venues: int
    processes: int
    directory: Path
    endpoint: str | None = None
    process_id: int | None = None
    peers: frozenset[str] = frozenset()  # of redis, wheel, the doors and disks of `floor`
    traces: bool = False  # on a guard of its own alone
    packages: Path | None = None  # the folder whose guard is measured, instead of this one's


@dataclass(slots=True)
class Findings:
    """What the rounds gave, by target and load."""

    measured: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)
    batches: dict[tuple[str, str], list[Histogram]] = field(default_factory=dict)
    syncs: dict[tuple[str, str], list[dict[str, int]]] = field(default_factory=dict)
    timelines: list[Timeline] = field(default_factory=list)
    # By disk (`floor`) and load.
    disk: dict[tuple[str, str], list[Histogram]] = field(default_factory=dict)
    wheel_orders_a_second: dict[str, list[float]] = field(default_factory=dict)
    builds: list[Build] = field(default_factory=list)  # what each round's daemon said it is

    def runs(self) -> list[Run]:
        """Every load of every target, and the disk alone behind it, summed up."""
        runs = [
            summarize(*key, rounds, self.batches.get(key, ()), self.syncs.get(key, ()))
            for key, rounds in self.measured.items()
        ]
        return [*runs, *(summarize_disk(*key, rounds) for key, rounds in self.disk.items())]

    def add(self, other: "Findings") -> None:
        """Takes in the rounds of another session."""
        self.builds.extend(other.builds)
        for key, rounds in other.measured.items():
            self.measured.setdefault(key, []).extend(rounds)
        for key, sizes in other.batches.items():
            self.batches.setdefault(key, []).extend(sizes)
        for key, times in other.syncs.items():
            self.syncs.setdefault(key, []).extend(times)
        self.timelines.extend(other.timelines)
        for key, times_ns in other.disk.items():
            self.disk.setdefault(key, []).extend(times_ns)
        for load, rates in other.wheel_orders_a_second.items():
            self.wheel_orders_a_second.setdefault(load, []).extend(rates)


def run_rounds(options: Options, say: Say) -> Findings:
    """Runs them all. Raises BenchError, OSError."""
    findings = Findings()
    for number in range(1, options.rounds + 1):
        say(f"round {number} of {options.rounds}")
        with contextlib.ExitStack() as stack:
            directory = leaving.temporary_directory(DIRECTORY_PREFIX, options.directory)
            _run_round(options, stack.enter_context(directory), stack, findings, say)
    return findings


def _run_round(
    options: Options,
    directory: Path,
    stack: contextlib.ExitStack,
    findings: Findings,
    say: Say,
) -> None:
    guard, endpoint = None, options.endpoint
    watched = {} if options.process_id is None else {"daemon": options.process_id}
    if endpoint is None:
        guard = stack.enter_context(_running(options, directory))
        endpoint, watched = guard.endpoint, {"daemon": guard.process_id}
    is_own = guard is not None and options.packages is None
    findings.builds.append(ask_build(endpoint, is_own=is_own))
    only_build(findings.builds)
    redis = None
    if "redis" in options.peers:
        redis = Redis(directory / "redis", options.desks)
        stack.callback(redis.stop)
    for load in options.loads:
        say(f"  {load.name}")
        processes = min(options.processes, load.clients)
        plan = _plan(options, load, "guard", endpoint)
        sizes = _measure_guard(plan, load, options, watched, guard, findings)
        if redis is not None and load.has_peer("redis"):
            plan = one_a_message(_plan(options, load, "redis", redis.endpoint))
            measured = measure(plan, processes, {"redis": redis.process_id})
            findings.measured.setdefault(("redis", load.name), []).append(measured)
        record_bytes = 0 if guard is None else last_record_bytes(guard.log)
        _measure_floor(options, load, directory, record_bytes or RECORD_BYTES, findings)
        if "wheel" in options.peers and load.has_peer("wheel"):
            batch = min(max(sizes.summary()["p50"], 1), WHEEL_BATCH_MAX)
            rate = measure_orders(directory, options.venues, batch, options.duration_s)
            findings.wheel_orders_a_second.setdefault(load.name, []).append(rate)


def _measure_floor(
    options: Options, load: Load, directory: Path, record_bytes: int, findings: Findings
) -> None:
    """What is below every guard: its door and the disk, together and alone."""
    processes = min(options.processes, load.clients)
    for name in DOORS:
        if name in options.peers and load.has_peer(name):
            door = Door(name, directory, record_bytes)
            try:
                plan = one_a_message(_plan(options, load, name, door.endpoint))
                measured = measure(plan, processes, {name: door.process_id})
            finally:
                door.stop()
            findings.measured.setdefault((name, load.name), []).append(measured)
    for name in (DISK, DISK_OVER_ZEROS):
        if name in options.peers and load.has_peer(name):
            is_over_zeros = name == DISK_OVER_ZEROS
            duration_s = _measured_s(load, options)
            disk = measure_disk(directory, record_bytes, duration_s, is_over_zeros=is_over_zeros)
            findings.disk.setdefault((name, load.name), []).append(disk)


def _measure_guard(
    plan: Plan,
    load: Load,
    options: Options,
    watched: dict[str, int],
    guard: Guard | None,
    findings: Findings,
) -> Histogram:
    """One load on the guard; returns the sizes of its batches, as far as its log can be read."""
    marks: list[dict[str, int]] = []
    stats: list[StatsReply | None] = []

    watchers: list[Watcher] = []

    def on_window(is_start: bool) -> None:
        if options.traces and guard is not None:
            if is_start:
                watchers.append(Watcher(guard.process_id, guard.log, plan.endpoint))
            else:
                watchers[0].stop()
        stats.append(read_stats(plan.endpoint))
        if guard is not None:
            marks.append(mark(guard.log))

    plan = replace(plan, traces=options.traces)
    try:
        measured = measure(plan, min(options.processes, load.clients), watched, on_window)
    finally:
        for watcher in watchers:
            watcher.abandon()
    lost = measured.messages_sent - measured.messages_answered
    if lost:
        raise BenchError(f"{load.name}: {lost} of {measured.messages_sent} messages unanswered")
    key = ("guard", load.name)
    findings.measured.setdefault(key, []).append(measured)
    for watcher in watchers:
        timeline = make_timeline(load.name, measured.slowest, watcher.samples, watcher.spans)
        findings.timelines.append(timeline)
    before, after = stats
    if before is not None and after is not None:
        findings.syncs.setdefault(key, []).append(sync_times(before, after))
    sizes = Histogram()
    if guard is not None:
        sizes = batch_sizes(guard.log, *marks)
        findings.batches.setdefault(key, []).append(sizes)
    return sizes


@contextlib.contextmanager
def _running(options: Options, directory: Path) -> Iterator[Guard]:
    config = config_text(options.desks, options.venues, REMEMBERED_ORDERS_MAX)
    guard = Guard(directory, config, options.packages)
    try:
        yield guard
    except BaseException:
        guard.kill()  # its log is of no use any more
        raise
    guard.stop()


def one_a_message(plan: Plan) -> Plan:
    """As many orders, in flight or a second, for a target that takes one a message."""
    return replace(
        plan,
        in_flight=None if plan.in_flight is None else plan.in_flight * plan.per_message,
        rate=None if plan.rate is None else plan.rate * plan.per_message,
        per_message=1,
    )


def _measured_s(load: Load, options: Options) -> float:
    if load.flow_speed is None:
        return options.duration_s
    return load.flow_duration_ns() / NS_PER_S


def _plan(options: Options, load: Load, target: str, endpoint: str) -> Plan:
    warm_up_s = 0.0 if load.flow_speed is not None else options.warm_up_s
    plan = Plan(
        target,
        endpoint,
        secrets.token_hex(4),  # no id of one run is another's
        tuple(range(load.clients)),
        int((options.duration_s + warm_up_s) * NS_PER_S),
        int(warm_up_s * NS_PER_S),
        load.in_flight,
        load.rate,
        load.flow_speed,
        load.mix,
        load.per_message,
        options.desks,
    )
    if load.flow_speed is not None:
        return replace(plan, duration_ns=load.flow_duration_ns())
    return plan
